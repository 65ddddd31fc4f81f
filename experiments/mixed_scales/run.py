"""Digits at mixed scales: is a kernel better that follows the input *and* learns its size?

Every digit is shrunk to between a third and the whole of the image and put anywhere in it. Networks of two layers and
about equal parameters (5,970 to 6,762) differ in their convolution and, for that, in width.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexkern.generators import MAGNet
from flexkern.layers import AdaptiveConv2d, AdaptiveFlexConv2d, FlexConv2d

from .digits import SIDE, DigitTrial

SMALLEST = 10
"""Side of the smallest digits."""
HORIZON = 15
GENERATOR = functools.partial(MAGNet, hidden=8)


def network(layer: Callable[[int, int], nn.Module], width: int) -> nn.Sequential:
    """Two layers with norm and ReLU, halved between, the maximum over positions, linear map."""
    return nn.Sequential(
        *(layer(1, width), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)),
        *(layer(width, width), nn.BatchNorm2d(width), nn.ReLU()),
        *(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(width, 10)),
    )


def _net(layer: Callable[..., nn.Module], width: int, kernel: int, **options: Any) -> Callable[[], nn.Module]:
    make = functools.partial(layer, kernel_size=kernel, padding="same", **options)
    return functools.partial(network, make, width)


NETS: dict[str, Callable[[], nn.Module]] = {
    "AdaptiveFlexConv": _net(AdaptiveFlexConv2d, 31, HORIZON, rank=4, generator=GENERATOR),
    "FlexConv": _net(FlexConv2d, 24, HORIZON, generator=GENERATOR),
    "AdaptiveConv 3x3": _net(AdaptiveConv2d, 8, 3),
    "plain 3x3": _net(nn.Conv2d, 26, 3),
    "plain 5x5": _net(nn.Conv2d, 15, 5),
    "plain 9x9": _net(nn.Conv2d, 8, 9),
}


def shrink_and_place(images: Tensor, seed: int) -> Tensor:
    """Every image (1, 28, 28) at a side uniform in 10..28, anywhere on an empty one.

    Example:
        >>> shrink_and_place(torch.ones(3, 1, 28, 28), 0).shape
        torch.Size([3, 1, 28, 28])
    """
    generator = torch.Generator().manual_seed(seed)
    sides = torch.randint(SMALLEST, SIDE + 1, (len(images),), generator=generator)
    places = torch.rand(len(images), 2, generator=generator)
    found = torch.zeros_like(images)
    for side in range(SMALLEST, SIDE + 1):
        members = (sides == side).nonzero().flatten()
        if len(members) == 0:
            continue
        small = F.interpolate(images[members], size=(side, side), mode="bilinear", antialias=True)
        starts = (places[members] * (SIDE - side + 1)).long()
        for index, one, (top, left) in zip(members.tolist(), small, starts.tolist(), strict=True):
            found[index, :, top : top + side, left : left + side] = one
    return found


FIRST, *OTHERS = NETS
MIXED_SCALES = DigitTrial("mixed-scales", NETS, [(FIRST, other) for other in OTHERS], shrink_and_place)
