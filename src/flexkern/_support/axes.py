"""Helpers that depend on the number of axes."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def last_axes(slices: Iterable[slice]) -> Any:
    """Return an index of the last axes only.

    Example:
        >>> import torch; torch.zeros(2, 3, 5)[last_axes([slice(2), slice(4)])].shape
        torch.Size([2, 2, 4])
    """
    return (..., *slices)


def append_axes(values: Tensor, count: int) -> Tensor:
    """Append axes of length 1, so that values per channel can be combined with signals.

    Example:
        >>> import torch; append_axes(torch.zeros(4), 2).shape
        torch.Size([4, 1, 1])
    """
    return values.view(*values.shape, *(1,) * count)


def output_size(
    signal: Sequence[int],
    padding: Sequence[tuple[int, int]],
    extent: Sequence[int],
    stride: Sequence[int],
) -> tuple[int, ...]:
    """Return the output samples of a convolution per axis; not positive where the kernel does not fit.

    Args:
        signal: samples per axis, without padding.
        padding: samples per axis (before, after); negative values crop.
        extent: samples that the dilated kernel spans per axis.
        stride: samples between two outputs per axis.

    Example:
        >>> output_size((28, 28), ((2, 2), (0, 0)), (5, 5), (1, 2))
        (28, 12)
    """
    sizes = []
    for samples, (before, after), span, step in zip(signal, padding, extent, stride, strict=True):
        last = samples + before + after - span
        sizes.append(last // step + 1)
    return tuple(sizes)
