"""Token by token: what each stage taught (figure 4), rankings, groups by when learned, one history."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr
from plotly.graph_objects import Figure

from devexplore.analysis.labelled_losses import PLACE, labelled_losses
from devexplore.analysis.learning_groups import when_learned
from devexplore.analysis.token_rankings import By, most_changed
from devexplore.analysis.tokens import change_between, loss_change, loss_history
from devexplore.checks import whole_number
from devexplore.errors import InvalidSpec, NotMeasured
from devexplore.figures.gather import loaded, staged
from devexplore.geometry import nearest_in_log_time
from devexplore.run import Run
from devexplore.schema import LOSSES, PROBE, STEP
from devexplore.tree_run import Source, run_of
from devexplore.views.learning import learning_figure
from devexplore.views.stage_texts import stage_texts
from devexplore.views.style import ThemeName
from devexplore.views.token_history import history_figure
from devexplore.views.token_rankings import ranking_figure
from devexplore.views.token_words import called
from devexplore.views.tokens import dimension_name, grid_labels, label_values
from devexplore.views.visuals import How, Visuals

_FEW_SEQUENCES = 8
_MANY_CELLS = 64


def token_changes(
    source: Source,
    sequence: int | None = None,
    *,
    run: Source | None = None,
    stages: xr.Dataset | None = None,
    theme: ThemeName = "light",
    visuals: Mapping[str, bool] | None = None,
) -> str:
    """The same text once a stage, each token coloured by how the loss of predicting it changed: HTML.

    What the paper shows in its figure 4 (Hoogland et al. 2024): red, the loss fell; blue, it rose. Hovering
    tells the number. A run that reads no text shows its positions instead, each sequence of the probe in a
    line of its own, or, of more than eight, their mean (where each has one position alone, up to 64 sequences
    stand side by side). A stage between two checkpoints, both ends of which have the same one nearest, has no
    change of its own: it is left out and named below.

    Args:
        source: a run, a DataTree of one, or losses of single predictions: a run's own
            (``run.dataset("losses")``), or those of your own text (``dx.token_losses``), these with
        run: the run that they are of (its stages are shown, and the labels of its probe).
        sequence: which text, from 0 (the note counts from 1); None: the one whose losses changed most over
            all stages together.
        stages: of ``dx.find_stages`` (None: the run's; of losses alone, those of their test loss).
        visuals: "legend" (what the colours mean) and "caption": False or True.

    Raises ``NotMeasured`` without token losses, ``InvalidSpec`` for an unknown sequence, without the run, for
    losses of another run where no stages are given, or where no stage has two checkpoints.
    """
    look = Visuals("token_changes", visuals)
    whose, source = _whose(source, run, stages)
    losses = _token_losses(source).load()
    found = staged(whose, stages, theme)
    steps = np.array([(mark.start, mark.end) for mark in found.marks], dtype=np.float64)
    ends = nearest_in_log_time(losses[STEP].values, steps)[..., 0]
    marks = [mark for mark, (start, end) in zip(found.marks, ends, strict=True) if start != end]
    if not marks:
        raise InvalidSpec(
            f"no stage has token losses at two checkpoints; they are measured at {losses.sizes[STEP]}"
        )
    pairs = [pair for pair in ends if pair[0] != pair[1]]
    changes = [change_between(losses, *pair).transpose(*PLACE) for pair in pairs]
    if "target_text" in losses.coords:
        size = np.sum([np.nansum(np.abs(change.values), axis=1) for change in changes], axis=0)
        chosen = int(losses["sequence"].values[size.argmax()]) if sequence is None else sequence
        if chosen not in losses["sequence"].values:
            raise InvalidSpec(f"no sequence {chosen}; there are 0 … {losses.sizes['sequence'] - 1}")
        changes = [change.sel(sequence=[chosen]) for change in changes]
        note = _which_text(losses, chosen)
    else:
        changes, note = _as_text(changes, loaded(whose, PROBE))
    between = ", ".join(
        f"{mark.name} {change.attrs['step_from']:,} → {change.attrs['step_to']:,}"
        for mark, change in zip(marks, changes, strict=True)
    )
    note += f" Changes are between the checkpoints nearest to a stage's ends: {between}. {found.said}"
    lacking = [mark.name for mark in found.marks if mark not in marks]
    if lacking:
        note += f" Left out, as token losses were measured at one checkpoint alone: {', '.join(lacking)}."
    return stage_texts(changes, marks, found.theme, note, look)


def token_rankings(
    source: Source,
    stage: str | int,
    *,
    by: "Literal['place'] | By" = "place",
    n: int = 10,
    run: Source | None = None,
    stages: xr.Dataset | None = None,
    theme: ThemeName = "light",
    visuals: Mapping[str, How] | None = None,
) -> Figure:
    """What one stage improved and worsened most: single predictions, or means over tokens, classes …

    ``source`` and ``run``: as for ``token_changes``. ``stage``: its name or number, as in ``dx.find_stages``
    (``stages``; None: the run's). ``by`` and ``n`` as for ``dx.most_changed``, which this draws. Raises as
    that, and ``NotMeasured`` without token losses.
    ``visuals``: layers and how they are drawn (``dx.figures.LAYERS["token_rankings"]``).
    """
    look = Visuals("token_rankings", visuals)
    whose, source = _whose(source, run, stages)
    losses = _token_losses(source)
    found = staged(whose, stages, theme)
    if found.stages is None:
        raise NotMeasured(f"{whose.name}: {found.said}")
    label = "name" if isinstance(stage, str) else "stage"
    stage = stage if isinstance(stage, str) else whole_number("stage, unless it is a name,", stage)
    at = np.flatnonzero(found.stages[label].values == stage)
    if len(at) == 0:
        raise InvalidSpec(f"no stage {stage!r} among {', '.join(map(str, found.stages[label].values))}")
    change = loss_change(losses.to_dataset(name="token_loss"), stage=found.stages.isel(stage=int(at[0])))
    rankings = (most_changed(change, n=n, direction=one, by=by) for one in ("improved", "worsened"))
    figure = ranking_figure(
        *rankings,
        theme=found.theme,
        title=f"What {found.marks[at[0]].name} changed most: {_of(source, whose)}",
        said=found.said,
        labels=_labels(losses, whose),
        visuals=look,
    )
    return look.applied(figure)


def token_groups(
    source: Source,
    *,
    run: Source | None = None,
    stages: xr.Dataset | None = None,
    theme: ThemeName = "light",
    visuals: Mapping[str, How] | None = None,
) -> Figure:
    """Predictions grouped by the stage in which their loss fell half-way: mean losses, and what they are.

    Draws ``dx.when_learned``, which says why the curves of these groups must be read with care: they are
    chosen by the very losses that are shown. ``source`` and ``run``: as for ``token_changes``. Raises as
    that, and ``NotMeasured`` without token losses.
    ``visuals``: layers and how they are drawn (``dx.figures.LAYERS["token_groups"]``).
    """
    look = Visuals("token_groups", visuals)
    whose, source = _whose(source, run, stages)
    losses = _token_losses(source)  # what lacks is said before stages are sought
    found = staged(whose, stages, theme)
    groups = when_learned(losses.to_dataset(name="token_loss"), found.stages)
    title = f"When predictions are learned: {_of(source, whose)}"
    said = found.said_of_lines(look)
    return look.applied(learning_figure(groups, found.marks, found.theme, title, said, look))


def token_history(
    source: Source,
    sequence: int,
    position: int,
    *,
    run: Source | None = None,
    stages: xr.Dataset | None = None,
    theme: ThemeName = "light",
    visuals: Mapping[str, How] | None = None,
) -> Figure:
    """The loss of one prediction over training, smoothed, with the step at which it was half learned.

    ``source`` and ``run``: as for ``token_changes``. ``sequence`` and ``position`` count from 0, as in the
    Datasets; the figure shows them from 1. Draws ``dx.loss_history``; raises as that.
    ``visuals``: layers and how they are drawn (``dx.figures.LAYERS["token_history"]``).
    """
    look = Visuals("token_history", visuals)
    whose, source = _whose(source, run, stages)
    losses = _token_losses(source)
    found = staged(whose, stages, theme)
    history = loss_history(losses.to_dataset(name="token_loss"), sequence, position)
    title = f"Loss of one prediction: {_of(source, whose)}"
    said, labels = found.said_of_lines(look), _labels(losses, whose)
    return look.applied(history_figure(history, found.marks, found.theme, title, said, labels, look))


def _whose(source: Source, run: Source | None, stages: xr.Dataset | None) -> tuple[Run, Run | xr.Dataset]:
    """The run whose stages are meant, and the run or the losses that are drawn."""
    if not isinstance(source, xr.Dataset):
        source = run_of(source, "losses of dx.token_losses")
        return source, source
    if run is None and _own_text(source):
        raise InvalidSpec("whose stages? Give the run that these losses are of, run=run")
    whose = run_of(source if run is None else run)
    theirs = source.attrs.get("run", whose.name)
    if theirs != whose.name and stages is None:
        raise InvalidSpec(
            f"these are losses of the run {theirs}, not of {whose.name}; give that one, or stages=…"
        )
    return whose, source


def _of(source: Run | xr.Dataset, whose: Run) -> str:
    """What the losses are of, in words."""
    return f"own text, read by {whose.name}" if _own_text(source) else f"probe of {whose.name}"


def _own_text(losses: Any) -> bool:
    return "first_token" in getattr(losses, "coords", ())


def _which_text(losses: xr.DataArray, chosen: int) -> str:
    """Which text of how many, counted from 1."""
    index = losses["sequence"].values.tolist().index(chosen)
    if not _own_text(losses):
        one, many = called(losses.attrs, "sequence").capitalize(), losses.sizes["sequence"]
        return f"{one} {index + 1} of {many} of the probe."
    text = losses["text"].values
    texts, windows = len(np.unique(text)), np.flatnonzero(text == text[index])
    which = f"Your own text{f' {int(text[index]) + 1} of {texts}' if texts > 1 else ''}"
    window = f", window {windows.tolist().index(index) + 1} of {len(windows)}" if len(windows) > 1 else ""
    return f"{which}{window}."


def _labels(losses: xr.DataArray, run: Run) -> dict[str, dict[int, str]]:
    """What people call sequences and positions: the probe's values along them, else numbers from 1; labels
    that the losses have of their own stay as they are."""
    probe = None if _own_text(losses) else loaded(run, PROBE)
    labels = {}
    for dim in PLACE:
        own = losses[dim].values.tolist()
        counted = own == list(range(len(own)))
        labels[dim] = dict(
            zip(own, grid_labels(losses, probe, dim) if counted else map(str, own), strict=True)
        )
    return labels


def _token_losses(source: Run | xr.Dataset) -> xr.DataArray:
    if isinstance(source, Run) and source.has(LOSSES) and "token_loss" not in source.dataset(LOSSES):
        raise NotMeasured(f"{source.name} holds no losses of single predictions; {source.remedy('losses')}")
    return labelled_losses(source)


def _as_text(changes: list[xr.DataArray], probe: xr.Dataset | None) -> tuple[list[xr.DataArray], str]:
    """Changes whose "tokens" are the labels of positions, and a note that says so; where each sequence has
    one position alone, the labels of sequences."""
    count = changes[0].sizes["sequence"]
    row, column = (dimension_name(probe, dim) for dim in PLACE)
    labels = grid_labels(changes[0], probe, "position")
    cell, by = column, "position"
    said = f"; every line a {row} of its own."
    if changes[0].sizes["position"] == 1 and count <= _MANY_CELLS:
        labels = grid_labels(changes[0], probe, "sequence")
        swap = {"sequence": "position", "position": "sequence"}
        changes = [change.rename(swap).transpose(*PLACE) for change in changes]
        cell, by, said = row, "sequence", "."
    elif count > _FEW_SEQUENCES:
        changes = [change.mean("sequence", keep_attrs=True).expand_dims("sequence") for change in changes]
        said = f", means of {count} {row}s."
    values = label_values(probe, by)
    named = cell if values is None else str(values.name).replace("_", " ")
    note = f"Cells: {cell}s of the probe{'' if named == cell else f', by {named}'}{said}"
    words = np.array([f" {label} " for label in labels], dtype=object)
    rows = changes[0].sizes["sequence"]
    ends = np.tile(words, (rows, 1))
    ends[:-1, -1] = [f"{ends[0, -1]}\n"] * (rows - 1)
    coords: dict[str, Any] = {
        "target_text": (PLACE, ends),
        "token_text": (PLACE, np.full(ends.shape, "", dtype=object)),
    }
    return [change.assign_coords(coords) for change in changes], note
