"""The command line: ``devexplore COMMAND``; ``devexplore --help`` names the commands."""

import argparse
import sys
from collections.abc import Sequence

from devexplore.commands import compute, files, look, report
from devexplore.errors import DevexploreError


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
    for group in (compute, look, report, files):
        group.add_commands(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
