"""Networks trained on images of 16 pixels, then used on 32: CIFAR-10, as published."""

from __future__ import annotations

import argparse

from ..common.cross_resolution import NETS, CrossTask, run_cross_resolution
from ..common.options import Options

ABOUT = "which networks keep their accuracy at twice the resolution? CIFAR-10, hours"

TASK = CrossTask(data="cifar10", side=32, epochs=8, tuning=2, train=30_000)
OPTIONS = Options("cross_resolution_cifar10", tuple(NETS), data="the folder or file of CIFAR-10")
add_arguments = OPTIONS.add_to


def run(options: argparse.Namespace) -> int:
    """Train the networks, measure them at both resolutions, and print a table."""
    return run_cross_resolution(TASK, OPTIONS.read(options))
