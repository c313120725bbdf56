"""Token by token: what each stage taught (figure 4), rankings, groups by when learned, one history."""

from typing import Any, Literal

import numpy as np
import xarray as xr
from plotly.graph_objects import Figure

from devexplore.analysis.labelled_losses import PLACE, labelled_losses
from devexplore.analysis.learning_groups import when_learned
from devexplore.analysis.token_rankings import By, most_changed
from devexplore.analysis.tokens import change_between, loss_change, loss_history
from devexplore.errors import InvalidSpec, NotMeasured
from devexplore.figures.gather import loaded, staged
from devexplore.geometry import nearest_in_log_time
from devexplore.run import Run
from devexplore.schema import LOSSES, PROBE, STEP
from devexplore.views.learning import learning_figure
from devexplore.views.stage_texts import stage_texts
from devexplore.views.style import THEMES, ThemeName
from devexplore.views.token_history import history_figure
from devexplore.views.token_rankings import ranking_figure
from devexplore.views.tokens import dimension_name, grid_labels

_FEW_SEQUENCES = 8


def token_changes(
    source: Run | xr.Dataset,
    sequence: int | None = None,
    *,
    run: Run | None = None,
    stages: xr.Dataset | None = None,
    theme: ThemeName = "light",
) -> str:
    """The same text once a stage, each token coloured by how the loss of predicting it changed: HTML.

    What the paper shows in its figure 4 (Hoogland et al. 2024): red, the loss fell; blue, it rose. Hovering
    tells the number. A run that reads no text shows its positions instead, each sequence of the probe in a
    line of its own, or, of more than eight, their mean. A stage between two checkpoints, both ends of which
    have the same one nearest, has no change of its own: it is left out and named below.

    Args:
        source: a run, or the losses of your own text (``dx.token_losses``), then with
        run: the run that they are of.
        sequence: which text; None: the one whose losses changed most over all stages together.
        stages: of ``dx.find_stages`` (None: the run's).

    Raises ``NotMeasured`` without token losses, ``InvalidSpec`` for an unknown sequence, without the run, or
    where no stage has two checkpoints.
    """
    whose = run if isinstance(source, xr.Dataset) else source
    if whose is None:
        raise InvalidSpec(
            "whose stages? Give the run that these losses are of: token_changes(losses, run=run)"
        )
    losses = _token_losses(source).load()
    found = staged(whose, stages, theme)
    steps = np.array([(mark.start, mark.end) for mark in found.marks], dtype=np.float64)
    ends = nearest_in_log_time(losses[STEP].values, steps)[..., 0]
    marks = [mark for mark, (start, end) in zip(found.marks, ends, strict=True) if start != end]
    if not marks:
        raise InvalidSpec(
            f"no stage has token losses at two checkpoints; they are measured at {losses.sizes[STEP]}"
        )
    changes = [change_between(losses, *pair).transpose(*PLACE) for pair in ends if pair[0] != pair[1]]
    if "target_text" in losses.coords:
        size = np.sum([np.nansum(np.abs(change.values), axis=1) for change in changes], axis=0)
        chosen = int(losses["sequence"].values[size.argmax()]) if sequence is None else sequence
        if chosen not in losses["sequence"].values:
            raise InvalidSpec(f"no sequence {chosen}; there are 0 … {losses.sizes['sequence'] - 1}")
        changes = [change.sel(sequence=[chosen]) for change in changes]
        note = f"Sequence {chosen} of {losses.sizes['sequence']} of the probe. {found.said}"
    else:
        changes, note = _as_text(changes, loaded(whose, PROBE))
        note = f"{note} {found.said}"
    lacking = [mark.name for mark in found.marks if mark not in marks]
    if lacking:
        note += f" Left out, as token losses were measured at one checkpoint alone: {', '.join(lacking)}."
    return stage_texts(changes, marks, found.theme, note)


def token_rankings(
    run: Run,
    stage: str | int,
    *,
    by: "Literal['place'] | By" = "place",
    n: int = 10,
    stages: xr.Dataset | None = None,
    theme: ThemeName = "light",
) -> Figure:
    """What one stage improved and worsened most: single predictions, or means over tokens, classes …

    ``stage``: its name or number, as in ``dx.find_stages`` (``stages``; None: the run's). ``by`` and ``n`` as
    for ``dx.most_changed``, which this draws. Raises as that, and ``NotMeasured`` without token losses.
    """
    if stages is None:
        change = loss_change(run, stage=stage)
    else:
        label = "name" if isinstance(stage, str) else "stage"
        at = np.flatnonzero(stages[label].values == stage)
        if len(at) == 0:
            raise InvalidSpec(f"no stage {stage!r} among {', '.join(map(str, stages[label].values))}")
        change = loss_change(run, stage=stages.isel(stage=int(at[0])))
    rankings = (most_changed(change, n=n, direction=one, by=by) for one in ("improved", "worsened"))
    return ranking_figure(*rankings, theme=THEMES[theme])


def token_groups(run: Run, *, stages: xr.Dataset | None = None, theme: ThemeName = "light") -> Figure:
    """Predictions grouped by the stage in which their loss fell half-way: mean losses, and what they are.

    Draws ``dx.when_learned``. Raises ``NotMeasured`` without token losses.
    """
    losses = _token_losses(run)  # what lacks is said before stages are sought
    found = staged(run, stages, theme)
    groups = when_learned(losses.to_dataset(name="token_loss"), found.stages)
    return learning_figure(groups, found.marks, found.theme)


def token_history(
    run: Run, sequence: int, position: int, *, stages: xr.Dataset | None = None, theme: ThemeName = "light"
) -> Figure:
    """The loss of one prediction over training, smoothed, with the step at which it was half learned.

    Draws ``dx.loss_history``; raises as that.
    """
    found = staged(run, stages, theme)
    return history_figure(loss_history(run, sequence, position), found.marks, found.theme)


def _token_losses(source: Run | xr.Dataset) -> xr.DataArray:
    if isinstance(source, Run) and source.has(LOSSES) and "token_loss" not in source.dataset(LOSSES):
        raise NotMeasured(f"{source.name} holds no losses of single predictions; {source.remedy('losses')}")
    return labelled_losses(source)


def _as_text(changes: list[xr.DataArray], probe: xr.Dataset | None) -> tuple[list[xr.DataArray], str]:
    """Changes whose "tokens" are the labels of positions, and a note that says so."""
    count = changes[0].sizes["sequence"]
    row, column = (dimension_name(probe, dim) for dim in ("sequence", "position"))
    note = f"Every row: {column}s of the probe"
    if count > _FEW_SEQUENCES:
        changes = [change.mean("sequence", keep_attrs=True).expand_dims("sequence") for change in changes]
        note += f", means of {count} {row}s."
    else:
        note += f"; every line a {row} of its own."
    labels = grid_labels(changes[0], probe, "position")
    if labels == [str(i) for i in range(len(labels))]:
        labels = [str(i + 1) for i in range(len(labels))]  # people count examples from 1
    words = np.array([f" {label} " for label in labels], dtype=object)
    rows = changes[0].sizes["sequence"]
    ends = np.tile(words, (rows, 1))
    ends[:-1, -1] = [f"{ends[0, -1]}\n"] * (rows - 1)
    coords: dict[str, Any] = {
        "target_text": (("sequence", "position"), ends),
        "token_text": (("sequence", "position"), np.full(ends.shape, "", dtype=object)),
    }
    return [change.assign_coords(coords) for change in changes], note
