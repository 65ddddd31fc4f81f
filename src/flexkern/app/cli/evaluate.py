"""``flexkern eval``: test accuracy of a run or of weights; the last line is JSON."""

from __future__ import annotations

import argparse
import json
import math

from .text import size_text, table

ABOUT = "test accuracy of a finished run or of a weights file; the last line is JSON"
EXAMPLES = """\
examples:
  flexkern eval runs/digits
  flexkern eval runs/mnist-flexnet/weights.safetensors --data-dir ~/data/mnist
  flexkern eval mnist-flexnet --data-dir ~/data/mnist --resolution 0.5,1,2
  flexkern eval runs/digits | tail -1 | python -m json.tool
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run or weights, and where the data are."""
    parser.add_argument(
        "run_or_weights",
        metavar="RUN|WEIGHTS",
        help="a run folder, a .safetensors file, or the name of shipped weights",
    )
    parser.add_argument("--data-dir", "--data_dir", metavar="D", help="folder with local copies of the data")
    parser.add_argument(
        "--resolution",
        type=_scales,
        default=(),
        metavar="S,S",
        help="also evaluate with samples, and kernels with them, resized by these factors",
    )


def _scales(text: str) -> tuple[float, ...]:
    try:
        scales = tuple(float(word) for word in text.split(","))
    except ValueError:
        scales = ()
    if not scales or not all(0 < scale < math.inf for scale in scales):
        raise argparse.ArgumentTypeError(f"must be positive numbers such as 0.5,1,2, got {text!r}")
    return scales


def run(options: argparse.Namespace) -> int:
    """Evaluate and print; the last line is JSON."""
    from ..training.evaluation import evaluate

    result = evaluate(options.run_or_weights, options.data_dir, resolutions=options.resolution)
    if result["sizes"]:
        sizes = [[name, size_text(size)] for name, size in result["sizes"].items()]
        print(table(["layer", "learned size"], sizes))
        print()
    print(
        f"{result['model']} with {result['parameters']:,} parameters on {result['task']}:"
        f" {100 * result['accuracy']:.2f} % of {result['n']:,} test samples classified correctly"
    )
    if options.resolution:
        rows = []
        for row in result["resolutions"]:
            rows.append([f"{row['scale']:g}", size_text(row["shape"]), f"{100 * row['accuracy']:.2f} %"])
        print()
        print(table(["resolution", "samples", "test accuracy"], rows))
    print(json.dumps(result))
    return 0
