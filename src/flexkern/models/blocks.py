"""Modules that the networks share: norms, pointwise maps, shortcuts, classifier, causal convolution and dropout."""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._support.tracing import compiling, transforming

NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
POINTWISE = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
DROPOUT_LEVELS = 2**16
"""Number of probabilities that :class:`Dropout` distinguishes: the values of a 16-bit integer."""


class LayerFactory(Protocol):
    """Callable that builds a convolution which keeps the length of the signal."""

    def __call__(self, in_channels: int, out_channels: int, /) -> nn.Module:
        """Return the convolution from ``in_channels`` to ``out_channels``."""
        ...


class ChannelsLast(nn.Module):
    """Identity that stores images channels last on a CPU, where direct convolution is then faster.

    Layers that convolve directly keep this layout. Layers that convolve by Fourier transforms return contiguous
    tensors, which the layers after them keep.

    Example:
        >>> images = torch.zeros(2, 3, 8, 8)
        >>> ChannelsLast()(images).is_contiguous(memory_format=torch.channels_last)
        True
    """

    def forward(self, x: Tensor) -> Tensor:
        is_image_on_cpu = x.dim() == 4 and x.device.type == "cpu"
        if not is_image_on_cpu or compiling() or transforming():
            return x
        return x.contiguous(memory_format=torch.channels_last)


def shortcut(in_channels: int, out_channels: int, dims: int) -> nn.Module:
    """Return the identity, or a pointwise convolution of ``dims`` axes if the number of channels changes."""
    if in_channels == out_channels:
        return nn.Identity()
    return POINTWISE[dims](in_channels, out_channels, 1)


class Head(nn.Linear):
    """Linear classifier whose weight starts with standard deviation ``std`` and whose bias starts at 0."""

    def __init__(self, in_features: int, classes: int, *, std: float) -> None:
        self.std = std
        super().__init__(in_features, classes)

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=self.std)
        nn.init.zeros_(self.bias)


class CausalConv1d(nn.Conv1d):
    """Ordinary convolution that pads only before the first sample, for comparison with a causal FlexConv1d.

    Args:
        in_channels, out_channels, kernel_size: see :class:`torch.nn.Conv1d`.
        causal: must be True; accepted so that the layer can replace a causal FlexConv1d.

    Shape:
        ``(B, in_channels, T)`` to ``(B, out_channels, T)``.

    Raises:
        ValueError: if ``causal`` is False.

    Example:
        >>> CausalConv1d(3, 4, kernel_size=5)(torch.zeros(2, 3, 20)).shape
        torch.Size([2, 4, 20])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        causal: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size)
        if not causal:
            raise ValueError("`causal` must be True, got False; use torch.nn.Conv1d for a non-causal convolution.")

    def forward(self, input: Tensor) -> Tensor:
        padding = self.kernel_size[0] - 1
        padded = nn.functional.pad(input, (padding, 0))
        return super().forward(padded)


class Dropout(nn.Dropout):
    r"""``nn.Dropout`` that is faster on a CPU: one 64-bit random number decides four values.

    In training :math:`y = x m / (1 - p)`, where the mask :math:`m` is 0 with probability ``p`` and 1 otherwise. ``p``
    is rounded to a multiple of :math:`2^{-16}`. On other devices, in compiled code, under ``torch.func`` transforms and
    in evaluation, the module is torch's dropout.

    Args:
        p: probability of an element to be zeroed.
        inplace: whether to overwrite the input.

    Example:
        >>> nonzero = Dropout(0.25)(torch.ones(1000)) != 0
        >>> 700 < int(nonzero.sum()) < 800
        True
    """

    def forward(self, input: Tensor) -> Tensor:
        dropped_levels = round(self.p * DROPOUT_LEVELS)
        is_random = self.training and 0 < dropped_levels < DROPOUT_LEVELS
        is_plain = input.device.type == "cpu" and not compiling() and not transforming()
        if not (is_random and is_plain):
            return F.dropout(input, self.p, self.training, self.inplace)
        count = input.numel()
        numbers = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
        levels = numbers.view(torch.int16)[:count].view(input.shape)  # uniform on -2^15 .. 2^15 - 1
        mask = levels >= dropped_levels - DROPOUT_LEVELS // 2
        scale = mask.to(input.dtype).mul_(DROPOUT_LEVELS / (DROPOUT_LEVELS - dropped_levels))
        if self.inplace:
            return input.mul_(scale)
        return input * scale
