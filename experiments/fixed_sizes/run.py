"""A learned kernel size against fixed ones of equal parameters, on digits."""

from __future__ import annotations

import argparse
import functools

from flexkern.layers import CKConv2d

from ..common.digits import SIDE, digit_samples, digit_trial, run_digits
from ..common.options import Options
from ..common.small_flexnet import small_flexnet
from ..common.trials import Maker

ABOUT = "is a learned kernel size better than the best fixed one on MNIST?"

LEARNED = "learned"
HORIZON = SIDE + 1
SIZES = (3, 5, 7, 11, 17)
"""Fixed sizes that a learned one is compared with, besides its horizon."""


def _networks() -> dict[str, Maker]:
    """Return networks of equal parameters: those of a generated kernel do not depend on its size."""
    nets: dict[str, Maker] = {LEARNED: functools.partial(small_flexnet, horizon=HORIZON)}
    for size in (*SIZES, HORIZON):
        nets[f"{size}x{size}"] = functools.partial(small_flexnet, CKConv2d, horizon=size)
    return nets


NETS = _networks()
TRIAL = digit_trial(NETS, [(LEARNED, name) for name in NETS if name != LEARNED])
OPTIONS = Options("fixed_sizes", tuple(NETS))
add_arguments = OPTIONS.add_to


def run(options: argparse.Namespace) -> int:
    """Train the networks, compare them, and print a table."""
    settings = OPTIONS.read(options)
    return run_digits(TRIAL, digit_samples(settings.data_dir), settings)
