"""Lifting: a form, a point of score space, as a predictor on any input.

Every point of the principal subspace is an affine combination Σ_t α_t f(w_t), Σα = 1, of checkpoints' outputs
(method.md §3). The same combination of outputs on *other* inputs lets a form speak about text that it never
saw.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import torch
import xarray as xr
from jaxtyping import Int
from torch import Tensor, nn

from devexplore import schema
from devexplore.arguments import require_run
from devexplore.errors import CheckpointNotFound, InvalidSpec
from devexplore.measure.mixture import NEGLIGIBLE, Mixture, combine, mixture
from devexplore.measure.prompts import Prompt, padded, token_rows
from devexplore.measure.reading import read_predictions, sequences_at_once
from devexplore.measure.subject import Subject
from devexplore.run import Run
from devexplore.stats.token_classes import PADDING
from devexplore.systems.base import check_kind, in_parts
from devexplore.systems.corpus import token_texts

if TYPE_CHECKING:
    from devexplore.systems.language import Language

_PIECE_BYTES: Final = 128 * 2**20

Speak = Callable[[nn.Module, slice], Tensor]
"""(network, which sequences) → its outputs on them."""

Outputs = Callable[[slice], Iterator[np.ndarray]]
"""Which sequences → their outputs, a few checkpoints at a time, in the order of the mixture's."""


def lift(
    run: Run,
    form: xr.Dataset,
    prompt: Prompt | None = None,
    top_k: int = 10,
    *,
    inputs: tuple[np.ndarray, ...] | None = None,
    tolerance: float = NEGLIGIBLE,
) -> xr.Dataset:
    """What a form predicts: on the run's probe, on a ``prompt`` (language), or on other ``inputs``.

    Predictors are given side by side (dimension ``predictor``): ``lifted`` is Σ_t α_t f(w_t), ``nearest`` the
    checkpoint nearest to the form's step in ln(1 + step), ``start`` and ``end`` the first and the last; and
    ``path``, if the form has ``path_weights`` (see ``measure.mixture``), the trajectory's own point there.
    Outputs of the kind that essential dynamics used are combined (logits where it used the true token's), in
    float64, one or a few checkpoints at a time; stored outputs serve on the probe, forward passes elsewhere.

    Args:
        form: a Dataset with ``weights`` (checkpoint), Σα = 1, the coordinate ``checkpoint``, ``step``, and
            ``output_kind`` in its attributes: ``find_forms(ed).isel(form=0)``, or any α of your own.
        prompt: text, several texts, or token ids; each at least one token, at most the network's context.
            Every position is predicted, the last without a target.
        top_k: how many of the most probable tokens are named.
        inputs: (x, y) of shapes (sequence, K, D), (sequence, K) for regression; otherwise as the loss takes
            them.
        tolerance: checkpoints of the smallest |α| are not run while their summed |α| is at most this. What
            that changes is at most this times the largest difference between the lifted outputs and those
            of a checkpoint left out.

    Returns:
        predictor_step (predictor); weights (checkpoint), zero where a checkpoint was left out (attributes
        ``checkpoints_used`` and ``dropped_weight``).
        Language: logits and log_prob (predictor, sequence, position, vocab) unless too large, the top tokens,
        log-probabilities of targets, divergences from the lifted predictor, and probability by token and by
        class; ``measure.reading.read_predictions`` says what each is.
        Others: prediction (predictor, sequence, position …) and reference (ideal, sequence, position …), the
        system's idealised predictors on the same inputs.

    Raises:
        InvalidSpec: for what is no single form with Σα = 1, empty or too long text, a prompt to a network
            that reads no text, inputs of the wrong shape.
        CheckpointNotFound: if weights are needed that the run does not hold.

    Memory, besides what is returned: for language one block of sequences, about 256 MB (or one sequence, if
    that is more); for others, whose predictions are returned whole, those of one checkpoint, or of as many as
    take 128 MB.
    """
    require_run(run)
    mix = mixture(form, tolerance)
    if top_k < 1:
        raise InvalidSpec(f"top_k must be at least 1, got {top_k}")
    _require_its_weights(run, form)
    subject = Subject(run, torch.device("cpu"))
    found_on = str(form.attrs.get("output_kind", subject.system.output_kinds[0]))
    check_kind(subject.system, found_on)
    kind = _lifted_kind(run.system, found_on)
    if run.system == "language":
        if inputs is not None:
            raise InvalidSpec("a language run takes prompt=, text or token ids, not inputs=")
        lifted = _lift_text(subject, mix, kind, prompt, top_k)
    elif prompt is not None:
        raise InvalidSpec(f"a {run.system} run reads no text; give inputs= or nothing (its probe)")
    else:
        lifted = _lift_values(subject, mix, kind, inputs)
    lifted["weights"] = ("checkpoint", mix.alpha, {"long_name": "α, the share of each checkpoint"})
    lifted = lifted.assign_coords(
        predictor=np.array(mix.names, dtype=object),
        predictor_step=("predictor", mix.step),
        checkpoint=form["checkpoint"].values,
    )
    lifted.attrs |= {
        "output_kind": kind,
        "run": run.name,
        "system": run.system,
        "source": "probe" if prompt is None and inputs is None else "prompt" if inputs is None else "inputs",
        "checkpoints_used": int(np.count_nonzero(mix.alpha)),
        "dropped_weight": mix.dropped,
    }
    return lifted


