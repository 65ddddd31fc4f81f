"""Windows of a signal as matrices, and back: the inputs of generators, and the values that kernels are applied to."""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .._support.axes import last_axes
from .spec import AdaptiveSpec


class Block(NamedTuple):
    """A range of generator groups, a range of positions, and the groups of the convolution they belong to."""

    generator_groups: slice
    positions: slice
    groups: slice


def embed(weight: Tensor, bias: Tensor | None, spec: AdaptiveSpec) -> Tensor:
    """Return the generator as matrices with one column per sample of the common window, and one for the bias.

    The bias is the weight of a sample that is always 1. There is one such sample per channel; only that of a
    generator's first channel has a weight other than 0.

    Returns:
        (generator_groups, generator_out_channels, generator_in_channels * (window + 1)), without bias ``window``.
    """
    sides: list[int] = []
    for window in reversed(spec.windows):
        before = window.generator.start
        after = window.size - window.generator.stop
        sides.extend((before, after))
    if any(sides):
        weight = F.pad(weight, sides)
    generators = (spec.generator_groups, spec.generator_out_channels)
    columns = weight.reshape(*generators, spec.generator_in_channels, -1)
    if bias is not None:
        bias_column = bias.view(*generators, 1, 1)
        other_channels = spec.generator_in_channels - 1
        if other_channels:
            bias_column = F.pad(bias_column, (0, 0, 0, other_channels))
        columns = torch.cat([columns, bias_column], 3)
    return columns.flatten(2)


