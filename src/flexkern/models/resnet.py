"""Residual networks for 32x32 images, whose convolutions may be adaptive."""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from ..layers import AdaptiveConv2d

Conv = Callable[..., nn.Module]
"""Makes a padded 3x3 convolution without bias: ``conv(in_channels, out_channels, stride=1)``."""

PLAIN: Conv = functools.partial(nn.Conv2d, kernel_size=3, padding=1, bias=False)
ADAPTIVE: Conv = functools.partial(AdaptiveConv2d, kernel_size=3, padding=1, bias=False)
WHERE = ("nowhere", "stem", "everywhere")


class BasicBlock(nn.Module):
    """``conv - norm - ReLU - conv - norm``, plus the input (projected where the shape changes), then ReLU."""

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
        same = stride == 1 and in_channels == out_channels
        projection = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
        self.shortcut = nn.Identity() if same else nn.Sequential(projection, nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:  # (B, in, H, W) -> (B, out, H / stride, W / stride)
        return self.activation(self.body(x) + self.shortcut(x))


class ResNet(nn.Module):
    """Residual network (He et al. 2016) of basic blocks; every stage but the first halves the image.

    Args:
        in_channels, classes: channels of the input, number of outputs.
        stem_width: channels of the first convolution.
        widths: channels of each stage; ``blocks``: blocks of each stage.
        stem, conv: make the first and the other 3x3 convolutions.

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
        self.stem = nn.Sequential(stem(in_channels, stem_width), nn.BatchNorm2d(stem_width), nn.ReLU())
        stages, channels = [], stem_width
        for index, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            steps = itertools.pairwise([channels, *(width,) * count])
            strides = [1 if index == 0 else 2, *(1,) * (count - 1)]
            stages.append(nn.Sequential(*(BasicBlock(*step, s, conv) for step, s in zip(steps, strides, strict=True))))
            channels = width
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:  # (B, in, H, W) -> (B, classes)
        return self.head(self.stages(self.stem(x)).mean((2, 3)))


def resnet18(in_channels: int = 3, classes: int = 10, *, adaptive: str = "nowhere") -> ResNet:
    """ResNet-18 for 32x32 images: 11,173,962 parameters (3 channels, 10 classes).

    With an adaptive stem it is that of the paper's public script, 3 -> 16 channels: 11,149,962 parameters; adaptive
    everywhere it has 109,770,378.

    Args:
        in_channels, classes: channels of the input, number of outputs.
        adaptive: which 3x3 convolutions are, "nowhere", "stem" or "everywhere".

    Raises:
        ValueError: for another ``adaptive``.

    Example:
        >>> sum(p.numel() for p in resnet18().parameters())
        11173962
    """
    stem_width = 64 if adaptive == "nowhere" else 16
    return _resnet(in_channels, classes, stem_width, (64, 128, 256, 512), (2, 2, 2, 2), adaptive)


def thin_resnet(
    in_channels: int = 3, classes: int = 10, *, depth: int = 8, width: int = 8, adaptive: str = "nowhere"
) -> ResNet:
    """The CIFAR networks of He et al. 2016, ``depth = 6 n + 2``, of ``width``, ``2 width`` and ``4 width`` channels.

    (Theirs have width 16 and shortcuts without parameters.) Other arguments are those of :func:`resnet18`.

    Raises:
        ValueError: for a ``depth`` that is not 6 n + 2, or another ``adaptive``.

    Example:
        >>> sum(p.numel() for p in thin_resnet(depth=20, width=16).parameters())
        272474
    """
    count, rest = divmod(depth - 2, 6)
    if rest or count < 1:
        raise ValueError(f"`depth` must be 8, 14, 20, ... (6 n + 2), got {depth}.")
    return _resnet(in_channels, classes, width, (width, 2 * width, 4 * width), (count,) * 3, adaptive)


def _resnet(in_channels: int, classes: int, stem_width: int, widths: Any, blocks: Any, adaptive: str) -> ResNet:
    if adaptive not in WHERE:
        raise ValueError(f"`adaptive` must be one of {', '.join(WHERE)}, got {adaptive!r}.")
    stem = PLAIN if adaptive == "nowhere" else ADAPTIVE
    conv = ADAPTIVE if adaptive == "everywhere" else PLAIN
    return ResNet(in_channels, classes, stem_width=stem_width, widths=widths, blocks=blocks, stem=stem, conv=conv)
