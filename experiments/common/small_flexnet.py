"""The small FlexNet of several experiments, and generators that give it about the same number of parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch import nn

from flexkern.generators import SIREN, MAGNet, Points
from flexkern.layers import FlexConv2d
from flexkern.models import FlexNet

WIDTH, DROPOUT = 12, 0.1
FACTORS = ((1, 1), (2, 1))
EQUAL_SIREN = functools.partial(SIREN, hidden=41)
EQUAL_POINTS = functools.partial(Points, points=41)
AUTHORS_MAGNET = functools.partial(MAGNet, input_scale=25.6)
"""Initialised as the authors do."""


def small_flexnet(
    layer: Callable[..., nn.Module] = FlexConv2d,
    *,
    horizon: int,
    channels: int = 1,
    classes: int = 10,
    width: int = WIDTH,
    **options: Any,
) -> FlexNet:
    """Return a network of five layers.

    Args:
        layer: of which all five are.
        horizon: ``kernel_size`` of the layers, unless the options have another.
        channels: of the input.
        classes: of the output.
        width: channels of the first block.
        options: of the layers.
    """
    arguments = {"kernel_size": horizon, "padding": "same", **options}
    conv = functools.partial(layer, **arguments)
    return FlexNet(channels, classes, conv, width=width, factors=FACTORS, dropout=DROPOUT)
