"""Attention-only language models, the setting in which induction heads were found to form (Olsson et al.
2022).

One or two layers of attention without MLPs, LayerNorm before each, *shortformer* positions (position
vectors enter only the inputs of queries and keys, Press et al. 2021), untied unembedding. The ``paper``
preset is the network of Hoogland et al. 2024 (3,355,016 parameters), ``small`` one that shows the same
stages in minutes on two CPU cores (107,904 parameters).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from devexplore import schema
from devexplore.errors import MissingText
from devexplore.systems.attention_only import AttentionOnlyTransformer
from devexplore.systems.base import (
    Probe,
    System,
    Variable,
    check_kind,
    is_real,
    normal,
    not_negative,
    positive,
    require,
    rng,
    rows_of_head,
    whole,
)
from devexplore.systems.bigrams import Bigrams, bigram_log_probs, count_bigrams, unigram_log_probs
from devexplore.systems.corpus import Text, read_text, token_texts, tokenise, train_tokenizer
from devexplore.systems.prompts import common_ngrams, repeated_tokens


@dataclass(frozen=True)
class LanguageSpec:
    """Hyper-parameters. ``text`` is a source of ``systems.corpus``; ``init_scale`` s draws matrices from
    N(0, s²/width).
    """

    steps: int = 50_000
    vocabulary: int = 5_000
    context: int = 1_024
    width: int = 256
    layers: int = 2
    heads: int = 8
    batch_size: int = 100
    peak_learning_rate: float = 1e-3
    warmup_steps: int = 0
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.999)
    gradient_clip: float | None = None
    init_scale: float = 0.8
    text: str = "sympy-tests"
    linear_checkpoints: int = 100
    log_checkpoints: int = 100

    def __post_init__(self) -> None:
        whole(self, "steps", "vocabulary", "context", "width", "layers", "heads", "batch_size")
        whole(self, "linear_checkpoints", "log_checkpoints")
        whole(self, "warmup_steps", least=0)
        positive(self, "peak_learning_rate", "init_scale")
        not_negative(self, "weight_decay")
        if self.gradient_clip is not None:
            positive(self, "gradient_clip")
        require(
            isinstance(self.betas, tuple)
            and len(self.betas) == 2
            and all(is_real(beta) and 0 <= beta < 1 for beta in self.betas),
            f"betas must be two numbers from 0 to below 1, got {self.betas!r}",
        )
        require(isinstance(self.text, str), f"text must be a text source, got {self.text!r}")
        require(self.layers in (1, 2), f"layers must be 1 or 2, got {self.layers}")
        require(self.width % self.heads == 0, f"width {self.width} is not a multiple of {self.heads} heads")
        require(
            258 <= self.vocabulary <= 65_536,
            f"vocabulary must be between 258 and 65,536, got {self.vocabulary}",
        )
        require(self.context >= 8, f"context must be at least 8 tokens, got {self.context}")


PRESETS: Mapping[str, LanguageSpec] = {
    "small": LanguageSpec(
        steps=14_000,
        vocabulary=512,
        context=128,
        width=64,
        heads=4,
        batch_size=16,
        peak_learning_rate=5e-3,
        warmup_steps=50,
        betas=(0.9, 0.98),
        gradient_clip=1.0,
        linear_checkpoints=70,
        log_checkpoints=80,
    ),
    "paper": LanguageSpec(linear_checkpoints=500, log_checkpoints=1),
}


class Language(System):
    spec: LanguageSpec
    name: ClassVar[str] = "language"
    output_kinds: ClassVar[tuple[str, ...]] = ("log_probs", "logits", "true_token_logit")
    trivial_name: ClassVar[str] = "uniform predictor"
    loss_units: ClassVar[str] = "nats"
    eval_batch: ClassVar[int] = 32
    pool_size: ClassVar[int] = 4096
    held_out_size: ClassVar[int] = 512
    PROBE_SEQUENCES: ClassVar[int] = 32
    OUTPUT_POSITIONS: ClassVar[int] = 64
    """Full outputs are kept at this many positions, evenly spaced over the context."""

    llc_defaults: ClassVar[Mapping[str, Any]] = {
        "step_size": 1e-5,
        "n_beta": 300.0,
        "localization": 1000.0,
        "batch_size": 4,
        "chains": 4,
        "draws": 50,
        "burn_in": 300,
        "thinning": 4,
    }

    @property
    def trivial_loss(self) -> float:
        """Guessing every token of the vocabulary equally costs ln(vocabulary)."""
        return float(np.log(self.spec.vocabulary))

    @cached_property
    def text(self) -> Text:
        """The text of this run. Raises MissingText where this machine's is not the one it was trained on."""
        text = read_text(self.spec.text)
        wanted = self.stored_recipe.get("text")
        if wanted is not None and wanted["checksum"] != text.checksum:
            raise MissingText(
                f"{self.folder} was trained on {wanted['origin']} (checksum {wanted['checksum']}), but this "
                f"machine has {text.origin} (checksum {text.checksum}); install that very text to go on"
            )
        return text

    @cached_property
    def tokenizer(self) -> Tokenizer:
        path = self.folder / schema.TOKENIZER_FILE
        if path.exists() and (self.folder / schema.RUN_FILE).exists():
            return Tokenizer.from_file(str(path))
        return train_tokenizer(self.text.train, self.spec.vocabulary)

    @cached_property
    def train_tokens(self) -> np.ndarray:
        return self._stream(self.text.train)

    @cached_property
    def held_out_tokens(self) -> np.ndarray:
        return self._stream(self.text.held_out)

    def _stream(self, texts: tuple[str, ...]) -> np.ndarray:
        stream = tokenise(self.tokenizer, texts)
        if len(stream) <= self.spec.context + 1:
            raise MissingText(
                f"text source {self.spec.text!r} gives {len(stream):,} tokens to one of its halves, fewer "
                f"than one window of {self.spec.context + 1}; use more text or a shorter context"
            )
        return stream

    def files(self) -> Mapping[str, str]:
        return {schema.TOKENIZER_FILE: self.tokenizer.to_str(pretty=True)}

    def recipe(self) -> dict[str, Any]:
        return super().recipe() | {"text": {"origin": self.text.origin, "checksum": self.text.checksum}}

    def network(self) -> nn.Module:
        return AttentionOnlyTransformer(self.spec)

    def initialise(self, model: nn.Module, seed: int) -> None:
        """Matrices and positions N(0, s²/width), LayerNorms 1, biases 0."""
        generator, scale = rng(seed, "init"), self.spec.init_scale / self.spec.width**0.5
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.ndim == 2:
                    parameter.copy_(scale * normal(generator, *parameter.shape))
                else:
                    parameter.fill_(1 if "norm" in name and name.endswith("weight") else 0)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        spec = self.spec
        return torch.optim.AdamW(
            model.parameters(),
            lr=spec.peak_learning_rate,
            betas=spec.betas,
            weight_decay=spec.weight_decay,
            fused=True,
        )

    def learning_rate(self, step: int) -> float:
        """Constant after a linear warm-up."""
        return self.spec.peak_learning_rate * min(1.0, (step + 1) / (self.spec.warmup_steps + 1))

    def _windows(self, stream: np.ndarray, generator: np.random.Generator, n: int) -> Tensor:
        length = self.spec.context + 1
        starts = generator.integers(len(stream) - length, size=n)
        return torch.from_numpy(stream[starts[:, None] + np.arange(length)].astype(np.int64))

    def batch(self, seed: int, step: int) -> tuple[Tensor, ...]:
        return (self._windows(self.train_tokens, rng(seed, "batch", step), self.spec.batch_size),)

    def pool(self, n: int, seed: int, *, held_out: bool = False) -> tuple[Tensor, ...]:
        if held_out:
            return (self._windows(self.held_out_tokens, rng(seed, "held-out"), n),)
        return (self._windows(self.train_tokens, rng(seed, "pool"), n),)

    def restricted_pool(self, data: str, n: int, seed: int) -> tuple[Tensor, ...]:
        """``repeated``: half a context of random tokens of the training text, then the same again, as
        ``repeated_tokens`` says. ``folder:PATH``: other text in this run's tokens.
        """
        length = self.spec.context + 1
        if data == "repeated":
            tokens = repeated_tokens(rng(seed, "repeated"), n, length, self.known_tokens)
            return (torch.from_numpy(tokens),)
        require(
            data.startswith("folder:"),
            f"other data of a language run are 'repeated' or 'folder:PATH', got {data!r}",
        )
        tokens = tokenise(self.tokenizer, read_text(data).train)
        require(len(tokens) > length, f"{data}: {len(tokens)} tokens, fewer than one context of {length}")
        return (self._windows(tokens, rng(seed, "restricted"), n),)

    def components(self, model: nn.Module) -> dict[str, dict[str, Tensor | None]]:
        """Every head (its rows of Q, K, V, its columns of the output), embedding, positions, unembedding."""
        shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
        parts: dict[str, dict[str, Tensor | None]] = {}
        for layer in range(self.spec.layers):
            for head in range(self.spec.heads):
                own = f"attention.{layer}."
                masks = {
                    f"{own}{kind}.{tensor}": rows_of_head(
                        shapes[f"{own}{kind}.{tensor}"], self.spec.heads, head
                    )
                    for kind in ("query", "key", "value")
                    for tensor in ("weight", "bias")
                }
                out = f"{own}out.weight"
                parts[f"layer {layer + 1} head {head + 1}"] = {
                    **masks,
                    out: rows_of_head(shapes[out], self.spec.heads, head, dim=1),
                }
        return {
            **parts,
            "embedding": {"embed.weight": None},
            "positions": {"position": None},
            "unembedding": {"unembed.weight": None, "unembed.bias": None},
        }

    def position_loss(self, model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """Cross-entropy in nats of predicting token p + 1 from tokens 0 … p, shape (sample, context)."""
        (tokens,) = batch
        logits = model(tokens[:, :-1])
        return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none").view(
            len(tokens), -1
        )

    def output_positions(self, kind: str) -> np.ndarray:
        """Every position for ``true_token_logit``, at most 64 evenly spaced ones where a whole vocabulary
        is kept.
        """
        check_kind(self, kind)
        count = (
            self.spec.context if kind == "true_token_logit" else min(self.OUTPUT_POSITIONS, self.spec.context)
        )
        return (
            np.arange(self.spec.context).reshape(count, -1)[:, -1]
            if self.spec.context % count == 0
            else (np.linspace(0, self.spec.context - 1, count).round().astype(int))
        )

    def output_dim(self, kind: str) -> str | None:
        return None if kind == "true_token_logit" else "vocab"

    def outputs(self, model: nn.Module, batch: tuple[Tensor, ...], kind: str) -> Tensor:
        (tokens,) = batch
        logits = model(tokens[:, :-1])[:, self.output_positions(kind)]
        if kind == "true_token_logit":
            return logits.gather(-1, tokens[:, 1:, None])[..., 0]
        return logits.log_softmax(dim=-1) if kind == "log_probs" else logits

    @cached_property
    def bigrams(self) -> Bigrams:
        return count_bigrams(self.train_tokens, self.spec.vocabulary)

    @cached_property
    def known_tokens(self) -> np.ndarray:
        """Tokens that the training text shows; of the others (rare bytes) no network learns anything."""
        return np.unique(self.train_tokens)

    @cached_property
    def common_ngrams(self) -> dict[int, np.ndarray]:
        """The training text's most frequent n-grams, n = 2, 3, 4, up to 512 of each, arrays (ngram, n)."""
        return common_ngrams(self.train_tokens)

    def reference_names(self, kind: str) -> tuple[str, ...]:
        """Log-probs only: a predictor's distribution fixes its logits up to a constant at each position, and
        essential dynamics is not blind to that constant.
        """
        return ("uniform", "unigram", "bigram") if kind == "log_probs" else ()

    def _reference(self, name: str, batch: tuple[Tensor, ...], seed: int) -> Tensor:
        """``uniform`` over the vocabulary (needs no text); ``unigram`` and ``bigram``: frequencies of the
        training text, smoothed as ``unigram_log_probs`` and ``bigram_log_probs`` say.
        """
        tokens = batch[0][:, :-1][:, self.output_positions("log_probs")]
        vocabulary = self.spec.vocabulary
        if name == "uniform":
            return torch.full((*tokens.shape, vocabulary), -float(np.log(vocabulary)))
        if name == "unigram":
            table = unigram_log_probs(self.train_tokens, vocabulary)
            return torch.from_numpy(table).float().expand(*tokens.shape, vocabulary)
        first, place = torch.unique(tokens.cpu(), return_inverse=True)
        table = bigram_log_probs(self.train_tokens, vocabulary, first.numpy())
        return torch.from_numpy(table).float()[place]

    def stored_probe(self, values: Mapping[str, np.ndarray]) -> tuple[Tensor, ...] | None:
        """Token ids of whole windows: the tokens, and the target of the last."""
        if not {"token_id", "target_id"} <= values.keys():
            return None
        ids = np.concatenate([values["token_id"], values["target_id"][:, -1:]], axis=1)
        return (torch.from_numpy(ids.astype(np.int64)),)

    def probe(self, seed: int) -> Probe:
        tokens = self._windows(self.held_out_tokens, rng(seed, "probe"), self.PROBE_SEQUENCES)
        ids, texts = tokens.numpy().astype(np.int32), np.array(token_texts(self.tokenizer))
        dims = ("sequence", "position")
        return Probe(
            batch=(tokens,),
            variables={
                "token_id": Variable(dims, ids[:, :-1], {"long_name": "token"}),
                "token_text": Variable(dims, texts[ids[:, :-1]], {"long_name": "token as text"}),
                "target_id": Variable(dims, ids[:, 1:], {"long_name": "next token"}),
                "target_text": Variable(dims, texts[ids[:, 1:]], {"long_name": "next token as text"}),
            },
            sequence_name="text",
            position_name="position",
        )