def extract(matrices: Tensor, spec: AdaptiveSpec, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Return the gradients of the generator's weight, of ``shape``, and of its bias, given that of its matrices."""
    by_channel = matrices.unflatten(2, (spec.generator_in_channels, -1))
    columns = by_channel.flatten(0, 1)
    samples = math.prod(spec.window_size)
    windows = columns[:, :, :samples].unflatten(2, spec.window_size)
    grad_weight = windows[last_axes(spec.generator_slices)]
    grad_bias = columns[:, 0, -1]
    return grad_weight.reshape(shape), grad_bias


def unfold(padded: Tensor, spec: AdaptiveSpec, *, ones: bool) -> Tensor:
    """Return the windows of all positions; if ``ones``, every window ends with a sample that is 1.

    Returns:
        (in_channels, window (+ 1), batch * positions)

    Example:
        >>> from flexkern.adaptive import AdaptiveSpec
        >>> spec = AdaptiveSpec(1, 1, (2,), (2,), (1,), (1,), 1, "pair", "tanh")
        >>> unfold(torch.tensor([[[1.0, 2.0, 3.0]]]), spec, ones=True).tolist()
        [[[1.0, 2.0], [2.0, 3.0], [1.0, 1.0]]]
    """
    batch, channels = padded.shape[:2]
    size = spec.output_size(padded.shape)
    samples = math.prod(spec.window_size)
    positions = batch * math.prod(size)
    patches = padded.new_empty(channels, samples + ones, positions)
    batch_step, channel_step, *steps = padded.stride()
    tap_steps = _products(steps, spec.dilation)
    position_steps = _products(steps, spec.stride)
    windows = padded.as_strided(
        (channels, *spec.window_size, batch, *size),
        (channel_step, *tap_steps, batch_step, *position_steps),
        padded.storage_offset(),
    )
    target = patches[:, :samples]
    target.view(windows.shape).copy_(windows)
    if ones:
        patches[:, samples] = 1
    return patches


def _products(steps: Sequence[int], factors: Sequence[int]) -> list[int]:
    return [step * factor for step, factor in zip(steps, factors, strict=True)]


def fold(patches: Tensor, padded: Tensor, spec: AdaptiveSpec) -> None:
    """Add patches to the samples of ``padded`` that :func:`unfold` read them from, one axis after the other.

    Args:
        patches: (in_channels, window, batch * positions), without the samples that are 1.
        padded: (batch, in_channels, *axes), changed in place.
        spec: the convolution.
    """
    batch, channels = padded.shape[:2]
    size = spec.output_size(padded.shape)
    axes = len(size)
    sums = patches.view(channels, *spec.window_size, batch, *size)
    for axis in reversed(range(axes)):
        taps = 1 + axis
        positions = sums.dim() - axes + axis
        sums = _overlap_add(sums, taps, positions, spec.stride[axis], spec.dilation[axis])
    slices = [slice(samples) for samples in sums.shape[2:]]
    covered = padded[last_axes(slices)]
    covered += sums.transpose(0, 1)


def _overlap_add(
    values: Tensor,
    taps: int,
    axis: int,
    stride: int,
    dilation: int,
) -> Tensor:
    """Sum the axis ``taps`` into ``axis``: tap ``t`` is shifted by ``t * dilation`` and spread by ``stride``."""
    shape = list(values.shape)
    last_tap = shape[taps] - 1
    last_position = shape[axis] - 1
    samples = last_position * stride + 1
    shape[axis] = samples + last_tap * dilation
    del shape[taps]
    sums = values.new_zeros(shape)
    leading = (slice(None),) * (axis - 1)
    every_stride = (*leading, slice(None, None, stride))
    for tap, tap_values in enumerate(values.unbind(taps)):
        first = tap * dilation
        shifted = sums.narrow(axis - 1, first, samples)
        if stride > 1:
            shifted = shifted[every_stride]
        shifted += tap_values
    return sums


def has_bias(matrices: Tensor, spec: AdaptiveSpec) -> bool:
    """Return whether the generator's matrices have a column for the bias."""
    columns_without_bias = spec.generator_in_channels * math.prod(spec.window_size)
    return matrices.shape[2] > columns_without_bias


def generator_inputs(patches: Tensor, spec: AdaptiveSpec, block: Block) -> Tensor:
    """Return the inputs of a block's generators: (generator_groups, generator_in_channels * window, positions)."""
    positions = patches.shape[2]
    grouped = patches.view(spec.generator_groups, -1, positions)
    return grouped[block.generator_groups, :, block.positions]


def kernel_inputs(patches: Tensor, spec: AdaptiveSpec, block: Block) -> Tensor:
    """Return the values a block's kernels are applied to: (generator_groups, kernels_per_output, taps, positions)."""
    samples = _window_samples(patches, spec, block)
    values = samples[:, :, _kernel_samples(spec)]
    if spec.sharing == "shared":
        return values.sum(1, keepdim=True)
    return values


def add_kernel_inputs(patches: Tensor, values: Tensor, spec: AdaptiveSpec, block: Block) -> None:
    """Add ``values`` to the part of the patches that :func:`kernel_inputs` read them from."""
    samples = _window_samples(patches, spec, block)
    samples[:, :, _kernel_samples(spec)] += values


def _window_samples(patches: Tensor, spec: AdaptiveSpec, block: Block) -> Tensor:
    """View a block's patches as (generator_groups, generator_in_channels, window (+ 1), positions)."""
    positions = patches.shape[2]
    channels = (spec.generator_groups, spec.generator_in_channels)
    grouped = patches.view(*channels, -1, positions)
    return grouped[block.generator_groups, :, :, block.positions]


def _kernel_samples(spec: AdaptiveSpec) -> slice | list[int]:
    """Return an index of the window's samples that the kernel is applied to; a slice where these are all."""
    index = _kernel_index(spec)
    if index is None:
        return slice(spec.taps)
    return list(index)


@functools.lru_cache(maxsize=256)
def _kernel_index(spec: AdaptiveSpec) -> tuple[int, ...] | None:
    """Return the kernel's samples, counted through the flattened window; None if the kernel covers the window."""
    if spec.window_size == spec.kernel:
        return None
    index = []
    for taps in spec.kernel_taps():
        sample = 0
        for tap, size in zip(taps, spec.window_size, strict=True):
            sample = sample * size + tap
        index.append(sample)
    return tuple(index)
