"""The command line: ``devexplore explore | train | measure | check | pack``."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from devexplore import schema
from devexplore.errors import DevexploreError, InvalidSpec


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
    train.add_argument("--preset", default="small", help="small (minutes on two cores) or paper (published values)")
    train.add_argument("--out", type=Path, required=True, metavar="RUN", help="run folder; an unfinished run there goes on")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--device", default="cpu", help="cpu, cuda, mps or auto")
    train.add_argument("--weights", default="float32", choices=("float32", "float16"), help="dtype of kept checkpoints")
    train.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
    train.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="override a hyper-parameter, e.g. --set steps=4000"
    )
    train.set_defaults(run_command=_train)
    return parser


def _train(options: argparse.Namespace) -> None:
    from devexplore import systems
    from devexplore.systems.training import train

    _set_threads(options.threads)
    system = systems.from_preset(
        options.system.replace("-", "_"), options.preset, _overrides(options.set), options.out
    )
    train(system, options.out, preset=options.preset, seed=options.seed, device=options.device, weights=options.weights)
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
        raise InvalidSpec(f"--set takes NAME=VALUE, got {pair!r}")
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
