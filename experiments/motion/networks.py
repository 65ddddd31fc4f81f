"""Networks that classify the shift between two frames by products of pixels, or by layers of ReLU."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from flexkern.layers import AdaptiveConv2d

from ..common.trials import Maker

FRAMES = 2
REACH = 2
"""Largest shift in pixels, in each direction."""
CLASSES = (2 * REACH + 1) ** 2


class Square(nn.Module):
    """Every value times itself."""

    def forward(self, x: Tensor) -> Tensor:
        return x.square()


def one_layer(width: int, nonlinear: nn.Module) -> nn.Sequential:
    """Return one 5x5 convolution of both frames, norm, ``nonlinear``, average, norm, linear map."""
    return nn.Sequential(
        nn.Conv2d(FRAMES, width, 5, padding=2, bias=False),
        nn.BatchNorm2d(width),
        nonlinear,
        *_head(width, normed=True),
    )


def hybrid(width: int) -> nn.Sequential:
    """Return :func:`one_layer` with one depthwise adaptive kernel of one pixel.

    Without squash that kernel is ``K(p) = b + q x(p)``: every channel is multiplied by an affine function of itself,
    so a sum of the two frames gives their product.
    """
    product = AdaptiveConv2d(width, width, 1, bias=False, sharing="depthwise", squash=nn.Identity())
    return one_layer(width, product)


def squares(width: int) -> nn.Sequential:
    """Return :func:`one_layer` with squares: the functions of :func:`hybrid` between two norms, without parameters."""
    return one_layer(width, Square())


def adaptive(outputs: int) -> nn.Sequential:
    """Return one adaptive 5x5 convolution (tanh) whose kernels see one pixel of both frames, norm, average, linear."""
    first = AdaptiveConv2d(
        FRAMES,
        outputs,
        5,
        padding="same",
        bias=False,
        generator_size=1,
        sharing="full",
    )
    return nn.Sequential(first, nn.BatchNorm2d(outputs), *_head(outputs))


def plain(
    widths: Sequence[int],
    *,
    kernels: Sequence[int],
    halved: bool = False,
    activation: Callable[[], nn.Module] = nn.ReLU,
    normed: bool = False,
) -> nn.Sequential:
    """Return ordinary convolutions with norm and activation, then average and linear map.

    Args:
        widths: channels per layer.
        kernels: sizes per layer.
        halved: whether the second layer has stride 2.
        activation: after every norm.
        normed: whether a norm follows the average, as in :func:`one_layer`.
    """
    layers: list[nn.Module] = []
    channels = FRAMES
    for index, (width, kernel) in enumerate(zip(widths, kernels, strict=True)):
        stride = 2 if halved and index == 1 else 1
        layers.append(nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2, bias=False))
        layers.append(nn.BatchNorm2d(width))
        layers.append(activation())
        channels = width
    return nn.Sequential(*layers, *_head(channels, normed=normed))


def _head(channels: int, *, normed: bool = False) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    if normed:
        layers.append(nn.BatchNorm1d(channels))
    layers.append(nn.Linear(channels, CLASSES))
    return layers


def _one_plain_layer(width: int) -> Maker:
    return functools.partial(plain, (width,), kernels=(5,), normed=True)


WIDTHS = (32, 48, 53, 64, 84, 98)
"""Of plain networks of one layer: those of the hybrids, and those that take about as long as the hybrids."""
HALVED = functools.partial(plain, (32, 32), kernels=(3, 3), halved=True, activation=nn.SiLU)

NETS: dict[str, Maker] = {
    "adaptive hybrid 32": functools.partial(hybrid, 32),
    "adaptive hybrid 64": functools.partial(hybrid, 64),
    "adaptive alone 6": functools.partial(adaptive, 6),
    "squares 32": functools.partial(squares, 32),
    "squares 64": functools.partial(squares, 64),
    **{f"plain {width} 5x5 normed": _one_plain_layer(width) for width in WIDTHS},
    "plain 21-21 normed": functools.partial(plain, (21, 21), kernels=(3, 3), normed=True),
    "plain 32-32 halved SiLU normed": lambda: HALVED(normed=True),
    "plain 64 5x5": functools.partial(plain, (64,), kernels=(5,)),
    "plain 21-21": functools.partial(plain, (21, 21), kernels=(3, 3)),
    "plain 32-32 halved SiLU": HALVED,
}
