"""Reading a lifted form, so that it can be named: which classes, tokens and contexts it favours.

Everything is a comparison with another predictor of the same lift: the trajectory's own point at that time, a
checkpoint, the start or the end of training.
"""

from typing import Final, Literal, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

from devexplore.errors import InvalidSpec
from devexplore.schema import LIFTED, NEAREST, PATH

Direction = Literal["favoured", "disfavoured"]

_WINDOW: Final = 16
_TOP: Final = 5


class FormReading(NamedTuple):
    """What tells a form from ``reference``. Each table is a Dataset, ranked, what is favoured first."""

    reference: str
    predicted_classes: xr.Dataset
    target_classes: xr.Dataset
    favoured_contexts: xr.Dataset
    disfavoured_contexts: xr.Dataset
    favoured_tokens: xr.Dataset
    disfavoured_tokens: xr.Dataset


def read_form(lifted: xr.Dataset, reference: str | None = None, n: int = 20) -> FormReading:
    """Everything by which a language form can be named, from a ``dx.lift``.

    ``reference`` is one of ``lifted.predictor``; the default is ``path``, the trajectory's own point at the
    form's time, or without it ``nearest``. ``n`` contexts and tokens are listed in each direction. Standard
    errors (``…_se``) are those of means over sequences drawn anew, since neighbouring positions of one text
    are not independent; NaN where fewer than two sequences hold any of the positions.

    Raises:
        InvalidSpec: for a lift of no language run, or an unknown reference.
    """
    reference = chosen_reference(lifted, reference)
    return FormReading(
        reference,
        predicted_classes(lifted, reference),
        target_classes(lifted, reference),
        ranked_contexts(lifted, reference, n, "favoured"),
        ranked_contexts(lifted, reference, n, "disfavoured"),
        ranked_tokens(lifted, reference, n, "favoured"),
        ranked_tokens(lifted, reference, n, "disfavoured"),
    )


def predicted_classes(lifted: xr.Dataset, reference: str | None = None) -> xr.Dataset:
    """How much probability the form puts on each class of tokens, and how much more than the reference.

    mass, reference_mass, mass_change, mass_change_se (predicted_class), means over all positions, ranked by
    mass_change. ``seen before`` and ``induction`` are classes of tokens that depend on the context: those it
    has shown, and those that followed earlier occurrences of the current token.
    """
    reference = chosen_reference(lifted, reference)
    both = lifted["class_mass"].sel(predictor=[LIFTED, reference])
    both = both.transpose("predictor", "sequence", "position", "predicted_class").values
    there = np.isfinite(both[0])
    count = there.sum(axis=1)
    mass, reference_mass = (np.where(there, one, 0.0).sum(axis=(0, 1)) / count.sum(axis=0) for one in both)
    change = np.where(there, both[0] - both[1], 0.0).sum(axis=1)
    table = xr.Dataset(
        {
            "mass": ("predicted_class", mass),
            "reference_mass": ("predicted_class", reference_mass),
            "mass_change": ("predicted_class", mass - reference_mass),
            "mass_change_se": ("predicted_class", _ratio_se(change, count)),
        },
        coords={"predicted_class": lifted["predicted_class"].values},
        attrs=_attrs(lifted, reference),
    )
    return table.isel(predicted_class=np.argsort(-table["mass_change"].values, kind="stable"))


def target_classes(lifted: xr.Dataset, reference: str | None = None) -> xr.Dataset:
    """Where the form predicts better: log p(target) of the form less that of the reference, by target class.

    log_prob_change (nats), log_prob_change_se, count of positions (target_class), ranked; ``every position``
    is among them. NaN where no target is in the class.
    """
    reference = chosen_reference(lifted, reference)
    change = _target_change(lifted, reference).values[..., None]
    member = lifted["target_is"].transpose("sequence", "position", "target_class").values
    names = [*lifted["target_class"].values, "every position"]
    counted = np.concatenate([member, np.ones_like(member[..., :1])], axis=-1) & np.isfinite(change)
    total, count = np.where(counted, change, 0.0).sum(axis=1), counted.sum(axis=1)
    with np.errstate(invalid="ignore"):
        mean = total.sum(axis=0) / count.sum(axis=0)
    table = xr.Dataset(
        {
            "log_prob_change": ("target_class", mean, {"units": "nats"}),
            "log_prob_change_se": ("target_class", _ratio_se(total, count), {"units": "nats"}),
            "count": ("target_class", count.sum(axis=0)),
        },
        coords={"target_class": np.array(names, dtype=object)},
        attrs=_attrs(lifted, reference),
    )
    return table.isel(target_class=np.argsort(-np.nan_to_num(mean, nan=-np.inf), kind="stable"))


