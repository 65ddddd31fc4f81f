"""Small classifiers of small images, with a stem of any kind: what a few hundred or thousand parameters can do."""

import functools
import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..layers import AdaptiveConv2d


class Mirrored(nn.Module):
    """Both signs of every channel, each pooled and rectified: twice the channels for no parameters (CReLU)."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.activation = nn.MaxPool2d(2), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, 2 C, H / 2, W / 2)
        return self.activation(torch.cat([self.pool(x), self.pool(-x)], 1))


class CompactNet(nn.Module):
    """Stem, stages of 3x3 convolutions, a learned 3x3 pooling of each channel, linear map.

    The stem pads nothing. It and every stage end in a maximum over 2x2, taken before norm and ReLU, which then have
    a quarter of the work. There is no hidden linear layer, where LeNets have nine of ten parameters.

    Args:
        in_channels, classes: channels of the input, number of outputs.
        stem: makes the first convolution from (in_channels, out_channels).
        width: channels of the stem.
        stages: output channels of the convolutions of each stage.
        separable: which stages are depthwise-separable.
        mirrored: give both signs of the stem's channels to the first stage.

    Example:
        >>> stem = functools.partial(nn.Conv2d, kernel_size=3, bias=False)
        >>> CompactNet(1, 10, stem, width=4, stages=((8,), (8,)))(torch.randn(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        stem: Callable[[int, int], nn.Module],
        *,
        width: int,
        stages: Sequence[Sequence[int]],
        separable: Sequence[bool] = (False, True),
        mirrored: bool = False,
    ) -> None:
        super().__init__()
        if len(stages) != len(separable) or not all(stages):
            raise ValueError(f"`stages` must list channels for {len(separable)} stages, got {stages}.")
        first = stem(in_channels, width)
        if mirrored:  # the norm's own scale and shift would do what both signs and the next layer do
            self.stem = nn.Sequential(first, nn.BatchNorm2d(width, affine=False), Mirrored())
        else:
            self.stem = nn.Sequential(first, nn.MaxPool2d(2), nn.BatchNorm2d(width), nn.ReLU())
        channels = 2 * width if mirrored else width
        found = []
        for widths, apart in zip(stages, separable, strict=True):
            found.append(_stage([channels, *widths], separable=apart))
            channels = widths[-1]
        self.stages = nn.Sequential(*found)
        self.pool = nn.Conv2d(channels, channels, 3, groups=channels, bias=False)
        self.head = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:  # (B, in, H, W) -> (B, classes)
        return self.head(self.pool(self.stages(self.stem(x))).flatten(2).mean(2))


def _stage(widths: Sequence[int], *, separable: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index, (before, after) in enumerate(itertools.pairwise(widths), 1):
        if separable:
            layers.append(nn.Conv2d(before, before, 3, padding=1, groups=before, bias=False))
        layers.append(nn.Conv2d(before, after, 1 if separable else 3, padding=0 if separable else 1, bias=False))
        if index == len(widths) - 1:
            layers.append(nn.MaxPool2d(2))
        layers += [nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)


def adaptive_net(
    in_channels: int = 1,
    classes: int = 10,
    *,
    kernel_size: int = 3,
    width: int = 5,
    stages: Sequence[Sequence[int]] = ((18, 18), (24, 26)),
    separable: Sequence[bool] = (False, True),
    mirrored: bool = False,
    generator_size: int | None = None,
    squash: str = "tanh",
    frozen: bool = False,
) -> CompactNet:
    """A :class:`CompactNet` with an adaptive stem.

    Args:
        kernel_size, generator_size, squash: of the stem, see :class:`~flexkern.layers.adaptive.AdaptiveConv`.
        width, stages, separable, mirrored: see :class:`CompactNet`.
        frozen: leave the generator as it was drawn, as the public scripts of the paper do: a control.

    Example:
        >>> sum(p.numel() for p in adaptive_net().parameters())
        6296
    """
    stem = functools.partial(
        AdaptiveConv2d, kernel_size=kernel_size, bias=False, generator_size=generator_size, squash=squash
    )
    net = CompactNet(in_channels, classes, stem, width=width, stages=stages, separable=separable, mirrored=mirrored)
    if frozen:
        for parameter in net.stem[0].parameters():
            parameter.requires_grad_(False)
    return net


def plain_net(
    in_channels: int = 1,
    classes: int = 10,
    *,
    kernel_size: int = 3,
    width: int = 14,
    stages: Sequence[Sequence[int]] = ((16, 16), (24, 24)),
    separable: Sequence[bool] = (False, True),
    mirrored: bool = False,
) -> CompactNet:
    """A :class:`CompactNet` with an ordinary stem; arguments as :func:`adaptive_net`.

    Example:
        >>> sum(p.numel() for p in plain_net().parameters())
        6420
    """
    stem = functools.partial(nn.Conv2d, kernel_size=kernel_size, bias=False)
    return CompactNet(in_channels, classes, stem, width=width, stages=stages, separable=separable, mirrored=mirrored)
