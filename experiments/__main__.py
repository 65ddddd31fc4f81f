"""``python -m experiments NAME``: run a published comparison again, whole or in parts."""

import sys

from flexkern.app.cli.errors import run_command
from flexkern.app.cli.text import Parser

from . import cli


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = Parser("python -m experiments", "Run a published comparison again, whole or in parts.", cli.EXAMPLES)
    cli.add_arguments(parser)
    return run_command("experiments", lambda: cli.run(parser.parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