def ranked_contexts(
    lifted: xr.Dataset, reference: str | None = None, n: int = 20, direction: Direction = "favoured"
) -> xr.Dataset:
    """The positions whose true next token the form gives most (or least) log-probability over the reference.

    Over ``rank`` = 1 … n: sequence, position, probability of the true token, log_prob_change (nats),
    divergence = KL(lifted ‖ reference), context (the text before, token_text included), token_text,
    target_text, and (rank, top) top_text, top_probability, reference_top_text, reference_top_probability.
    Only true changes in the direction are listed.
    """
    sign, reference = _sign(direction), chosen_reference(lifted, reference)
    change = _target_change(lifted, reference)
    flat = sign * change.values.ravel()
    order = np.argsort(-np.where(np.isfinite(flat), flat, -np.inf), kind="stable")[: max(n, 0)]
    order = order[flat[order] > 0]
    sequence, index = np.unravel_index(order, change.shape)
    position = change["position"].values[index]
    chosen = {"sequence": xr.DataArray(sequence, dims="rank"), "position": xr.DataArray(index, dims="rank")}
    here = lifted.isel(chosen | {"top": slice(_TOP)}).transpose(..., "rank", "top", missing_dims="ignore")
    words = lifted["context_text"].transpose("sequence", "place").values
    context = [
        "".join(words[s, max(0, p + 1 - _WINDOW) : p + 1]) for s, p in zip(sequence, position, strict=True)
    ]
    own, other = here.sel(predictor=LIFTED), here.sel(predictor=reference)
    return xr.Dataset(
        {
            "sequence": ("rank", sequence),
            "position": ("rank", position),
            "probability": ("rank", np.exp(own["target_log_prob"].values)),
            "log_prob_change": ("rank", sign * flat[order], {"units": "nats"}),
            "divergence": ("rank", other["divergence"].values, {"units": "nats"}),
            "context": ("rank", np.array(context, dtype=object)),
            "token_text": ("rank", own["token_text"].values),
            "target_text": ("rank", own["target_text"].values),
            "top_text": (("rank", "top"), own["top_text"].values),
            "top_probability": (("rank", "top"), own["top_probability"].values),
            "reference_top_text": (("rank", "top"), other["top_text"].values),
            "reference_top_probability": (("rank", "top"), other["top_probability"].values),
        },
        coords={"rank": np.arange(1, len(order) + 1)},
        attrs=_attrs(lifted, reference) | {"direction": direction},
    )


def ranked_tokens(
    lifted: xr.Dataset, reference: str | None = None, n: int = 20, direction: Direction = "favoured"
) -> xr.Dataset:
    """The tokens whose predicted probability, averaged over positions, rises (or falls) most from reference.

    Over ``rank`` = 1 … n: token_text, token_id, probability, reference_probability, probability_change and
    its standard error over sequences. Texts of several lengths count alike.
    """
    sign, reference = _sign(direction), chosen_reference(lifted, reference)
    both = lifted["token_probability"].sel(predictor=[LIFTED, reference])
    own, other = both.transpose("predictor", "sequence", "vocab").values.astype(np.float64)
    change = (own - other).mean(axis=0)
    order = np.argsort(-sign * change, kind="stable")[: max(n, 0)]
    order = order[sign * change[order] > 0]
    moved = (own - other)[:, order]
    return xr.Dataset(
        {
            "token_text": ("rank", lifted["vocab_text"].values[order]),
            "token_id": ("rank", order),
            "probability": ("rank", own[:, order].mean(axis=0)),
            "reference_probability": ("rank", other[:, order].mean(axis=0)),
            "probability_change": ("rank", change[order]),
            "probability_change_se": ("rank", _ratio_se(moved, np.ones_like(moved))),
        },
        coords={"rank": np.arange(1, len(order) + 1)},
        attrs=_attrs(lifted, reference) | {"direction": direction},
    )


def chosen_reference(lifted: xr.Dataset, reference: str | None = None) -> str:
    """The predictor to compare with: the one asked for, else ``path``, else ``nearest``."""
    if not isinstance(lifted, xr.Dataset) or "target_log_prob" not in lifted:
        raise InvalidSpec(
            "only a lift of a language run predicts tokens; for others use reference_distances(lifted)"
        )
    if not {"predictor", "sequence", "position"} <= set(lifted["target_log_prob"].dims):
        raise InvalidSpec(
            "expected a whole lift; choose texts with lifted.isel(sequence=[0]), not isel(sequence=0)"
        )
    others = [str(name) for name in lifted["predictor"].values if name != LIFTED]
    if reference is None:
        reference = PATH if PATH in others else NEAREST
    if reference not in others:
        raise InvalidSpec(f"reference must be one of {', '.join(others)}, got {reference!r}")
    return reference


def _target_change(lifted: xr.Dataset, reference: str) -> xr.DataArray:
    log_prob = lifted["target_log_prob"].transpose("predictor", "sequence", "position")
    return log_prob.sel(predictor=LIFTED, drop=True) - log_prob.sel(predictor=reference, drop=True)


def _ratio_se(total: Float[np.ndarray, "sequence k"], count: np.ndarray) -> Float[np.ndarray, " k"]:
    """Standard error of r = Σ total / Σ count over sequences drawn anew, to first order (delta method):
    √(S/(S − 1)·Σ(total − r·count)²) / Σ count; NaN where fewer than two of the S sequences count any.

    Sequences are the independent units: neighbouring positions of one text are not.
    """
    known = (count > 0).sum(axis=0) >= 2
    total, count, sequences = total[:, known], count[:, known], len(total)
    ratio = total.sum(axis=0) / count.sum(axis=0)
    squares = ((total - ratio * count) ** 2).sum(axis=0)
    se = np.full(len(known), np.nan)
    if sequences > 1:
        se[known] = np.sqrt(sequences / (sequences - 1) * squares) / count.sum(axis=0)
    return se


def _attrs(lifted: xr.Dataset, reference: str) -> dict[str, object]:
    return {
        "reference": reference,
        "reference_step": float(lifted["predictor_step"].sel(predictor=reference)),
        "sequences": lifted.sizes["sequence"],
    }


def _sign(direction: str) -> int:
    if direction not in ("favoured", "disfavoured"):
        raise InvalidSpec(f"direction must be 'favoured' or 'disfavoured', got {direction!r}")
    return 1 if direction == "favoured" else -1
