"""The parts that the networks share: norms and pointwise maps for any number of axes, and shortcuts."""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._support.tracing import compiling, transforming

NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
POINTWISE = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


class LayerFactory(Protocol):
    """Makes a convolution that keeps the length of the signal: ``factory(in_channels, out_channels)``."""

    def __call__(self, in_channels: int, out_channels: int, /) -> nn.Module: ...


class ChannelsLast(nn.Module):
    """Lays images out channels last on a CPU, where direct convolution is faster so; later layers keep the layout.

    Layers that convolve by transforms give contiguous outputs, and those after them keep that.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.device.type != "cpu" or compiling() or transforming():
            return x
        return x.contiguous(memory_format=torch.channels_last)


def shortcut(in_channels: int, out_channels: int, dims: int) -> nn.Module:
    """Identity, or a pointwise convolution where the number of channels changes."""
    return nn.Identity() if in_channels == out_channels else POINTWISE[dims](in_channels, out_channels, 1)


class Head(nn.Linear):
    """Linear classifier whose weights start with a given standard deviation and whose bias starts at 0."""

    def __init__(self, in_features: int, classes: int, *, std: float) -> None:
        self.std = std
        super().__init__(in_features, classes)

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=self.std)
        nn.init.zeros_(self.bias)


class CausalConv1d(nn.Conv1d):
    """Ordinary convolution that pads on the old side only, for comparison with the causal FlexConv1d."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, causal: bool = True) -> None:
        super().__init__(in_channels, out_channels, kernel_size)
        if not causal:
            raise ValueError("`causal` must be True: torch.nn.Conv1d is the other one.")

    def forward(self, input: Tensor) -> Tensor:  # (B, in, T) -> (B, out, T)
        return super().forward(nn.functional.pad(input, (self.kernel_size[0] - 1, 0)))


LEVELS = 2**16


class Dropout(nn.Dropout):
    r"""``nn.Dropout``, faster on a CPU: every 64-bit random number decides on four values.

    In training :math:`y = x m / (1 - p)` with :math:`m` zero with probability ``p``, rounded to a multiple of
    :math:`2^{-16}`. Elsewhere - other devices, compiled code, evaluation - it is torch's.

    Example:
        >>> kept = Dropout(0.25)(torch.ones(1000)) != 0
        >>> 700 < int(kept.sum()) < 800
        True
    """

    def forward(self, input: Tensor) -> Tensor:
        drops = round(self.p * LEVELS)
        if not self.training or input.device.type != "cpu" or not 0 < drops < LEVELS or compiling() or transforming():
            return F.dropout(input, self.p, self.training, self.inplace)
        draws = torch.empty(-(-input.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        lanes = draws.view(torch.int16)[: input.numel()].view(input.shape)  # uniform on -2^15 .. 2^15 - 1
        scale = (lanes >= drops - LEVELS // 2).to(input.dtype).mul_(LEVELS / (LEVELS - drops))
        return input.mul_(scale) if self.inplace else input * scale
