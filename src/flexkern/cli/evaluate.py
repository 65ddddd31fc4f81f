"""``flexkern eval``: test accuracy of a run or of weights; the last line is JSON."""

from __future__ import annotations

import argparse
import json

from .text import size_text, table

ABOUT = "test accuracy of a finished run or of a weights file; the last line is JSON"
EXAMPLES = """\
examples:
  flexkern eval runs/digits
  flexkern eval runs/mnist-flexnet/weights.safetensors --data-dir ~/data/mnist
  flexkern eval runs/digits | tail -1 | python -m json.tool
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Run or weights, and where the data are."""
    parser.add_argument(
        "run_or_weights",
        metavar="RUN|WEIGHTS",
        help="a run folder, a .safetensors file, or the name of shipped weights",
    )
    parser.add_argument("--data-dir", "--data_dir", metavar="D", help="folder with local copies of the data")


def run(options: argparse.Namespace) -> int:
    """Evaluates and prints."""
    from ..training.evaluation import evaluate

    result = evaluate(options.run_or_weights, options.data_dir)
    if result["sizes"]:
        print(table(["layer", "learned size"], [[name, size_text(size)] for name, size in result["sizes"].items()]))
        print()
    print(
        f"{result['model']} with {result['parameters']:,} parameters on {result['task']}:"
        f" {100 * result['accuracy']:.2f} % of {result['n']:,} test samples right"
    )
    print(json.dumps(result))
    return 0
