"""Settings of an adaptive layer on digits: squash, bias, scale of inputs, place and sharing.

Networks of two layers with about equal parameters (6,620 to 6,770) differ in one of their layers and in width.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from flexkern.layers import AdaptiveConv2d

from ..common.digits import digit_samples, digit_trial, run_digits
from ..common.options import Options
from ..common.trials import Maker

ABOUT = "is there a setting in which an adaptive layer beats an ordinary one on digits?"

PLAIN, PLAIN_SEPARABLE = "plain", "plain separable"
Layer = Callable[[int, int], nn.Module]


class Scaled(nn.Module):
    """Inputs times a constant, which decides how far into the squash they reach."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def network(first: Layer, second: Layer, widths: tuple[int, int], *, factor: float = 1.0) -> nn.Sequential:
    """Return two layers with norm and ReLU, halved in between; then the maximum over positions and a linear map."""
    first_width, second_width = widths
    return nn.Sequential(
        Scaled(factor),
        first(1, first_width),
        nn.BatchNorm2d(first_width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        second(first_width, second_width),
        nn.BatchNorm2d(second_width),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(second_width, 10),
    )


def ordinary(in_channels: int, out_channels: int) -> nn.Module:
    """Return a 3x3 convolution."""
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)


def adaptive(
    in_channels: int,
    out_channels: int,
    *,
    bias: bool = True,
    sharing: str = "pair",
    squash: str = "tanh",
) -> nn.Module:
    """Return a 3x3 adaptive convolution."""
    return AdaptiveConv2d(
        in_channels,
        out_channels,
        3,
        padding=1,
        bias=False,
        bias_generator=bias,
        sharing=sharing,
        squash=squash,
        normalize=squash == "gaussian",
    )


def separable(in_channels: int, out_channels: int, *, adapts: bool = True) -> nn.Module:
    """Return a 3x3 kernel per channel, adaptive or not, then a 1x1 convolution."""
    if adapts:
        per_channel = adaptive(in_channels, in_channels, sharing="depthwise")
    else:
        per_channel = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)
    mixing = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    return nn.Sequential(per_channel, mixing)


def _adaptive_first(widths: tuple[int, int], *, factor: float = 1.0, **options: Any) -> Maker:
    layer = functools.partial(adaptive, **options)
    return functools.partial(network, layer, ordinary, widths, factor=factor)


def _other_second(second: Layer, widths: tuple[int, int], **options: Any) -> Maker:
    layer = functools.partial(second, **options)
    return functools.partial(network, ordinary, layer, widths)


NETS: dict[str, Maker] = {
    PLAIN: functools.partial(network, ordinary, ordinary, (26, 26)),
    PLAIN_SEPARABLE: _other_second(separable, (52, 88), adapts=False),
    "first": _adaptive_first((20, 25)),
    "first without bias": _adaptive_first((20, 26), bias=False),
    "first hardtanh": _adaptive_first((20, 25), squash="hardtanh"),
    "first Gaussian normalised": _adaptive_first((18, 28), squash="gaussian"),
    "first softmax": _adaptive_first((20, 25), squash="softmax"),
    "first inputs / 3": _adaptive_first((20, 25), factor=1 / 3),
    "first inputs x 3": _adaptive_first((20, 25), factor=3.0),
    "second pair": _other_second(adaptive, (8, 9)),
    "second shared": _other_second(adaptive, (10, 8), sharing="shared"),
    "second depthwise": _other_second(separable, (36, 62)),
}
PAIRS = [(name, PLAIN) for name in NETS if name != PLAIN]
PAIRS.append(("second depthwise", PLAIN_SEPARABLE))
TRIAL = digit_trial(NETS, PAIRS)
OPTIONS = Options("adaptive_settings", tuple(NETS))
add_arguments = OPTIONS.add_to


def run(options: argparse.Namespace) -> int:
    """Train the networks, compare them, and print a table."""
    settings = OPTIONS.read(options)
    return run_digits(TRIAL, digit_samples(settings.data_dir), settings)
