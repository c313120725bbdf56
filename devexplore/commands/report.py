"""Commands that take a run away: report (the page as one file), figures (pictures for a paper)."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm


def add_commands(commands: Any) -> None:
    """Their options, on the subparsers of the command line."""
    report = commands.add_parser(
        "report", help="write the explorer of a run as one HTML file that scrubs without Python or network"
    )
    report.add_argument("run", metavar="RUN", help="run folder, or the name of a bundled run")
    report.add_argument("--out", type=Path, metavar="FILE", help="the file (default: the run's name, .html)")
    report.add_argument(
        "--select", type=Path, metavar="VIEW", help="open with the view that was saved from the page (.json)"
    )
    report.add_argument(
        "--theme", choices=("light", "dark"), help="keep only this theme (default: both, a larger file)"
    )
    report.set_defaults(run_command=_report)

    figures = commands.add_parser("figures", help="write the figures of a run as files for a paper")
    figures.add_argument("run", metavar="RUN", help="run folder, or the name of a bundled run")
    figures.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where they go (default: the run's name and -figures)"
    )
    figures.add_argument(
        "--format",
        default="pdf,png",
        metavar="KINDS",
        help="of pdf, png, svg; comma-separated (default pdf,png)",
    )
    figures.set_defaults(run_command=_figures)


def _report(options: argparse.Namespace) -> None:
    from devexplore.app.report import report
    from devexplore.app.select import saved_view

    selection = None if options.select is None else saved_view(options.select, "--select")
    with _bar() as progress:
        file = report(options.run, options.out, selection=selection, theme=options.theme, progress=progress)
    print(f"written: {file} ({file.stat().st_size / 1e6:.1f} MB); open it in any browser")


def _figures(options: argparse.Namespace) -> None:
    from devexplore import figures
    from devexplore.run import open_run

    run = open_run(options.run)
    folder = Path(f"{run.name}-figures") if options.out is None else options.out
    kinds = [kind.strip() for kind in options.format.split(",")]
    with _bar() as progress:
        saved = figures.save(run, folder, kinds, progress=progress)
    for why in dict.fromkeys(saved.left_out.values()):
        print(f"no {', '.join(name for name, said in saved.left_out.items() if said == why)}: {why}")
    print(f"written: {len(saved.files)} files in {folder}: {', '.join(file.name for file in saved.files)}")


@contextmanager
def _bar() -> Iterator[Callable[[int, int, str], None] | None]:
    """Follows what is being done on standard error, where somebody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    counted, plain = "{desc}: |{bar}| {n_fmt}/{total_fmt} [{elapsed}]", "{desc} [{elapsed}]"
    with tqdm(total=1, dynamic_ncols=True, bar_format=plain, leave=False) as bar:

        def show(done: int, total: int, text: str) -> None:
            bar.bar_format, bar.total, bar.n = (counted if total else plain), total or 1, done
            bar.set_description_str(text)

        yield show
