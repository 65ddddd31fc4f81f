"""``python -m benchmarks NAME``: run a benchmark, or write the pages of results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from types import ModuleType

from flexkern.app.cli.errors import run_command
from flexkern.app.cli.text import Parser

from . import adaptive_layers, convolutions, pages, steps

BENCHMARKS: dict[str, ModuleType] = {
    "convolutions": convolutions,
    "steps": steps,
    "adaptive_layers": adaptive_layers,
    "pages": pages,
}
EXAMPLES = """\
examples:
  python -m benchmarks convolutions                              a dozen convolutions, about a minute
  python -m benchmarks convolutions --only auto,direct,torch     some contestants
  python -m benchmarks convolutions --subset full --minutes 20   the whole grid in parts: run again to continue
  python -m benchmarks steps --skip-slow                         training steps of FlexNet-7 and FlexTCN-4
  python -m benchmarks adaptive_layers                           adaptive convolutions against plain torch
  python -m benchmarks pages                                     RESULTS.md and ADAPTIVE.md from the results
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return run_command("benchmarks", lambda: run(argv))


def run(argv: Sequence[str] | None) -> int:
    """Parse the arguments and run one benchmark."""
    parser = Parser("python -m benchmarks", "Measure against other implementations.", EXAMPLES)
    names = parser.add_subparsers(dest="name", metavar="NAME", required=True, parser_class=Parser)
    for name, module in BENCHMARKS.items():
        command = names.add_parser(name, description=module.ABOUT, help=module.ABOUT)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    options: argparse.Namespace = parser.parse_args(argv)
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())
