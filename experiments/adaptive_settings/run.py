"""Does any setting of an adaptive layer beat an ordinary one on digits? Squash, bias, scale of inputs, place, sharing.

Networks of two layers and about equal parameters (6,620 to 6,770) that differ in one of their layers and in width.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from flexkern.layers import AdaptiveConv2d

from .digits import DigitTrial

PLAIN, PLAIN_SEPARABLE = "plain", "plain separable"
Layer = Callable[[int, int], nn.Module]


class Scaled(nn.Module):
    """Inputs times a constant: how far into the squash they reach."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def network(first: Layer, second: Layer, widths: tuple[int, int], *, factor: float = 1.0) -> nn.Sequential:
    """Two layers with norm and ReLU, halved between, the maximum over positions, linear map."""
    a, b = widths
    return nn.Sequential(
        *(Scaled(factor), first(1, a), nn.BatchNorm2d(a), nn.ReLU(), nn.MaxPool2d(2)),
        *(second(a, b), nn.BatchNorm2d(b), nn.ReLU()),
        *(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(b, 10)),
    )


def ordinary(before: int, after: int) -> nn.Module:
    """A 3x3 convolution."""
    return nn.Conv2d(before, after, 3, padding=1, bias=False)


def adaptive(before: int, after: int, *, bias: bool = True, sharing: str = "pair", squash: str = "tanh") -> nn.Module:
    """A 3x3 adaptive convolution."""
    normalize = squash == "gaussian"
    return AdaptiveConv2d(
        before,
        after,
        3,
        padding=1,
        bias=False,
        bias_generator=bias,
        sharing=sharing,
        squash=squash,
        normalize=normalize,
    )


def separable(before: int, after: int, *, adapts: bool = True) -> nn.Module:
    """A 3x3 kernel per channel, adaptive or not, then a 1x1 convolution."""
    if adapts:
        per_channel = adaptive(before, before, sharing="depthwise")
    else:
        per_channel = nn.Conv2d(before, before, 3, padding=1, groups=before, bias=False)
    return nn.Sequential(per_channel, nn.Conv2d(before, after, 1, bias=False))


def _first(width: int, after: int, *, factor: float = 1.0, **options: Any) -> Callable[[], nn.Module]:
    layer = functools.partial(adaptive, **options)
    return functools.partial(network, layer, ordinary, (width, after), factor=factor)


NETS: dict[str, Callable[[], nn.Module]] = {
    PLAIN: functools.partial(network, ordinary, ordinary, (26, 26)),
    PLAIN_SEPARABLE: functools.partial(network, ordinary, functools.partial(separable, adapts=False), (52, 88)),
    "first": _first(20, 25),
    "first without bias": _first(20, 26, bias=False),
    "first hardtanh": _first(20, 25, squash="hardtanh"),
    "first Gaussian normalised": _first(18, 28, squash="gaussian"),
    "first softmax": _first(20, 25, squash="softmax"),
    "first inputs / 3": _first(20, 25, factor=1 / 3),
    "first inputs x 3": _first(20, 25, factor=3.0),
    "second pair": functools.partial(network, ordinary, adaptive, (8, 9)),
    "second shared": functools.partial(network, ordinary, functools.partial(adaptive, sharing="shared"), (10, 8)),
    "second depthwise": functools.partial(network, ordinary, separable, (36, 62)),
}

PAIRS = [*((name, PLAIN) for name in NETS if name != PLAIN), ("second depthwise", PLAIN_SEPARABLE)]
ADAPTIVE_SETTINGS = DigitTrial("adaptive-settings", NETS, PAIRS)
