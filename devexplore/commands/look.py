"""Commands that show: explore, stages."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devexplore import schema
from devexplore.errors import InvalidSpec, RunNotFound, StoreConflict
from devexplore.paths import is_there

if TYPE_CHECKING:
    import xarray as xr


def add_commands(commands: Any) -> None:
    """Their options, on the subparsers of the command line."""
    explore = commands.add_parser(
        "explore", help="open the explorer in the browser (bundled runs when none is named)"
    )
    explore.add_argument("runs", nargs="*", metavar="RUN")
    explore.add_argument(
        "--port", type=int, default=5006, help="port on localhost (default 5006, or the next free one)"
    )
    explore.add_argument(
        "--select",
        type=Path,
        metavar="FILE",
        help="open the view that was saved from the page as FILE (.json)",
    )
    explore.add_argument("--no-browser", action="store_true", help="serve without opening the browser")
    explore.set_defaults(run_command=_explore)

    stages = commands.add_parser("stages", help="print a run's stages; bring boundaries in and out as files")
    stages.add_argument("run", metavar="RUN", help="run folder, or the name of a bundled run")
    stages.add_argument(
        "--export", type=Path, metavar="FILE", help="write the boundaries to FILE (.toml or .json)"
    )
    change = stages.add_mutually_exclusive_group()
    change.add_argument(
        "--import", dest="take", type=Path, metavar="FILE", help="take the boundaries in FILE for this run"
    )
    change.add_argument(
        "--reset", action="store_true", help="go back to the boundaries that the curve proposes"
    )
    stages.add_argument(
        "--changes",
        metavar="CURVE",
        help="print where CURVE (llc, test_loss, a metric …) goes from level to level: for staircases",
    )
    stages.set_defaults(run_command=_stages)


def _explore(options: argparse.Namespace) -> None:
    from devexplore.app.page import serve
    from devexplore.app.recent import remember
    from devexplore.app.select import saved_view
    from devexplore.run import bundled_runs, open_run

    if not 0 <= options.port <= 65535:
        raise InvalidSpec(f"--port must be between 0 and 65535, got {options.port}")
    bundled = bundled_runs()
    paths = (
        options.runs if options.runs else [bundled[name] for name in sorted(bundled, key=_literature_order)]
    )
    if not paths:
        raise RunNotFound("no bundled runs found; name a run folder: devexplore explore RUN")
    selection = None if options.select is None else saved_view(options.select, "--select")
    opened = [open_run(path) for path in paths]
    for run in reversed(opened if options.runs else []):
        remember(run)
    serve(
        opened,
        port=options.port,
        open_browser=not options.no_browser,
        selection=selection,
    )


def _literature_order(name: str) -> int:
    """Language first: the run that most people come for."""
    return schema.SYSTEMS.index(name) if name in schema.SYSTEMS else len(schema.SYSTEMS)


def _stages(options: argparse.Namespace) -> None:
    from devexplore.analysis import find_stages
    from devexplore.analysis.annotations import Boundaries, boundaries_kind
    from devexplore.analysis.change_points import change_points
    from devexplore.analysis.own_boundaries import boundaries, reset_boundaries, save_boundaries
    from devexplore.run import open_run

    run = open_run(options.run)  # whatever can be wrong is found before anything is written
    if options.export is not None:
        boundaries_kind(options.export)
        if is_there(options.export):
            raise StoreConflict(f"{options.export} exists; choose another file with --export")
    taken = None if options.take is None else Boundaries.from_file(options.take)
    changes = None if options.changes is None else change_points(run, curve=options.changes)
    if taken is not None:
        print(f"saved: {save_boundaries(run, taken)}")
    if options.reset:
        kept = reset_boundaries(run)
        print("there were none to reset" if kept is None else f"reset; what was saved is kept as {kept}")
    if options.export is not None:
        print(f"written: {boundaries(run).to_file(options.export)}")
    if changes is not None:
        print(
            f"{run.name}: changes of level of {options.changes}, with 90 % intervals\n{change_table(changes)}"
        )
        return
    stages = find_stages(run)
    print(f"{run.name}: {stages.attrs['note']}")
    print(stage_table(stages))


def stage_table(stages: "xr.Dataset") -> str:
    """The stages of ``find_stages`` as lines of text, each with the boundary at its end; then the notes."""
    head = ("stage", "start", "end", "type", "Δloss", "ΔLLC ± SE", "boundary", "probability", "90 % interval")
    rows: list[tuple[str, ...]] = [head]
    notes: list[str] = []
    for at in range(stages.sizes["stage"]):
        one = {str(name): values.values[at] for name, values in stages.data_vars.items()}
        change = _number(one["delta_llc"], "+z.3g")
        if change:
            change += f" ± {one['delta_llc_se']:.2g}" + ("" if one["trusted"] else " (not trusted)")
        notes += [f"{one['name']}: {one['note']}"] if one["note"] else []
        notes += [f"boundary at {one['end']}: {one['boundary_note']}"] if one["boundary_note"] else []
        lower, upper = (_number(one[f"boundary_{end}"], "z.0f") for end in ("lower", "upper"))
        origin, kind = one["boundary_origin"], one["boundary_kind"]
        rows.append(
            (
                *(str(one[name]) for name in ("name", "start", "end", "type")),
                _number(one["delta_loss"], "+z.3g"),
                change,
                kind if origin in ("candidate", "end") else f"{origin} ({kind})",
                _number(one["probability"], ".2f"),
                f"{lower}–{upper}" if lower else "",
            )
        )
    return "\n".join([*_aligned(rows), *notes])


def change_table(changes: "xr.Dataset") -> str:
    """The changes of ``change_points`` as lines of text."""
    rows: list[tuple[str, ...]] = [("step", "90 % interval", "before", "after", "jump ± SE")]
    for at in range(changes.sizes["change"]):
        one = {str(name): values.values[at] for name, values in changes.data_vars.items()}
        interval, jump = f"{one['lower']}–{one['upper']}", f"{one['jump']:+.3g} ± {one['jump_se']:.2g}"
        rows.append((str(one["step"]), interval, f"{one['before']:.4g}", f"{one['after']:.4g}", jump))
    return "\n".join(_aligned(rows))


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _number(value: float, form: str) -> str:
    return f"{value:{form}}" if value == value else ""
