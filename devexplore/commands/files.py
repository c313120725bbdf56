"""Commands on the files of a run: check, pack, import."""

import argparse
from pathlib import Path
from typing import Any

from devexplore import schema
from devexplore.errors import DamagedStore
from devexplore.paths import as_argument


def add_commands(commands: Any) -> None:
    """Their options, on the subparsers of the command line."""
    check = commands.add_parser(
        "check", help="read every stored file and checkpoint of a run and name what is damaged"
    )
    check.add_argument("run", metavar="RUN")
    check.add_argument(
        "--repair",
        action="store_true",
        help="mark damaged blocks unmeasured, so that `measure` makes them again",
    )
    check.set_defaults(run_command=_check)

    pack = commands.add_parser(
        "pack", help="copy a finished run without what can be computed again, its store as one file"
    )
    pack.add_argument("run", metavar="RUN")
    pack.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    pack.set_defaults(run_command=_pack)

    take = commands.add_parser(
        "import", help="make a run of a table (CSV or Parquet): a column step, and llc, llc_se, loss, metrics"
    )
    take.add_argument("source", type=Path, metavar="TABLE")
    take.add_argument("--out", type=Path, required=True, metavar="RUN", help="run folder to make")
    take.set_defaults(run_command=_import)


def _check(options: argparse.Namespace) -> None:
    from devexplore.analysis.annotations import saved_boundaries
    from devexplore.run import open_run
    from devexplore.upkeep import check_run

    saved_boundaries(open_run(options.run))  # the user's own work: told first, never repaired
    problems = check_run(options.run, repair=options.repair)
    for problem in problems:
        print(problem)
    if problems and not options.repair:
        raise DamagedStore(
            f"{options.run}: {len(problems)} damaged; `devexplore check {as_argument(options.run)} --repair`"
        )
    left = check_run(options.run) if problems else []
    if left:
        raise DamagedStore(
            f"{options.run}: {len(left)} still damaged; checkpoints cannot be repaired: copy them again, or "
            "remove the named files"
        )
    print(f"{options.run}: {'repaired; now `devexplore measure` it' if problems else 'all files are whole'}")


def _pack(options: argparse.Namespace) -> None:
    from devexplore.upkeep import pack_run

    print(f"packed: {pack_run(options.run, options.out)}")


def _import(options: argparse.Namespace) -> None:
    from devexplore.importers import import_table

    run = import_table(options.source, options.out)
    left_out = run.recipe["table"]["left_out"]
    if left_out:
        print(f"left out, for they hold no number: {', '.join(left_out)}")
    look = "stages" if run.has(schema.LLC) or run.has(schema.LOSSES) else "explore"
    print(f"imported: {', '.join(run.groups)}\nnext: devexplore {look} {as_argument(run.path)}")
