"""A FlexNet on MNIST: the run whose weights ship."""

from __future__ import annotations

import argparse

from ..common.options import Options
from ..common.records import run_recipe

ABOUT = "how accurate is a small FlexNet on MNIST? an hour"

RECIPE = "mnist-flexnet"
OPTIONS = Options("mnist_flexnet", seeds=(0,))
add_arguments = OPTIONS.add_to


def run(options: argparse.Namespace) -> int:
    """Train the recipe once per seed, and print a table."""
    return run_recipe(RECIPE, OPTIONS.read(options))
