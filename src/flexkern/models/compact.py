"""Small classifiers for small images, with a stem of any kind: a few hundred to a few thousand parameters."""

import functools
import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..layers import AdaptiveConv2d


class Mirrored(nn.Module):
    """Every channel with both signs, each pooled and rectified: twice the channels for no parameters (CReLU).

    Shape:
        ``(B, C, H, W)`` to ``(B, 2 C, H / 2, W / 2)``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2)
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        both_signs = torch.cat([self.pool(x), self.pool(-x)], 1)
        return self.activation(both_signs)


class CompactNet(nn.Module):
    """Stem, stages of 3x3 convolutions, a learned 3x3 pooling of each channel, linear map.

    The stem has no padding. The stem and every stage end in a maximum over 2x2. It precedes norm and ReLU, which then
    process a quarter of the values. There is no hidden linear layer, which has nine of ten parameters in a LeNet.

    Args:
        in_channels: channels of the input.
        classes: number of outputs.
        stem: builds the first convolution from (in_channels, out_channels).
        width: channels of the stem.
        stages: output channels of the convolutions of each stage.
        separable: which stages are depthwise-separable.
        mirrored: whether the first stage receives both signs of the stem's channels.

    Shape:
        ``(B, in_channels, H, W)`` to ``(B, classes)``.

    Raises:
        ValueError: if ``stages`` and ``separable`` differ in length, or a stage is empty.

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
        conv = stem(in_channels, width)
        if mirrored:
            # Both signs and the next layer can do what the norm's own scale and shift would do.
            self.stem = nn.Sequential(conv, nn.BatchNorm2d(width, affine=False), Mirrored())
        else:
            self.stem = nn.Sequential(conv, nn.MaxPool2d(2), nn.BatchNorm2d(width), nn.ReLU())
        channels = 2 * width if mirrored else width
        self.stages = nn.Sequential()
        for widths, is_separable in zip(stages, separable, strict=True):
            stage = _stage([channels, *widths], separable=is_separable)
            self.stages.append(stage)
            channels = widths[-1]
        self.pool = nn.Conv2d(channels, channels, 3, groups=channels, bias=False)
        self.head = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.stages(x)
        x = self.pool(x)
        features = x.flatten(2).mean(2)
        return self.head(features)


def _stage(widths: Sequence[int], *, separable: bool) -> nn.Sequential:
    """Return 3x3 convolutions through ``widths`` channels, each with norm and ReLU; the last one is pooled."""
    layers: list[nn.Module] = []
    last = len(widths) - 2
    for index, (before, after) in enumerate(itertools.pairwise(widths)):
        if separable:
            layers.append(nn.Conv2d(before, before, 3, padding=1, groups=before, bias=False))
            layers.append(nn.Conv2d(before, after, 1, bias=False))
        else:
            layers.append(nn.Conv2d(before, after, 3, padding=1, bias=False))
        if index == last:
            layers.append(nn.MaxPool2d(2))
        layers.append(nn.BatchNorm2d(after))
        layers.append(nn.ReLU())
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
    """Build a :class:`CompactNet` with an adaptive stem.

    Args:
        in_channels: channels of the input.
        classes: number of outputs.
        kernel_size, generator_size, squash: of the stem; see :class:`~flexkern.layers.adaptive.AdaptiveConv`.
        width, stages, separable, mirrored: see :class:`CompactNet`.
        frozen: whether the stem keeps its initial parameters, as in the public scripts of Zamora Esquivel et al. 2019;
            a control.

    Example:
        >>> sum(p.numel() for p in adaptive_net().parameters())
        6296
    """
    stem = functools.partial(
        AdaptiveConv2d,
        kernel_size=kernel_size,
        bias=False,
        generator_size=generator_size,
        squash=squash,
    )
    net = CompactNet(
        in_channels,
        classes,
        stem,
        width=width,
        stages=stages,
        separable=separable,
        mirrored=mirrored,
    )
    if frozen:
        net.stem[0].requires_grad_(False)
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
    """Build a :class:`CompactNet` with an ordinary stem.

    Args:
        in_channels: channels of the input.
        classes: number of outputs.
        kernel_size: of the stem.
        width, stages, separable, mirrored: see :class:`CompactNet`.

    Example:
        >>> sum(p.numel() for p in plain_net().parameters())
        6420
    """
    stem = functools.partial(nn.Conv2d, kernel_size=kernel_size, bias=False)
    return CompactNet(
        in_channels,
        classes,
        stem,
        width=width,
        stages=stages,
        separable=separable,
        mirrored=mirrored,
    )
