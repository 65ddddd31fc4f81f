"""A learned kernel size against fixed ones of equal parameters, on series: a causal network on MNIST-1D."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any

from torch import nn

from flexkern.layers import CKConv1d, FlexConv1d
from flexkern.models import FlexTCN

from ..common.digits import digit_samples, digit_trial, run_digits
from ..common.options import Options
from ..common.small_flexnet import DROPOUT, WIDTH
from ..common.trials import Maker
from ..fixed_sizes.run import LEARNED, SIZES

ABOUT = "is a learned kernel size better than the best fixed one on MNIST-1D? needs no data"

STEPS = 40
HORIZON = STEPS + 1
EPOCHS = 60


def flextcn(layer: Callable[..., nn.Module] = FlexConv1d, **options: Any) -> FlexTCN:
    """Return a causal network of two blocks for series of 40 steps."""
    arguments = {"kernel_size": HORIZON, "causal": True, **options}
    conv = functools.partial(layer, **arguments)
    return FlexTCN(1, 10, conv, widths=(WIDTH, WIDTH), dropout=DROPOUT)


def _networks() -> dict[str, Maker]:
    nets: dict[str, Maker] = {LEARNED: flextcn}
    for size in (*SIZES, HORIZON):
        nets[f"{size} taps"] = functools.partial(flextcn, CKConv1d, kernel_size=size)
    return nets


NETS = _networks()
TRIAL = digit_trial(NETS, [(LEARNED, name) for name in NETS if name != LEARNED], epochs=EPOCHS)
OPTIONS = Options("fixed_sizes_1d", tuple(NETS))
add_arguments = OPTIONS.add_to


def run(options: argparse.Namespace) -> int:
    """Train the networks, compare them, and print a table."""
    settings = OPTIONS.read(options)
    return run_digits(TRIAL, digit_samples(settings.data_dir, task="mnist1d"), settings)
