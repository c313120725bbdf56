"""The command line: ``devexplore explore | train | measure | calibrate | check-llc | check | pack``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devexplore import schema
from devexplore.errors import DamagedStore, DevexploreError, InvalidSpec, RunNotFound

if TYPE_CHECKING:
    from devexplore.run import Run

CALIBRATED = "calibrated"


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
        help="comma-separated: losses,metrics,outputs,llc (the default), references,refined,token-traces",
    )
    measure.add_argument(
        "--outputs", metavar="KIND", help=f"kind of output: {', '.join(schema.OUTPUT_KINDS)}"
    )
    measure.add_argument(
        "--sketch",
        type=int,
        metavar="N",
        help="for outputs too large to keep: a random sketch of N numbers a checkpoint, e.g. 8192",
    )
    measure.add_argument(
        "--llc",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="override an LLC setting, e.g. --llc draws=200; --llc calibrated takes what `calibrate` chose",
    )
    measure.add_argument(
        "--components",
        metavar="PATTERNS",
        help="for refined: which components, comma-separated, e.g. '*head*,all'",
    )
    measure.add_argument(
        "--data", metavar="DATA", help="for refined: other data, e.g. repeated or folder:PATH (language)"
    )
    measure.add_argument(
        "--checkpoints", type=int, metavar="N", help="at most N checkpoints, spread over training"
    )
    measure.add_argument("--memory", default="2GB", help="the most that chains may hold (default 2GB)")
    measure.add_argument("--device", default="cpu", help="cpu, cuda, mps or auto")
    measure.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
    measure.set_defaults(run_command=_measure)

    calibrate = commands.add_parser(
        "calibrate", help="find LLC settings for a run by a sweep over step size, nβ and γ"
    )
    calibrate.add_argument("run", metavar="RUN", help="run folder, or the name of a bundled run")
    calibrate.add_argument("--steps", metavar="STEPS", help="checkpoints, comma-separated (default: four)")
    for name, words in (("step-sizes", "ε"), ("n-betas", "nβ"), ("localizations", "γ")):
        calibrate.add_argument(f"--{name}", metavar="VALUES", help=f"values of {words}, comma-separated")
    calibrate.add_argument("--minutes", type=float, default=10.0, help="time it may take (default 10)")
    calibrate.add_argument("--memory", default="2GB", help="the most that chains may hold (default 2GB)")
    calibrate.add_argument("--figure", type=Path, metavar="FILE.html", help="write the heat map to this file")
    calibrate.add_argument("--device", default="cpu", help="cpu, cuda, mps or auto")
    calibrate.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
    calibrate.set_defaults(run_command=_calibrate)

    check_llc = commands.add_parser(
        "check-llc", help="run the LLC estimator on models whose answer is known (under a minute)"
    )
    check_llc.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    check_llc.set_defaults(run_command=_check_llc)

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
    from devexplore.measure import (
        LLC,
        Metrics,
        Outputs,
        References,
        RefinedLLC,
        TokenLosses,
        TokenTraces,
        measure,
    )
    from devexplore.run import open_run
    from devexplore.sampling import Execution
    from devexplore.systems.training import choose_device

    calibrated = CALIBRATED in options.llc
    chains = {
        "settings": _overrides([pair for pair in options.llc if pair != CALIBRATED]),
        "calibrated": calibrated,
        "execution": Execution(memory=options.memory),
    }
    known = {
        "losses": TokenLosses(),
        "metrics": Metrics(),
        "outputs": Outputs(options.outputs, options.sketch),
        "references": References(options.outputs),
        "llc": LLC(**chains),
        "refined": RefinedLLC(_patterns(options.components), options.data, **chains),
        "token-traces": TokenTraces(**chains),
    }
    names = [name.strip() for name in options.only.split(",")]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InvalidSpec(f"--only knows {', '.join(known)}; got {', '.join(unknown)}")
    if "refined" not in names and (options.components or options.data):
        raise InvalidSpec("--components and --data are for refined LLCs: add refined to --only")
    if "outputs" not in names and options.sketch is not None:
        raise InvalidSpec("--sketch is for outputs: add outputs to --only")
    if options.checkpoints is not None and options.checkpoints < 1:
        raise InvalidSpec(f"--checkpoints must be at least 1, got {options.checkpoints}")
    _set_threads(options.threads)
    _show_log()
    run = open_run(options.run)
    measure(
        run,
        [known[name] for name in names],
        device=choose_device(options.device),
        at_most=options.checkpoints,
        progress=sys.stderr.isatty(),
    )
    if "llc" in names:
        _say_verdicts(run, calibrated)
    print(f"measured: {', '.join(run.groups)}\nnext: devexplore explore {run.path}")


def _say_verdicts(run: "Run", calibrated: bool) -> None:
    """How much of the curve is to be believed; and where much of it is not, what to do."""
    from devexplore.analysis.trust import count_verdicts, trust

    judged = trust(run.dataset(schema.LLC))
    print("LLC: " + " · ".join(count.words for count in count_verdicts(judged)))
    if not calibrated and 2 * int((judged["verdict"] > 0).sum()) > judged.sizes[schema.STEP]:
        print(
            f"most of it is not to be believed as it stands: `devexplore calibrate {run.path}`, remove "
            f"{schema.CHAINS}, {schema.LLC} and {schema.TRUST} from {run.store_path}, and measure with "
            "--llc calibrated"
        )


def _calibrate(options: argparse.Namespace) -> None:
    from devexplore.calibration import calibrate
    from devexplore.run import open_run
    from devexplore.systems.training import choose_device

    _set_threads(options.threads)
    _show_log()
    run = open_run(options.run)
    found = calibrate(
        run,
        steps=_numbers("--steps", options.steps, int),
        step_sizes=_numbers("--step-sizes", options.step_sizes, float),
        n_betas=_numbers("--n-betas", options.n_betas, float),
        localizations=_numbers("--localizations", options.localizations, float),
        minutes=options.minutes,
        memory=options.memory,
        device=choose_device(options.device),
        progress=sys.stderr.isatty(),
    )
    chosen = found.recommendation
    if options.figure is not None:
        from devexplore.views.calibration import calibration_figure

        options.figure.parent.mkdir(parents=True, exist_ok=True)
        figure = calibration_figure(found.sweep, chosen)
        figure.write_html(options.figure, include_plotlyjs=True, config={"displaylogo": False})
        print(f"heat map: {options.figure}")
    print("settings: " + ", ".join(f"{name}={value:.6g}" for name, value in chosen.settings.items()))
    print("\n".join(f"- {reason}" for reason in chosen.reasons))
    if not chosen.found:
        print("no plateau was found, so take what follows with care (more --minutes, or other values to try)")
    store = run.store_path
    if store.is_file():
        print(f"first unpack the store: python -m zipfile -e {store} {store.with_suffix('')} && rm {store}")
    print(f"next: devexplore measure {options.run} --llc calibrated")


def _check_llc(options: argparse.Namespace) -> None:
    from devexplore.sampling.known_answers import check_llc

    _set_threads(options.threads)
    answers = check_llc(print)
    wrong = [answer.name for answer in answers if not answer.agrees]
    if wrong:
        raise DevexploreError(f"not within tolerance of the known answer: {', '.join(wrong)}")


def _show_log() -> None:
    """What the engine decides (path, block size) is said on standard error, where somebody watches."""
    import logging

    if not sys.stderr.isatty():
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("devexplore")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)


def _numbers(option: str, text: str | None, kind: type) -> list[Any] | None:
    if text is None:
        return None
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise InvalidSpec(f"{option} takes numbers separated by commas, got {text!r}") from None


def _patterns(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(pattern.strip() for pattern in text.split(","))


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