def _require_its_weights(run: Run, form: xr.Dataset) -> None:
    """Raise ``InvalidSpec`` where a form was found on other weights, at its ends or its heaviest."""
    if schema.CONTENT_HASH not in form.coords:
        return
    try:
        checkpoints = run.checkpoints
    except CheckpointNotFound:
        return  # shipped without; its stored outputs are all there is
    steps = form["checkpoint"].values
    for row in {0, len(steps) - 1, int(np.argmax(np.abs(form["weights"].values)))}:
        held = checkpoints.content_hash(int(steps[row]))
        if held != form[schema.CONTENT_HASH].values[row]:
            raise InvalidSpec(
                f"this form was found on other weights than {run.name} has at step {int(steps[row]):,}; "
                "lift it on the run that it comes from"
            )


class _Text(NamedTuple):
    """Token ids of each context (``PADDING`` behind shorter ones), and the positions that are predicted."""

    ids: Int[np.ndarray, "sequence place"]
    positions: Int[np.ndarray, " position"]


def _lift_text(subject: Subject, mix: Mixture, kind: str, prompt: Prompt | None, top_k: int) -> xr.Dataset:
    system: Any = subject.system
    if prompt is None:
        text = _Text(subject.probe_batch[0].numpy(), system.output_positions(kind))
        outputs = _stored(subject.run, kind, mix) or _computed(
            subject, mix, lambda model, rows: system.outputs(model, (subject.probe_batch[0][rows],), kind)
        )
    else:
        ids = _prompt_ids(system, prompt)
        text = _Text(ids, np.arange(ids.shape[1]))
        tokens = torch.from_numpy(np.where(ids == PADDING, 0, ids))  # causal: what is behind changes nothing

        def speak(model: nn.Module, rows: slice) -> Tensor:
            logits = model(tokens[rows])
            return logits.log_softmax(dim=-1) if kind == "log_probs" else logits

        outputs = _computed(subject, mix, speak)
    texts = token_texts(system.tokenizer)
    at_once = sequences_at_once(len(mix.names), len(text.positions), len(texts))
    parts: list[xr.Dataset] = []
    for first in range(0, len(text.ids), at_once):
        rows = slice(first, first + at_once)
        combined = combine(mix.weights, outputs(rows))
        parts.append(read_predictions(combined, text.ids[rows], text.positions, texts, top_k, len(text.ids)))
    return xr.concat(
        parts, "sequence", data_vars="minimal", coords="minimal", compat="override", join="override"
    )


