"""Commands that compute: train, measure, calibrate, check-llc."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devexplore import schema
from devexplore.commands.options import numbers, overrides, patterns, set_threads, show_log
from devexplore.errors import DevexploreError, InvalidSpec
from devexplore.paths import as_argument

if TYPE_CHECKING:
    from devexplore.run import Run

CALIBRATED = "calibrated"


def add_commands(commands: Any) -> None:
    """Their options, on the subparsers of the command line."""
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


def _train(options: argparse.Namespace) -> None:
    from devexplore import systems
    from devexplore.systems.training import train

    set_threads(options.threads)
    system = systems.from_preset(
        options.system.replace("-", "_"), options.preset, overrides(options.set), options.out
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
    print(f"trained: {options.out}\nnext: devexplore measure {as_argument(options.out)}")


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
        "settings": overrides([pair for pair in options.llc if pair != CALIBRATED]),
        "calibrated": calibrated,
        "execution": Execution(memory=options.memory),
    }
    known = {
        "losses": TokenLosses(),
        "metrics": Metrics(),
        "outputs": Outputs(options.outputs, options.sketch),
        "references": References(options.outputs),
        "llc": LLC(**chains),
        "refined": RefinedLLC(patterns(options.components), options.data, **chains),
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
    set_threads(options.threads)
    show_log()
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
    print(f"measured: {', '.join(run.groups)}\nnext: devexplore explore {as_argument(run.path)}")


def _say_verdicts(run: "Run", calibrated: bool) -> None:
    """How much of the curve is to be believed; and where much of it is not, what to do."""
    from devexplore.analysis.trust import count_verdicts, trust

    judged = trust(run.dataset(schema.LLC))
    print("LLC: " + " · ".join(count.words for count in count_verdicts(judged)))
    if not calibrated and 2 * int((judged["verdict"] > 0).sum()) > judged.sizes[schema.STEP]:
        print(
            f"most of it is not to be believed as it stands: `devexplore calibrate {as_argument(run.path)}`, "
            f"remove {schema.CHAINS}, {schema.LLC} and {schema.TRUST} from {run.store_path}, and measure "
            "with --llc calibrated"
        )


def _calibrate(options: argparse.Namespace) -> None:
    from devexplore.calibration import calibrate
    from devexplore.run import open_run
    from devexplore.systems.training import choose_device

    set_threads(options.threads)
    show_log()
    run = open_run(options.run)
    found = calibrate(
        run,
        steps=numbers("--steps", options.steps, int),
        step_sizes=numbers("--step-sizes", options.step_sizes, float),
        n_betas=numbers("--n-betas", options.n_betas, float),
        localizations=numbers("--localizations", options.localizations, float),
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
    print(f"next: devexplore measure {as_argument(options.run)} --llc calibrated")


def _check_llc(options: argparse.Namespace) -> None:
    from devexplore.sampling.known_answers import check_llc

    set_threads(options.threads)
    answers = check_llc(print)
    wrong = [answer.name for answer in answers if not answer.agrees]
    if wrong:
        raise DevexploreError(f"not within tolerance of the known answer: {', '.join(wrong)}")
