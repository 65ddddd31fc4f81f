"""Networks trained on digits of 14 pixels, then used on 28."""

from __future__ import annotations

import argparse

from ..common.cross_resolution import NETS, CrossTask, run_cross_resolution
from ..common.options import Options

ABOUT = "which networks keep their accuracy at twice the resolution? MNIST, hours"

TASK = CrossTask(data="mnist", side=28, epochs=4, tuning=1, train=20_000)
OPTIONS = Options("cross_resolution", tuple(NETS), data="the folder or file of MNIST")
add_arguments = OPTIONS.add_to


def run(options: argparse.Namespace) -> int:
    """Train the networks, measure them at both resolutions, and print a table."""
    return run_cross_resolution(TASK, OPTIONS.read(options))
