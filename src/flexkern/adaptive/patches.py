"""Windows of a signal as matrices, and back: what generators see and what kernels are applied to."""

import functools
import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .._support.axes import last_axes
from .spec import AdaptiveSpec


def embed(weight: Tensor, bias: Tensor | None, spec: AdaptiveSpec) -> Tensor:
    """The generator as matrices (banks, rows, seen * (window + 1)): one column per sample that it sees, and the bias.

    The bias is the weight of a sample that is always 1, one per channel; it is given to the first channel.
    """
    sides = [side for w in reversed(spec.windows) for side in (w.generator.start, w.size - w.generator.stop)]
    whole = F.pad(weight, sides) if any(sides) else weight
    columns = whole.reshape(spec.generator_groups, spec.generator_out_channels, spec.generator_in_channels, -1)
    if bias is not None:
        ones = bias.view(spec.generator_groups, spec.generator_out_channels, 1, 1)
        ones = F.pad(ones, (0, 0, 0, spec.generator_in_channels - 1)) if spec.generator_in_channels > 1 else ones
        columns = torch.cat([columns, ones], 3)
    return columns.flatten(2)


def extract(matrices: Tensor, spec: AdaptiveSpec, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """The gradients of a generator's weight, of ``shape``, and bias from that of its matrices."""
    window = [w.size for w in spec.windows]
    columns = matrices.unflatten(2, (spec.generator_in_channels, -1)).flatten(0, 1)
    taps = math.prod(window)
    inside = columns[:, :, :taps].unflatten(2, window)[last_axes(w.generator for w in spec.windows)]
    return inside.reshape(shape), columns[:, 0, -1]


def unfold(padded: Tensor, spec: AdaptiveSpec, *, ones: bool) -> Tensor:
    """Windows of all positions: (in, window (+ 1), batch * positions), the last of a window being 1 if ``ones``.

    Example:
        >>> from flexkern.adaptive import AdaptiveSpec
        >>> spec = AdaptiveSpec(1, 1, (2,), (2,), (1,), (1,), 1, "pair", "tanh")
        >>> unfold(torch.tensor([[[1.0, 2.0, 3.0]]]), spec, ones=True).tolist()
        [[[1.0, 2.0], [2.0, 3.0], [1.0, 1.0]]]
    """
    batch, channels = padded.shape[:2]
    size, window = spec.output_size(padded.shape), [w.size for w in spec.windows]
    taps, strides = math.prod(window), padded.stride()
    patches = padded.new_empty(channels, taps + ones, batch * math.prod(size))
    view = padded.as_strided(
        (channels, *window, batch, *size),
        (
            strides[1],
            *(step * d for step, d in zip(strides[2:], spec.dilation, strict=True)),
            strides[0],
            *(step * s for step, s in zip(strides[2:], spec.stride, strict=True)),
        ),
        padded.storage_offset(),
    )
    patches[:, :taps].view(view.shape).copy_(view)
    if ones:
        patches[:, taps] = 1
    return patches


def fold(patches: Tensor, padded: Tensor, spec: AdaptiveSpec) -> None:
    """Adds (in, window, batch * positions) to where :func:`unfold` took it from; axis by axis, as windows are boxes."""
    size, axes = spec.output_size(padded.shape), len(spec.windows)
    parts = patches.view(len(patches), *(w.size for w in spec.windows), len(padded), *size)
    for axis in reversed(range(axes)):
        parts = _overlap_add(parts, 1 + axis, parts.dim() - axes + axis, spec.stride[axis], spec.dilation[axis])
    inside = padded[last_axes(slice(n) for n in parts.shape[2:])]
    inside += parts.transpose(0, 1)


def _overlap_add(parts: Tensor, taps: int, axis: int, stride: int, dilation: int) -> Tensor:
    """Sums the axis ``taps`` into ``axis``, tap ``t`` shifted by ``t dilation`` and spread by ``stride``."""
    count, samples = parts.shape[taps], (parts.shape[axis] - 1) * stride + 1
    shape = list(parts.shape)
    shape[axis] = samples + (count - 1) * dilation
    del shape[taps]
    whole = parts.new_zeros(shape)
    for tap, part in enumerate(parts.unbind(taps)):
        into = whole.narrow(axis - 1, tap * dilation, samples)
        into = into[(slice(None),) * (axis - 1) + (slice(None, None, stride),)] if stride > 1 else into
        into += part
    return whole


def has_ones(matrices: Tensor, spec: AdaptiveSpec) -> bool:
    """Whether the generator's matrices hold a bias."""
    return matrices.shape[2] > spec.generator_in_channels * math.prod(w.size for w in spec.windows)


def seen_by(patches: Tensor, spec: AdaptiveSpec, banks: slice, positions: slice) -> Tensor:
    """What the generators of some banks see: (banks, seen * window, positions)."""
    return patches.view(spec.generator_groups, -1, patches.shape[2])[banks, :, positions]


def values_of(patches: Tensor, spec: AdaptiveSpec, banks: slice, positions: slice) -> Tensor:
    """What the kernels of some banks are applied to: (banks, applied, taps, positions)."""
    index = kernel_index(spec)
    part = _by_tap(patches, spec, banks, positions)
    part = part[:, :, : spec.taps] if index is None else part[:, :, list(index)]
    return part.sum(1, keepdim=True) if spec.sharing == "shared" else part


def add_values(patches: Tensor, values: Tensor, spec: AdaptiveSpec, banks: slice, positions: slice) -> None:
    """Adds to where :func:`values_of` took them from."""
    index = kernel_index(spec)
    _by_tap(patches, spec, banks, positions)[:, :, slice(spec.taps) if index is None else list(index)] += values


def _by_tap(patches: Tensor, spec: AdaptiveSpec, banks: slice, positions: slice) -> Tensor:
    return patches.view(spec.generator_groups, spec.generator_in_channels, -1, patches.shape[2])[banks, :, :, positions]


@functools.lru_cache(maxsize=256)
def kernel_index(spec: AdaptiveSpec) -> tuple[int, ...] | None:
    """Samples of the window, counted through, that the kernel is applied to; None for all."""
    if all(w.kernel == slice(0, w.size) for w in spec.windows):
        return None
    sizes = [w.size for w in spec.windows]
    axes = itertools.product(*(range(w.kernel.start, w.kernel.stop) for w in spec.windows))
    return tuple(functools.reduce(lambda a, b: a * b[1] + b[0], zip(taps, sizes, strict=True), 0) for taps in axes)
