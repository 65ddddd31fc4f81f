"""Thin residual networks on CIFAR-10: shallow with adaptive kernels against deep and plain."""

from __future__ import annotations

import argparse

from ..common.comparison import Comparison, Contestant, run_comparison
from ..common.options import Options

ABOUT = "does a shallow network with adaptive kernels beat a much deeper plain one? hours"

RECIPE = "cifar10-thin-resnet"
DEPTHS = (8, 14, 20, 32)
PLACES = {"nowhere": "plain", "stem": "adaptive stem", "everywhere": "adaptive everywhere"}
DEEPEST_EVERYWHERE = 8
"""Depth up to which networks are trained that are adaptive everywhere: they take many times as long as plain ones."""


def _contestants() -> dict[str, Contestant]:
    contestants = {}
    for depth in DEPTHS:
        for place, about in PLACES.items():
            if place == "everywhere" and depth > DEEPEST_EVERYWHERE:
                continue
            changes = {"model.depth": depth, "model.adaptive": place}
            contestants[f"{depth} {place}"] = Contestant(RECIPE, changes, f"depth {depth}, {about}")
    return contestants


COMPARISON = Comparison(
    shape=(3, 32, 32),
    thresholds=(0.4, 0.5, 0.6),
    contestants=_contestants(),
)
OPTIONS = Options("thin_resnets", tuple(COMPARISON.contestants))
add_arguments = OPTIONS.add_to


def run(options: argparse.Namespace) -> int:
    """Train the contestants, measure what they cost, and print a table."""
    return run_comparison(COMPARISON, OPTIONS.read(options))
