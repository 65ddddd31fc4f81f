"""``python -m experiments NAME``: run an experiment, whole or in parts."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch

from flexkern.app.cli.errors import run_command
from flexkern.app.cli.text import Parser, table

from .common.catalogue import dashed, experiment_names, load_experiment

PROGRAM = "python -m experiments"
EXAMPLES = """\
examples:
  python -m experiments resnet18 --data-dir ~/data/cifar10                        what has no result yet: hours
  python -m experiments adaptive-mnist --data-dir D --only adaptive --seeds 3     one more run, added to the result
  python -m experiments fixed-sizes-1d --out again.json                           everything again, in another file
  python -m experiments mixed-scales --data-dir ~/data/mnist --out again.json     some twenty minutes
  python -m experiments motion --data-dir ~/data/kodak --out again.json           a folder of images: half an hour
  python -m experiments ablation --data-dir D --epochs 1 --out try.json           a short try
  python -m experiments ablation --help                                           options of one experiment

Results are written after every run: an experiment that is run again continues with what is missing. Notes and results
are in the folders; `python -m experiments.common.page` writes the tables of the notes again.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, 2 after a user error, or 130 when interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    hint = "the same command continues with the runs that are missing."
    return run_command("experiments", lambda: run(arguments), interrupted=hint)


def run(arguments: Sequence[str]) -> int:
    """Run the experiment that the first argument names; print what there is if there is none."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(help_text())
        return 0
    name, *words = arguments
    experiment = load_experiment(name)
    parser = Parser(f"{PROGRAM} {dashed(name)}", experiment.ABOUT)
    experiment.add_arguments(parser)
    options = parser.parse_args(words)
    if options.threads < 1:
        raise ValueError(f"`--threads` must be positive, got {options.threads}.")
    torch.set_num_threads(options.threads)
    return experiment.run(options)


def help_text() -> str:
    """Return the names of all experiments with a line about each, and examples."""
    rows = []
    for name in experiment_names():
        rows.append([dashed(name), load_experiment(name).ABOUT])
    return f"usage: {PROGRAM} NAME [options]\n\n{table(['NAME', 'question'], rows)}\n\n{EXAMPLES}"


if __name__ == "__main__":
    sys.exit(main())
