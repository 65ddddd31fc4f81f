"""``python -m benchmarks NAME``: measure convolutions, training steps and adaptive layers."""

import sys

from flexkern.app.cli.errors import run_command
from flexkern.app.cli.text import Parser

from . import cli


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = Parser("python -m benchmarks", "Measure convolutions, training steps and adaptive layers.", cli.EXAMPLES)
    cli.add_arguments(parser)
    return run_command("benchmarks", lambda: cli.run(parser.parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
