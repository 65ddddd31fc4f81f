"""Residual networks for 32x32 images, whose convolutions may be adaptive."""

import functools
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from ..layers import AdaptiveConv2d

Conv = Callable[..., nn.Module]
"""Callable that builds a padded 3x3 convolution without bias: ``conv(in_channels, out_channels, stride=1)``."""

PLAIN: Conv = functools.partial(nn.Conv2d, kernel_size=3, padding=1, bias=False)
ADAPTIVE: Conv = functools.partial(AdaptiveConv2d, kernel_size=3, padding=1, bias=False)
WHERE = ("nowhere", "stem", "everywhere")
"""Which 3x3 convolutions of a network are adaptive."""


class BasicBlock(nn.Module):
    """``conv - norm - ReLU - conv - norm``, plus the input (projected if the shape changes), then ReLU.

    Args:
        in_channels, out_channels: channels of the input and of the output.
        stride: of the first convolution and of the projection.
        conv: builds the 3x3 convolutions.

    Shape:
        ``(B, in_channels, H, W)`` to ``(B, out_channels, H / stride, W / stride)``.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, conv: Conv) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(in_channels, out_channels, stride=stride),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            conv(out_channels, out_channels),
            nn.BatchNorm2d(out_channels),
        )
        self.activation = nn.ReLU()
        # Built even where it is not used: its random draws are part of what a seed gives.
        projection = nn.Conv2d(
            in_channels,
            out_channels,
            1,
            stride=stride,
            bias=False,
        )
        self.shortcut: nn.Module = nn.Sequential(projection, nn.BatchNorm2d(out_channels))
        if stride == 1 and in_channels == out_channels:
            self.shortcut = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        total = self.body(x) + self.shortcut(x)
        return self.activation(total)


class ResNet(nn.Module):
    """Residual network of basic blocks (He et al. 2016); every stage except the first halves the image.

    Args:
        in_channels: channels of the input.
        classes: number of outputs.
        stem_width: channels of the first convolution.
        widths: channels of each stage.
        blocks: number of blocks of each stage.
        stem: builds the first 3x3 convolution.
        conv: builds the other 3x3 convolutions.

    Shape:
        ``(B, in_channels, H, W)`` to ``(B, classes)``.

    Raises:
        ValueError: if ``widths`` and ``blocks`` differ in length, are empty, or a stage has no block.

    Example:
        >>> import torch
        >>> net = ResNet(3, 10, stem_width=8, widths=(8, 16, 32), blocks=(1, 1, 1))
        >>> net(torch.randn(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        stem_width: int,
        widths: Sequence[int],
        blocks: Sequence[int],
        stem: Conv = PLAIN,
        conv: Conv = PLAIN,
    ) -> None:
        super().__init__()
        if len(widths) != len(blocks) or not widths or min(blocks) < 1:
            raise ValueError(f"`widths` and `blocks` must be of one length, blocks positive, got {widths}, {blocks}.")
        self.stem = nn.Sequential(
            stem(in_channels, stem_width),
            nn.BatchNorm2d(stem_width),
            nn.ReLU(),
        )
        self.stages = nn.Sequential()
        channels = stem_width
        stride = 1
        for width, count in zip(widths, blocks, strict=True):
            stage = nn.Sequential(BasicBlock(channels, width, stride, conv))
            for _ in range(count - 1):
                stage.append(BasicBlock(width, width, 1, conv))
            self.stages.append(stage)
            channels = width
            stride = 2
        self.head = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.stages(x)
        features = x.mean((2, 3))
        return self.head(features)


def resnet18(
    in_channels: int = 3,
    classes: int = 10,
    *,
    adaptive: str = "nowhere",
) -> ResNet:
    """Build ResNet-18 for 32x32 images: 11,173,962 parameters for 3 channels and 10 classes.

    With an adaptive stem, the stem has 16 channels, as in the public script of Zamora Esquivel et al. 2019, and the
    network 11,149,962 parameters. With adaptive convolutions everywhere, it has 109,770,378.

    Args:
        in_channels: channels of the input.
        classes: number of outputs.
        adaptive: which 3x3 convolutions are adaptive: "nowhere", "stem" or "everywhere".

    Raises:
        ValueError: for another ``adaptive``.

    Example:
        >>> sum(p.numel() for p in resnet18().parameters())
        11173962
    """
    stem, conv = _convolutions(adaptive)
    return ResNet(
        in_channels,
        classes,
        stem_width=64 if adaptive == "nowhere" else 16,
        widths=(64, 128, 256, 512),
        blocks=(2, 2, 2, 2),
        stem=stem,
        conv=conv,
    )


def thin_resnet(
    in_channels: int = 3,
    classes: int = 10,
    *,
    depth: int = 8,
    width: int = 8,
    adaptive: str = "nowhere",
) -> ResNet:
    """Build a CIFAR network of He et al. 2016 with ``width``, ``2 * width`` and ``4 * width`` channels.

    Deviation: theirs have width 16 and shortcuts without parameters.

    Args:
        in_channels: channels of the input.
        classes: number of outputs.
        depth: number of layers, ``6 n + 2``, for ``n`` blocks per stage.
        width: channels of the first stage.
        adaptive: which 3x3 convolutions are adaptive: "nowhere", "stem" or "everywhere".

    Raises:
        ValueError: for a ``depth`` that is not ``6 n + 2``, or another ``adaptive``.

    Example:
        >>> sum(p.numel() for p in thin_resnet(depth=20, width=16).parameters())
        272474
    """
    count, remainder = divmod(depth - 2, 6)
    if remainder or count < 1:
        raise ValueError(f"`depth` must be 8, 14, 20, ... (6 n + 2), got {depth}.")
    stem, conv = _convolutions(adaptive)
    return ResNet(
        in_channels,
        classes,
        stem_width=width,
        widths=(width, 2 * width, 4 * width),
        blocks=(count, count, count),
        stem=stem,
        conv=conv,
    )


def _convolutions(adaptive: str) -> tuple[Conv, Conv]:
    """Return the factories of the stem and of the other 3x3 convolutions."""
    if adaptive not in WHERE:
        raise ValueError(f"`adaptive` must be one of {', '.join(WHERE)}, got {adaptive!r}.")
    stem = PLAIN if adaptive == "nowhere" else ADAPTIVE
    conv = ADAPTIVE if adaptive == "everywhere" else PLAIN
    return stem, conv
