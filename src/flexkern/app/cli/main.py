"""``flexkern COMMAND ...``: run a command; user errors become one line and exit code 2."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from types import ModuleType

from . import doctor, evaluate, fit_kernel, inspect, recipes, train, tune
from .errors import run_command
from .text import Parser, version

COMMANDS: dict[str, ModuleType] = {
    "train": train,
    "eval": evaluate,
    "inspect": inspect,
    "fit-kernel": fit_kernel,
    "recipes": recipes,
    "doctor": doctor,
    "tune": tune,
}

EXAMPLES = """\
examples:
  flexkern train digits                        train on digits that need no download
  flexkern train digits --epochs 5 --lr 2e-3   change keys of a recipe
  flexkern eval runs/digits                    accuracy of a finished run, as JSON
  flexkern recipes                             what can be trained
  flexkern doctor                              check the installation
  flexkern tune                                measure this machine, so that engines are chosen for it
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 (a check failed), 2 (user error) or 130 (interrupted).

    Set FLEXKERN_TRACEBACK=1 to see where an error of a user's input was raised.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _show_messages()
    hint = "--resume continues from the last finished epoch." if arguments[:1] == ["train"] else ""
    return run_command("flexkern", lambda: run(arguments), interrupted=hint)


def run(arguments: list[str]) -> int:
    """Parse the arguments and run the command, without turning errors into exit codes."""
    parser = Parser(
        "flexkern", "Convolutions that learn the size of their kernels: train, evaluate, inspect.", EXAMPLES
    )
    parser.add_argument("--version", action="version", version=f"flexkern {version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, description=module.ABOUT, epilog=module.EXAMPLES, help=module.ABOUT)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    if not arguments:
        parser.print_help()
        return 0
    changes: dict[str, str] = {}
    if arguments[0] == "train":
        arguments, changes = train.split_changes(arguments)
    options = parser.parse_args(arguments)
    options.changes = changes
    return int(options.run(options))


def _show_messages() -> None:
    """Print messages of the library as plain lines on stderr."""
    logger = logging.getLogger("flexkern")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)


if __name__ == "__main__":
    sys.exit(main())
