"""The small FlexNet of several comparisons, and generators that give it about equal parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch import nn

from flexkern.generators import SIREN, MAGNet, Points
from flexkern.layers import FlexConv2d
from flexkern.models import FlexNet

WIDTH, FACTORS, DROPOUT = 12, ((1, 1), (2, 1)), 0.1
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
    """Five layers of ``layer``, which gets the ``options``; its ``kernel_size`` is the ``horizon`` unless given."""
    conv = functools.partial(layer, **{"kernel_size": horizon, "padding": "same", **options})
    return FlexNet(channels, classes, conv, width=width, factors=FACTORS, dropout=DROPOUT)
