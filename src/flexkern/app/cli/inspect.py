"""``flexkern inspect``: how much the kernels of a trained model depend on the input; the last line is JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .text import table

ABOUT = "how much the kernels of a trained adaptive model depend on the input; the last line is JSON"
EXAMPLES = """\
examples:
  flexkern inspect runs/mnist-adaptive
  flexkern inspect mnist-adaptive --data-dir ~/data/mnist --figure kernels.png --out kernels.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the model, its data, and where to draw."""
    parser.add_argument(
        "run_or_weights",
        metavar="RUN|WEIGHTS",
        help="a run folder, a .safetensors file, or the name of shipped weights",
    )
    parser.add_argument("--data-dir", "--data_dir", metavar="D", help="folder with local copies of the data")
    parser.add_argument("--figure", metavar="FILE", help="draw the kernels of two images here")
    parser.add_argument("--out", metavar="FILE", help="write the numbers, and how they were obtained, here")


def run(options: argparse.Namespace) -> int:
    """Measure, draw, print; the last line is JSON."""
    from ..report.adaptive import inspect_adaptive
    from ..training.record import write_result

    result = inspect_adaptive(options.run_or_weights, options.data_dir, figure=options.figure)
    shares = [[name, f"{100 * share:.1f} %"] for name, share in result["share"].items()]
    print(table(["layer", "varies"], shares))
    print(
        f"\naccuracy {100 * result['accuracy']:.2f} %; with the mean kernels instead"
        f" {100 * result['accuracy_of_mean']:.2f} % ({result['n']:,} training images)"
    )
    if options.out:
        write_result(options.out, {**result, "weights": Path(options.run_or_weights).name})
    for path in filter(None, (options.figure, options.out)):
        print(f"written to {Path(path)}")
    print(json.dumps(result))
    return 0
