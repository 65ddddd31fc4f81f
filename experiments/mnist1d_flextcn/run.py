"""A FlexTCN on MNIST-1D."""

from __future__ import annotations

import argparse

from ..common.options import Options
from ..common.records import run_recipe

ABOUT = "how accurate is a FlexTCN on MNIST-1D? minutes, needs no data"

RECIPE = "mnist1d-flextcn"
OPTIONS = Options("mnist1d_flextcn")
add_arguments = OPTIONS.add_to


def run(options: argparse.Namespace) -> int:
    """Train the recipe once per seed, and print a table."""
    return run_recipe(RECIPE, OPTIONS.read(options))
