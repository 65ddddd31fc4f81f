"""Digits at mixed scales: kernels that follow the input and learn their size, against kernels that do one or neither.

Every digit is shrunk to between a third and the whole of the image and put anywhere in it. Networks of two layers with
about equal parameters (5,970 to 6,762) differ in their convolution and, for that, in width.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexkern.generators import MAGNet
from flexkern.layers import AdaptiveConv2d, AdaptiveFlexConv2d, FlexConv2d

from ..common.digits import SIDE, digit_samples, digit_trial, run_digits
from ..common.options import Options
from ..common.trials import Maker

ABOUT = "is a kernel better that follows the input and learns its size? digits of many scales"

SMALLEST = 10
"""Side of the smallest digits."""
HORIZON = 15
GENERATOR = functools.partial(MAGNet, hidden=8)


def network(layer: Callable[..., nn.Module], width: int, **options: Any) -> nn.Sequential:
    """Return two layers with norm and ReLU, halved in between; then the maximum over positions and a linear map."""
    return nn.Sequential(
        layer(1, width, padding="same", **options),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        layer(width, width, padding="same", **options),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(width, 10),
    )


NETS: dict[str, Maker] = {
    "AdaptiveFlexConv": lambda: network(AdaptiveFlexConv2d, 31, kernel_size=HORIZON, rank=4, generator=GENERATOR),
    "FlexConv": lambda: network(FlexConv2d, 24, kernel_size=HORIZON, generator=GENERATOR),
    "AdaptiveConv 3x3": lambda: network(AdaptiveConv2d, 8, kernel_size=3),
    "plain 3x3": lambda: network(nn.Conv2d, 26, kernel_size=3),
    "plain 5x5": lambda: network(nn.Conv2d, 15, kernel_size=5),
    "plain 9x9": lambda: network(nn.Conv2d, 8, kernel_size=9),
}


def shrink_and_place(images: Tensor, seed: int) -> Tensor:
    """Return every image (1, 28, 28) at a side uniform in 10..28, anywhere on an empty one.

    Example:
        >>> shrink_and_place(torch.ones(3, 1, 28, 28), 0).shape
        torch.Size([3, 1, 28, 28])
    """
    generator = torch.Generator().manual_seed(seed)
    sides = torch.randint(SMALLEST, SIDE + 1, (len(images),), generator=generator)
    places = torch.rand(len(images), 2, generator=generator)
    canvas = torch.zeros_like(images)
    for side in range(SMALLEST, SIDE + 1):
        members = (sides == side).nonzero().flatten()
        if len(members) == 0:
            continue
        small = F.interpolate(
            images[members],
            size=(side, side),
            mode="bilinear",
            antialias=True,
        )
        corners = (places[members] * (SIDE - side + 1)).long()
        for index, image, corner in zip(members.tolist(), small, corners.tolist(), strict=True):
            top, left = corner
            bottom = top + side
            right = left + side
            canvas[index, :, top:bottom, left:right] = image
    return canvas


FIRST, *OTHERS = NETS
TRIAL = digit_trial(NETS, [(FIRST, other) for other in OTHERS])
OPTIONS = Options("mixed_scales", tuple(NETS))
add_arguments = OPTIONS.add_to


def run(options: argparse.Namespace) -> int:
    """Train the networks, compare them, and print a table."""
    settings = OPTIONS.read(options)
    parts = digit_samples(settings.data_dir, change=shrink_and_place)
    return run_digits(TRIAL, parts, settings)