def _lift_values(
    subject: Subject, mix: Mixture, kind: str, inputs: tuple[np.ndarray, ...] | None
) -> xr.Dataset:
    system = subject.system
    batch = subject.probe_batch if inputs is None else _input_batch(subject, inputs)
    stored = _stored(subject.run, kind, mix) if inputs is None else None

    def speak(model: nn.Module, rows: slice) -> Tensor:
        mine = tuple(tensor[rows] for tensor in batch)
        return torch.cat([system.outputs(model, part, kind) for part in in_parts(mine, system.eval_batch)])

    outputs = stored or _computed(subject, mix, speak)
    combined = combine(mix.weights, outputs(slice(None)))
    dims = ("predictor", "sequence", "position", "channel")[: combined.ndim]
    lifted = xr.Dataset({"prediction": (dims, combined, {"long_name": "prediction"})})
    known = system.references(batch, kind, subject.seed)
    lifted["reference"] = (
        ("ideal", *dims[1:]),
        np.stack([outputs.numpy() for outputs in known.values()]),
        {"long_name": "prediction of an idealised predictor"},
    )
    return lifted.assign_coords(ideal=np.array(list(known), dtype=object))


def _lifted_kind(system: str, kind: str) -> str:
    """The outputs to combine: those that essential dynamics used, or what holds them and can be read."""
    if system == "regression":
        return "predictions"  # a part of all logits
    return "logits" if kind == "true_token_logit" else kind


def _stored(run: Run, kind: str, mix: Mixture) -> Outputs | None:
    """The stored outputs, if every checkpoint of the mixture is there with the weights that it has now."""
    group = f"{schema.OUTPUTS}/{kind}"
    if not run.has(group) or "output" not in run.dataset(group):
        return None  # never measured, or only a sketch was kept
    output = run.dataset(group)["output"]
    steps = output[schema.STEP].values
    if not np.isin(mix.checkpoint, steps).all():
        return None
    rows = np.array([np.flatnonzero(steps == step)[0] for step in mix.checkpoint])
    try:
        wanted = [run.checkpoints.content_hash(int(step)) for step in mix.checkpoint]
    except CheckpointNotFound:
        wanted = None  # shipped without weights: what is stored is all there is
    if wanted is not None and wanted != output[schema.CONTENT_HASH].values[rows].tolist():
        return None

    def outputs(sequences: slice) -> Iterator[np.ndarray]:
        block = output.isel(sequence=sequences)
        bytes_each = 8 * block.size // block.sizes[schema.STEP]
        length = max(1, _PIECE_BYTES // bytes_each)
        for first in range(0, len(rows), length):
            yield block.isel({schema.STEP: rows[first : first + length]}).values

    return outputs


def _computed(subject: Subject, mix: Mixture, speak: Speak) -> Outputs:
    """Outputs by forward passes, one checkpoint at a time."""

    def outputs(sequences: slice) -> Iterator[np.ndarray]:
        for step in mix.checkpoint:
            with torch.no_grad():
                yield speak(subject.load(int(step)), sequences)[None].numpy()

    return outputs


def _prompt_ids(system: "Language", prompt: Prompt) -> Int[np.ndarray, "sequence place"]:
    """Token ids of one or several prompts that fit into the context, in rows of equal length."""
    ids, context = padded(token_rows(system, prompt)), system.spec.context
    if ids.shape[1] > context:
        raise InvalidSpec(
            f"this network reads at most {context} tokens, the prompt has {ids.shape[1]}; "
            f"shorten it by {ids.shape[1] - context}"
        )
    return ids


def _input_batch(subject: Subject, inputs: tuple[np.ndarray, ...]) -> tuple[Tensor, ...]:
    """Other inputs as the network takes them: shapes as the probe's, but for the number of sequences."""
    batch = tuple(torch.as_tensor(np.asarray(values), dtype=torch.float32) for values in inputs)
    wanted = [tuple(tensor.shape[1:]) for tensor in subject.probe_batch]
    found = [tuple(tensor.shape[1:]) for tensor in batch]
    if found != wanted or len({len(tensor) for tensor in batch}) != 1 or len(batch[0]) == 0:
        raise InvalidSpec(
            f"expected inputs of shapes {', '.join(str(('n', *shape)) for shape in wanted)}, n at least 1, "
            f"got {', '.join(str(tuple(tensor.shape)) for tensor in batch) or 'none'}"
        )
    return batch
