"""ResNet-18 on CIFAR-10, plain and with adaptive kernels, as in the paper: hours on a GPU."""

from __future__ import annotations

import argparse

from ..common.comparison import Comparison, Contestant, run_comparison
from ..common.options import Options

ABOUT = "do adaptive kernels help ResNet-18 on CIFAR-10? hours on a GPU"

COMPARISON = Comparison(
    shape=(3, 32, 32),
    thresholds=(0.8, 0.9, 0.94),
    contestants={
        "plain": Contestant("cifar10-adaptive-resnet18", {"model.name": "resnet18"}, "plain"),
        "stem": Contestant("cifar10-adaptive-resnet18", about="adaptive stem"),
        "everywhere": Contestant(
            "cifar10-adaptive-resnet18",
            {"model.name": "resnet18", "model.adaptive": "everywhere"},
            "adaptive everywhere",
        ),
    },
)
OPTIONS = Options("resnet18", tuple(COMPARISON.contestants))
add_arguments = OPTIONS.add_to


def run(options: argparse.Namespace) -> int:
    """Train the contestants, measure what they cost, and print a table."""
    return run_comparison(COMPARISON, OPTIONS.read(options))
