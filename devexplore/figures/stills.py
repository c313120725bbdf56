"""The figures of a run as files for a paper."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import plotly.graph_objects as go

from devexplore.analysis.stages import find_stages
from devexplore.arguments import require_run
from devexplore.errors import DevexploreError, InvalidSpec, MissingExtra, NotMeasured
from devexplore.figures.chains import chains
from devexplore.figures.development import development, trajectory
from devexplore.figures.gather import LACKING, dynamics_of
from devexplore.figures.landscape import landscape
from devexplore.figures.order import agreement, developments
from devexplore.figures.stage_analysis import stage_analysis
from devexplore.figures.stages import stages as stages_figure
from devexplore.figures.tokens import token_changes, token_groups, token_rankings
from devexplore.figures.toy_models import k_gons, staircase
from devexplore.paths import as_path, check_place, replacing, write_whole
from devexplore.run import Run

FORMATS: Final = ("pdf", "png", "svg")

DOTS: Final = 3
"""Dots of a PNG for each pixel of the figure: 288 to the inch."""

Progress = Callable[[int, int, str], None]


class Saved(NamedTuple):
    """What was written, and why the other figures were not."""

    files: list[Path]
    left_out: dict[str, str]


def save(
    run: Run,
    folder: str | os.PathLike[str],
    formats: Sequence[str] = ("pdf", "png"),
    *,
    progress: Progress | None = None,
) -> Saved:
    """Write every figure that the run has what it needs for, as ``<name>.pdf`` and so on, in the light theme.

    A PDF or SVG holds letters and lines; it is 11.5 inches (291 mm) wide with letters of 8 points and more,
    and is scaled with the page that takes it in. A PNG has 288 dots to that inch. ``token_changes`` is text,
    and is written as HTML; of ``token_rankings`` there is one a stage.

    Args:
        folder: made where it is not there; files of these names are replaced, all pictures at once.
        formats: of "pdf", "png" and "svg".
        progress: called with done, total and what is being done.

    Gives the files, and for each figure left out why. Raises ``InvalidSpec`` for other formats,
    ``MissingExtra`` without the package kaleido or a Chrome or Chromium, which draw the pictures,
    ``NotWritable`` where the folder cannot be written.
    """
    require_run(run)
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise InvalidSpec(f"formats are of {', '.join(FORMATS)}; got {', '.join(unknown) or 'none'}")
    write = _writer()
    saved, pictures = Saved([], {}), []
    place = as_path(folder, "a folder for the figures")
    check_place(place / f"stages.{formats[0]}", "figures")
    drawings = list(_drawings(run))
    for done, (name, draw) in enumerate(drawings):
        if progress is not None:
            progress(done, len(drawings), f"drawing {name}")
        try:
            figure = draw()
        except LACKING as error:
            saved.left_out[name] = str(error)
            continue
        if isinstance(figure, str):
            saved.files.append(write_whole(place / f"{name}.html", figure, "the figure"))
            continue
        figure = _printed(figure)
        for kind in formats:
            saved.files.append(place / f"{name}.{kind}")
            pictures.append(_picture(figure, saved.files[-1], kind))
    if progress is not None:
        progress(len(drawings), len(drawings), "writing pictures")
    write(pictures)
    return saved


def _drawings(run: Run) -> Iterator[tuple[str, Callable[[], go.Figure | str]]]:
    """Every figure of one run by name, with what several of them need found once."""
    try:
        stages = find_stages(run)
    except NotMeasured:
        stages = None  # each figure says so
    dynamics, _ = dynamics_of(run, None)
    yield "stages", partial(stages_figure, run, stages=stages)
    yield "development", partial(development, run, stages=stages, dynamics=dynamics)
    yield "trajectory", partial(trajectory, run, stages=stages, dynamics=dynamics)
    yield "stage_analysis", partial(stage_analysis, run, stages=stages)
    yield "developments", partial(developments, run, stages=stages)
    yield "agreement", partial(agreement, run, stages=stages)
    yield "chains", partial(chains, run, stages=stages)
    yield "landscape", partial(landscape, run, stages=stages)
    yield "token_changes", partial(token_changes, run, stages=stages)
    yield "token_groups", partial(token_groups, run, stages=stages)
    for number in [] if stages is None else stages["stage"].values.tolist():
        yield f"token_rankings_{number}", partial(token_rankings, run, number, stages=stages)
    if run.system == "superposition":
        yield "k_gons", partial(k_gons, run, stages=stages)
    if run.system == "deep_linear":
        yield "staircase", partial(staircase, run, stages=stages)


def _printed(figure: go.Figure) -> go.Figure:
    """On paper a slider is the words that it stands at."""
    layout: Any = figure.layout
    for slider in layout.sliders:
        at, step = slider.currentvalue, slider.steps[slider.active]
        figure.add_annotation(
            text=f"{at.prefix}{step.label}",
            font=at.font.to_plotly_json(),
            x=slider.x,
            y=slider.y,
            xref="paper",
            yref="paper",
            xanchor="left",
            yanchor="top",
            showarrow=False,
        )
    layout.sliders = ()
    return figure


def _picture(figure: go.Figure, file: Path, kind: str) -> dict[str, Any]:
    size: Any = figure["layout"]
    scale = DOTS if kind == "png" else 1
    options = {"format": kind, "width": size["width"], "height": size["height"], "scale": scale}
    return {"fig": figure, "path": file, "opts": options}


def _writer() -> Callable[[list[dict[str, Any]]], None]:
    """Writes pictures through kaleido: its own tab of a Chrome, with the Plotly of this machine, offline."""
    try:
        import kaleido
        from kaleido.errors import ChromeNotFoundError
    except ImportError as error:
        raise MissingExtra('pictures need kaleido: pip install "devexplore[stills]"') from error

    def write(pictures: list[dict[str, Any]]) -> None:
        with ExitStack() as stack:
            beside = [stack.enter_context(replacing(one["path"], "the picture")) for one in pictures]
            written = [one | {"path": file} for one, file in zip(pictures, beside, strict=True)]
            try:
                failed = kaleido.write_fig_from_object_sync(written, kopts={"mathjax": False})
            except ChromeNotFoundError as error:
                raise MissingExtra(
                    "pictures need Chrome or Chromium: install one, or name it in the variable BROWSER_PATH"
                ) from error
            for error in failed or ():
                if isinstance(error, OSError):
                    raise error  # the disk's, not the picture's
            if failed:
                raise DevexploreError(f"{len(failed)} pictures were not written: {failed[0]}") from failed[0]

    return write
