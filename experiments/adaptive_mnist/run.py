"""Adaptive kernels on MNIST against LeNets and plain networks of equal parameters, under one recipe."""

from __future__ import annotations

import argparse

from ..common.comparison import Comparison, Contestant, run_comparison
from ..common.options import Options

ABOUT = "do adaptive kernels need fewer parameters and epochs than ordinary ones on MNIST?"

COMPARISON = Comparison(
    shape=(1, 28, 28),
    thresholds=(0.98, 0.985, 0.99),
    contestants={
        "adaptive": Contestant("mnist-adaptive", about="adaptive stem"),
        "plain": Contestant("mnist-adaptive", {"model.name": "plain_lenet"}, "ordinary stem, equal parameters"),
        "frozen": Contestant("mnist-adaptive", {"model.frozen": True}, "adaptive stem as drawn, never trained"),
        "wide": Contestant("mnist-adaptive", {"model.name": "plain_lenet_wide"}, "ordinary stem, equal latency"),
        "lenet5": Contestant("mnist-adaptive", {"model.name": "lenet5", "lr": 0.004}, "LeNet-5"),
        "lenet_caffe": Contestant(
            "mnist-adaptive",
            {"model.name": "lenet_caffe", "lr": 0.004},
            "Caffe's LeNet, and ReLU after its convolutions",
        ),
        "adaptive-1k": Contestant("mnist-adaptive-1k", about="adaptive stem"),
        "plain-1k": Contestant(
            "mnist-adaptive-1k",
            {"model.name": "plain_lenet_1k"},
            "ordinary stem, equal parameters",
        ),
        "frozen-1k": Contestant("mnist-adaptive-1k", {"model.frozen": True}, "adaptive stem as drawn, never trained"),
    },
)
OPTIONS = Options("adaptive_mnist", tuple(COMPARISON.contestants))
add_arguments = OPTIONS.add_to


def run(options: argparse.Namespace) -> int:
    """Train the contestants, measure what they cost, and print a table."""
    return run_comparison(COMPARISON, OPTIONS.read(options))
