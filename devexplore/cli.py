"""The command line: ``devexplore explore | train | measure | check | pack``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devexplore import schema
from devexplore.errors import DamagedStore, DevexploreError, InvalidSpec, RunNotFound

if TYPE_CHECKING:
    from devexplore.run import Run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a user's mistake becomes one line on standard error and exit code 2."""
    options = _parser().parse_args(arguments)
    try:
        options.run_command(options)
    except DevexploreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="devexplore", description="Watch neural networks develop.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train one of the four systems, keeping checkpoints")
    train.add_argument("system", choices=[name.replace("_", "-") for name in schema.SYSTEMS])
    train.add_argument(
        "--preset", default="small", help="small (minutes on two cores) or paper (published values)"
    )
    train.add_argument(
        "--out", type=Path, required=True, metavar="RUN", help="run folder; an unfinished run there goes on"
    )
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--device", default="cpu", help="cpu, cuda, mps or auto")
    train.add_argument(
        "--weights", default="float32", choices=("float32", "float16"), help="dtype of kept checkpoints"
    )
    train.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
    train.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="override a hyper-parameter, e.g. --set steps=4000",
    )
    train.set_defaults(run_command=_train)

    measure = commands.add_parser(
        "measure", help="measure every checkpoint of a run; goes on where it was stopped"
    )
    measure.add_argument("run", metavar="RUN", help="run folder, or the name of a bundled run")
    measure.add_argument(
        "--only",
        default="losses,metrics,outputs,llc",
        metavar="WHAT",
        help="comma-separated: losses,metrics,outputs,llc",
    )
    measure.add_argument(
        "--outputs", metavar="KIND", help=f"kind of output: {', '.join(schema.OUTPUT_KINDS)}"
    )
    measure.add_argument(
        "--llc",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="override an LLC setting, e.g. --llc draws=200",
    )
    measure.add_argument("--device", default="cpu", help="cpu, cuda, mps or auto")
    measure.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
    measure.set_defaults(run_command=_measure)

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

    explore = commands.add_parser(
        "explore", help="open the explorer in the browser (bundled runs when none is named)"
    )
    explore.add_argument("runs", nargs="*", metavar="RUN")
    explore.add_argument(
        "--port", type=int, default=5006, help="port on localhost (default 5006, or the next free one)"
    )
    explore.add_argument("--no-browser", action="store_true", help="serve without opening the browser")
    explore.set_defaults(run_command=_explore)
    return parser


def _measure(options: argparse.Namespace) -> None:
    from devexplore.measure import LLC, Metrics, Outputs, TokenLosses, measure
    from devexplore.run import open_run
    from devexplore.systems.training import choose_device

    known = {
        "losses": TokenLosses(),
        "metrics": Metrics(),
        "outputs": Outputs(options.outputs),
        "llc": LLC(_overrides(options.llc)),
    }
    names = [name.strip() for name in options.only.split(",")]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InvalidSpec(f"--only knows {', '.join(known)}; got {', '.join(unknown)}")
    _set_threads(options.threads)
    run = open_run(options.run)
    measure(
        run,
        [known[name] for name in names],
        device=choose_device(options.device),
        progress=sys.stderr.isatty(),
    )
    if "llc" in names:
        _warn_of_diverged_chains(run)
    print(f"measured: {', '.join(run.groups)}\nnext: devexplore explore {run.path}")


def _warn_of_diverged_chains(run: "Run") -> None:
    llc = run.dataset(schema.LLC)
    lost = int((llc["diverged_chains"] > 0).sum())
    if lost:
        print(
            f"warning: chains diverged at {lost} of {llc.sizes['step']} checkpoints; to try again with a "
            f"lower step_size, remove {schema.CHAINS} and {schema.LLC} from {run.store_path}",
            file=sys.stderr,
        )


def _check(options: argparse.Namespace) -> None:
    from devexplore.upkeep import check_run

    problems = check_run(options.run, repair=options.repair)
    for problem in problems:
        print(problem)
    if problems and not options.repair:
        raise DamagedStore(
            f"{options.run}: {len(problems)} damaged; `devexplore check {options.run} --repair`"
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


def _explore(options: argparse.Namespace) -> None:
    from devexplore.app.page import serve
    from devexplore.run import bundled_runs, open_run

    if not 0 <= options.port <= 65535:
        raise InvalidSpec(f"--port must be between 0 and 65535, got {options.port}")
    bundled = bundled_runs()
    paths = (
        options.runs if options.runs else [bundled[name] for name in sorted(bundled, key=_literature_order)]
    )
    if not paths:
        raise RunNotFound("no bundled runs found; name a run folder: devexplore explore RUN")
    serve([open_run(path) for path in paths], port=options.port, open_browser=not options.no_browser)


def _literature_order(name: str) -> int:
    """Language first: the run that most people come for."""
    return schema.SYSTEMS.index(name) if name in schema.SYSTEMS else len(schema.SYSTEMS)


def _train(options: argparse.Namespace) -> None:
    from devexplore import systems
    from devexplore.systems.training import train

    _set_threads(options.threads)
    system = systems.from_preset(
        options.system.replace("-", "_"), options.preset, _overrides(options.set), options.out
    )
    train(
        system,
        options.out,
        preset=options.preset,
        seed=options.seed,
        device=options.device,
        weights=options.weights,
        progress=sys.stderr.isatty(),
    )
    print(f"trained: {options.out}\nnext: devexplore measure {options.out}")


def _set_threads(threads: int | None) -> None:
    if threads is None:
        return
    if threads < 1:
        raise InvalidSpec(f"--threads must be at least 1, got {threads}")
    import torch

    torch.set_num_threads(threads)


def _overrides(pairs: Sequence[str]) -> dict[str, Any]:
    """``name=value`` pairs as Python values: numbers, true/false/none, comma-separated tuples, else text."""
    return {name.strip(): _value(text) for name, text in (_split(pair) for pair in pairs)}


def _split(pair: str) -> tuple[str, str]:
    name, equals, text = pair.partition("=")
    if not equals:
        raise InvalidSpec(f"settings are given as NAME=VALUE, got {pair!r}")
    return name, text.strip()


def _value(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    if "," in text:
        return tuple(_value(part) for part in text.split(",") if part)
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


if __name__ == "__main__":
    sys.exit(main())
