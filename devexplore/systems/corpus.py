"""Text for the language system: where it comes from, how it is cut into tokens, and what is held out.

Sources: ``sympy-tests`` (the test files of the installed sympy, which torch brings along; BSD-3),
``folder:PATH`` (text files below a folder), ``hf:NAME`` (a Hugging Face dataset, streamed; needs the
``datasets`` extra). Whole files are held out, never windows of a file that is also trained on.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import UInt16
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from devexplore.errors import InvalidSpec, MissingExtra, MissingText

FILE_TOKEN = "<|file|>"
"""Opens every file, so that a window that crosses two files says so."""

HELD_OUT_EVERY = 20
TEXT_SUFFIXES = (
    ".txt",
    ".md",
    ".rst",
    ".py",
    ".tex",
    ".html",
    ".json",
    ".c",
    ".h",
    ".js",
    ".ts",
    ".java",
    ".rs",
)


@dataclass(frozen=True)
class Text:
    """The two halves of a corpus, as texts of whole files, and a checksum over both."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]
    checksum: str
    origin: str


def read_text(source: str, max_files: int = 20_000) -> Text:
    """Read a source and split it by file: every 20th file (in sorted order; for datasets as streamed)
    is held out.

    Raises InvalidSpec for an unknown source, MissingText where it has no text, MissingExtra without
    ``datasets``.
    """
    kind, _, rest = source.partition(":")
    if kind == "sympy-tests":
        files, origin = _sympy_tests(), f"test files of sympy {version('sympy')} (BSD-3)"
    elif kind == "folder" and rest:
        files, origin = _folder(Path(rest)), f"folder {Path(rest).name}"
    elif kind == "hf" and rest:
        files, origin = _hugging_face(rest), f"Hugging Face dataset {rest}, first {max_files:,} documents"
    else:
        raise InvalidSpec(f"unknown text source {source!r}; use sympy-tests, folder:PATH or hf:NAME")
    texts = [text for text in islice(files, max_files) if text.strip()]
    if len(texts) < 2:
        raise MissingText(
            f"text source {source!r} has {len(texts)} non-empty files; at least 2 are needed to hold one out"
        )
    every = min(HELD_OUT_EVERY, len(texts))
    train = tuple(text for index, text in enumerate(texts) if index % every != every - 1)
    held_out = tuple(text for index, text in enumerate(texts) if index % every == every - 1)
    digest = hashlib.sha256()
    for text in (*train, "\0held out\0", *held_out):
        digest.update(hashlib.sha256(text.encode()).digest())
    return Text(train, held_out, digest.hexdigest()[:16], origin)


def _sympy_tests() -> Iterator[str]:
    found = find_spec("sympy")
    if found is None or found.origin is None:
        raise MissingText(
            "the default text is the test files of sympy, which is not installed: pip install sympy==1.14.0"
        )
    root = Path(found.origin).parent
    paths = sorted(root.rglob("tests/test_*.py"), key=lambda path: path.relative_to(root).as_posix())
    return (path.read_text(encoding="utf-8") for path in paths)


def _folder(root: Path) -> Iterator[str]:
    if not root.is_dir():
        raise MissingText(f"{root}: no such folder of text files")
    paths = sorted(path for path in root.rglob("*") if path.suffix in TEXT_SUFFIXES and path.is_file())
    return (path.read_text(encoding="utf-8", errors="replace") for path in paths)


def _hugging_face(name: str) -> Iterator[str]:
    try:
        from datasets import load_dataset  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise MissingExtra(
            f"reading hf:{name} needs the datasets package: pip install 'devexplore[datasets]'"
        ) from None
    rows = load_dataset(name, split="train", streaming=True)
    return (row["text"] for row in rows)


def train_tokenizer(texts: tuple[str, ...], vocabulary: int) -> Tokenizer:
    """Byte-level BPE; every text can be written in it, and a token's text is what a person would read."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[FILE_TOKEN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def tokenise(tokenizer: Tokenizer, texts: tuple[str, ...]) -> UInt16[np.ndarray, " token"]:
    """One stream of token ids, each file behind a FILE_TOKEN."""
    opening = tokenizer.token_to_id(FILE_TOKEN)
    parts = [[opening, *encoding.ids] for encoding in tokenizer.encode_batch_fast(list(texts))]
    return np.concatenate([np.array(part, dtype=np.uint16) for part in parts])


def token_texts(tokenizer: Tokenizer) -> list[str]:
    """What each token reads as; bytes that are no whole character show as �."""
    return [
        FILE_TOKEN if index == tokenizer.token_to_id(FILE_TOKEN) else tokenizer.decode([index])
        for index in range(tokenizer.get_vocab_size())
    ]
