"""Losses of single predictions together with what each of them reads and predicts."""

from typing import TYPE_CHECKING, Final

import numpy as np
import xarray as xr

from devexplore.arguments import require_run
from devexplore.errors import InvalidSpec, NotMeasured
from devexplore.schema import LOSSES, PROBE, STEP
from devexplore.stats.token_classes import PADDING, TARGET_CLASSES, target_classes

if TYPE_CHECKING:
    from devexplore.run import Run

PLACE: Final = ("sequence", "position")
CONTEXT_TOKENS: Final = 12
"""How many tokens before a prediction are shown as its context."""

NAMES: Final = ("sequence_name", "position_name")
"""Attributes that say what people call a sequence and a position ("text", "mode", "value")."""

_TEXTS: Final = ("token_text", "target_text", "token_id", "target_id")


def labelled_losses(source: "Run | xr.Dataset", probe: "Run | xr.Dataset | None" = None) -> xr.DataArray:
    """token_loss (step, sequence, position) of a run, or of a Dataset laid out like its group ``losses``.

    Coordinates sequence and position count from 0 where the source has none of its own; position p is the
    prediction from tokens 0 … p. For text, token_text (the token read), target_text (the token predicted) and
    their ids are coordinates too: from ``probe`` (a run, or a Dataset like its group ``probe``), else from
    the source itself (a run's own probe; ``dx.token_losses`` holds both); so are its names for the two
    dimensions (``attrs`` sequence_name, position_name). Still lazy if the source is.

    Raises:
        NotMeasured: for a run without token losses.
        InvalidSpec: for what is neither, a Dataset without token_loss or its steps, labels of sequences or
            positions that are no whole numbers, or a probe of another shape.
    """
    if not isinstance(source, xr.Dataset):
        require_run(source, " or the losses of dx.token_losses")
    losses = source if isinstance(source, xr.Dataset) else source.dataset(LOSSES)
    wanted = "expected token_loss (step, sequence, position)"
    if "token_loss" not in losses:
        raise InvalidSpec(
            f"{wanted}, got only {', '.join(map(str, losses)) or 'an empty Dataset'}; "
            "give a run, its dataset('losses'), or what dx.token_losses returns"
        )
    token_loss = losses["token_loss"]
    if set(token_loss.dims) != {STEP, *PLACE} or STEP not in token_loss.coords or token_loss.size == 0:
        raise InvalidSpec(f"{wanted} with the coordinate step, and not empty, got {dict(token_loss.sizes)}")
    missing = {dim: np.arange(token_loss.sizes[dim]) for dim in PLACE if dim not in token_loss.coords}
    for dim in set(PLACE) - set(missing):
        if token_loss[dim].dtype.kind not in "iu":
            raise InvalidSpec(
                f"expected whole numbers as labels of {dim}, got {token_loss[dim].dtype}; "
                f"drop them: losses.drop_vars({dim!r}) counts from 0"
            )
    return with_texts(token_loss.assign_coords(missing), source if probe is None else probe)


def with_texts(values: xr.DataArray, probe: "Run | xr.Dataset | None") -> xr.DataArray:
    """These values (sequence, position, …) with the probe's texts and ids as coordinates, where it has any,
    and its names for sequences and positions as ``attrs``.

    Raises ``InvalidSpec`` for a probe of another shape, or what is none.
    """
    if probe is not None and not isinstance(probe, xr.Dataset):
        require_run(probe, " or a Dataset like its group 'probe' for probe=")
    dataset = probe if isinstance(probe, xr.Dataset) or probe is None else _own_probe(probe)
    held = {} if dataset is None else {name: dataset[name] for name in _TEXTS if name in dataset}
    coords = {}
    for name, texts in held.items():
        if set(texts.dims) != set(PLACE):
            raise InvalidSpec(f"expected {name} (sequence, position) of the probe, got {texts.dims}")
        texts = texts.transpose(*PLACE)
        if any(texts.sizes[dim] != values.sizes[dim] for dim in PLACE):
            sizes = [" × ".join(str(held.sizes[dim]) for dim in PLACE) for held in (values, texts)]
            raise InvalidSpec(
                f"these are losses of {sizes[0]} predictions, the probe has {sizes[1]}; give their own probe"
            )
        coords[name] = (PLACE, texts.values)
    names = {} if dataset is None else {name: dataset.attrs[name] for name in NAMES if name in dataset.attrs}
    return values.assign_coords(coords).assign_attrs(names)


def require_texts(values: xr.DataArray, what: str) -> None:
    """Raise ``InvalidSpec`` unless these values know the tokens that they are of."""
    if not {"token_text", "target_text"} <= set(values.coords):
        raise InvalidSpec(
            f"{what} needs token_text and target_text, which only probes of language runs have; "
            "for other runs take positions or sequences"
        )


def context_before(values: xr.DataArray, sequence: int, position: int, tokens: int = CONTEXT_TOKENS) -> str:
    """The last ``tokens`` tokens that the prediction at these indices is made from, as one string."""
    read = values["token_text"].transpose(*PLACE).values
    return "".join(map(str, read[sequence, max(0, position + 1 - tokens) : position + 1]))


def classes_of(values: xr.DataArray) -> xr.DataArray:
    """Which classes (``stats.token_classes``) the predicted token of each place is in; one may be in several.

    bool (sequence, position, token_class). What counts as seen before, or as induction, is what the same
    sequence shows up to that position. Raises ``InvalidSpec`` without texts.
    """
    require_texts(values, "sorting tokens into classes")
    read, target = (values[f"{which}_text"].transpose(*PLACE).values for which in ("token", "target"))
    texts = np.concatenate([read, target[:, -1:]], axis=1).astype(str)
    key = texts
    if {"token_id", "target_id"} <= set(values.coords):  # tokens that read alike (as �) may be several
        read_id, target_id = (values[f"{which}_id"].transpose(*PLACE).values for which in ("token", "target"))
        key = np.concatenate([read_id, target_id[:, -1:]], axis=1)
    _, first, ids = np.unique(key, return_index=True, return_inverse=True)
    words = texts.ravel()[first].tolist()
    beyond = key == PADDING if key.dtype.kind == "i" else key == ""
    ids = np.where(beyond, PADDING, ids.reshape(key.shape))
    positions = np.arange(values.sizes["position"])
    member = [target_classes(row[None], positions, words)[0] for row in ids]  # one at a time: × vocabulary
    return xr.DataArray(
        np.stack(member),
        dims=(*PLACE, "token_class"),
        coords={"token_class": np.array(TARGET_CLASSES, dtype=object)},
    )


def _own_probe(run: "Run") -> xr.Dataset | None:
    try:
        return run.dataset(PROBE)
    except NotMeasured:
        return None
