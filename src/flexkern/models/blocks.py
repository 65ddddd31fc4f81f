"""The parts that the networks share: norms and pointwise maps for any number of axes, and shortcuts."""

from typing import Protocol

import torch
from torch import Tensor, nn

from ..tracing import compiling, transforming

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
