"""Division of a convolution: tiles of a long signal, ranges of tiles, and chunks of channels.

Overlap-save cuts the output into tiles. Each tile needs a part of the signal, and neighbouring parts overlap. Together
the tiles are a batch of small convolutions.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from ..._support.axes import last_axes
from ..plan import ConvProblem, PassPlan


@functools.lru_cache(maxsize=4096)
def tile_problem(problem: ConvProblem, tile: tuple[int, ...]) -> ConvProblem:
    """Return the convolution of all tiles as one batch: ``tile`` outputs per axis, no padding."""
    batch = problem.batch
    signal = []
    counts = tile_counts(problem, tile)
    for axis, outputs in enumerate(tile):
        stride = problem.stride[axis]
        extent = problem.extent[axis]
        batch *= counts[axis]
        signal.append((outputs - 1) * stride + extent)
    return dataclasses.replace(
        problem,
        batch=batch,
        signal=tuple(signal),
        padding=((0, 0),) * len(tile),
    )


def tile_counts(problem: ConvProblem, tile: tuple[int, ...]) -> tuple[int, ...]:
    """Return the number of tiles per axis."""
    counts = []
    for outputs, per_tile in zip(problem.output_size, tile, strict=True):
        counts.append(-(-outputs // per_tile))
    return tuple(counts)


def cut_signal(
    input: Tensor,
    problem: ConvProblem,
    tile: tuple[int, ...],
) -> Tensor:
    """(B, C, *S) -> (B tiles, C, *tile signal); neighbours overlap by the kernel's extent less one stride."""
    size = tile_problem(problem, tile).signal
    tiles = F.pad(input, _margins(problem, tile))
    for axis, outputs in enumerate(tile):
        step = outputs * problem.stride[axis]
        tiles = tiles.unfold(2 + axis, size[axis], step)
    return _tiles_first(tiles, len(tile))


def cut_output(
    output: Tensor,
    problem: ConvProblem,
    tile: tuple[int, ...],
) -> Tensor:
    """(B, O, *T) -> (B tiles, O, *tile), with zeros where the last tiles extend beyond the end."""
    counts = tile_counts(problem, tile)
    margins = []
    for axis, outputs in enumerate(tile):
        covered = counts[axis] * outputs
        excess = covered - output.shape[2 + axis]
        margins.append((0, excess))
    tiles = F.pad(output, _last_axis_first(margins))
    for axis, outputs in enumerate(tile):
        tiles = tiles.unfold(2 + axis, outputs, outputs)
    return _tiles_first(tiles, len(tile))


def join_output(
    tiles: Tensor,
    problem: ConvProblem,
    tile: tuple[int, ...],
) -> Tensor:
    """(B tiles, O, *tile) -> (B, O, *T), the inverse of :func:`cut_output`."""
    counts = tile_counts(problem, tile)
    axes = len(tile)
    tiles = tiles.view(-1, *counts, *tiles.shape[1:])
    order = [0, 1 + axes]
    sizes = []
    for axis in range(axes):
        order += [1 + axis, 2 + axes + axis]
        sizes.append(counts[axis] * tile[axis])
    interleaved = tiles.permute(order)
    whole = interleaved.flatten(2).unflatten(2, sizes)
    inside = last_axes(slice(outputs) for outputs in problem.output_size)
    return whole[inside]


def join_signal(
    tiles: Tensor,
    problem: ConvProblem,
    tile: tuple[int, ...],
) -> Tensor:
    """(B tiles, C, *tile signal) -> (B, C, *S), the adjoint of :func:`cut_signal`: overlapping samples are added."""
    counts = tile_counts(problem, tile)
    axes = len(tile)
    tiles = tiles.view(-1, *counts, *tiles.shape[1:])
    for axis, outputs in enumerate(tile):
        # The next tile index is at 1; its samples are behind the channels and the axes joined so far.
        samples_axis = 1 + axes - axis
        pairs = tiles.movedim(1, -1).movedim(samples_axis, -1)
        step = outputs * problem.stride[axis]
        tiles = _overlap_add(pairs, step)
    margins = _margins(problem, tile)
    return F.pad(tiles, [-side for side in margins])


def _overlap_add(tiles: Tensor, step: int) -> Tensor:
    """(..., N, size) -> (..., length): tile ``n`` is added from sample ``n step`` on."""
    count, size = tiles.shape[-2:]
    steps_per_tile = -(-size // step)
    total_steps = count + steps_per_tile - 1
    whole = tiles.new_empty(*tiles.shape[:-2], total_steps, step)
    first_steps = tiles[..., :step]
    whole[..., :count, :size] = first_steps
    whole[..., :count, size:] = 0
    whole[..., count:, :] = 0
    for index in range(1, steps_per_tile):
        first = index * step
        overlap = tiles[..., first : first + step]
        width = overlap.shape[-1]
        whole[..., index : index + count, :width] += overlap
    length = (count - 1) * step + size
    return whole.flatten(-2)[..., :length]


@functools.lru_cache(maxsize=1024)
def _margins(problem: ConvProblem, tile: tuple[int, ...]) -> list[int]:
    """Return the zeros around the signal that make the tiles fill it, in the order of ``F.pad``.

    Negative numbers are samples that no output reads.
    """
    size = tile_problem(problem, tile).signal
    counts = tile_counts(problem, tile)
    margins = []
    for axis, samples in enumerate(problem.signal):
        before, _ = problem.padding[axis]
        step = tile[axis] * problem.stride[axis]
        covered = (counts[axis] - 1) * step + size[axis]
        after = covered - samples - before
        margins.append((before, after))
    return _last_axis_first(margins)


def _last_axis_first(pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Return (before, after) per axis in the order of ``F.pad``."""
    return [side for pair in reversed(pairs) for side in pair]


def _tiles_first(tiles: Tensor, axes: int) -> Tensor:
    """(B, C, *N, *size) -> (B N, C, *size)."""
    channels = tiles.shape[1]
    size = tiles.shape[2 + axes :]
    tile_axes = range(2, 2 + axes)
    sample_axes = range(2 + axes, 2 + 2 * axes)
    ordered = tiles.permute(0, *tile_axes, 1, *sample_axes)
    return ordered.reshape(-1, channels, *size)


class TileRange(NamedTuple):
    """Some rows of tiles: their convolution, the samples of the first axis that it reads, and its outputs."""

    problem: ConvProblem
    input: slice
    output: slice


def cut_tile_rows(problem: ConvProblem, plan: PassPlan) -> list[TileRange]:
    """Cut a convolution along the first axis into ranges of ``plan.tile_rows`` tiles.

    Ranges overlap in the signal. Outputs that read nothing but padding belong to no range: they are zero.

    Example:
        >>> plan = PassPlan("overlap_save", (16,), tile=(10,), tile_rows=2)
        >>> [tiles.input for tiles in cut_tile_rows(ConvProblem(1, 1, 1, (64,), (7,)), plan)]
        [slice(0, 26, None), slice(20, 46, None), slice(40, 64, None)]
    """
    stride = problem.stride[0]
    extent = problem.extent[0]
    outputs = problem.output_size[0]
    before, _ = problem.padding[0]
    step = plan.tile_rows * plan.tile[0]
    ranges = []
    for first in range(0, outputs, step):
        stop = min(first + step, outputs)
        low = first * stride - before
        high = (stop - 1) * stride + extent - before
        start = max(low, 0)
        end = min(high, problem.signal[0])
        if start >= end:
            continue
        padding = (start - low, high - end)
        range_problem = dataclasses.replace(
            problem,
            signal=(end - start, *problem.signal[1:]),
            padding=(padding, *problem.padding[1:]),
        )
        ranges.append(TileRange(range_problem, slice(start, end), slice(first, stop)))
    return ranges


def cut_channels(problem: ConvProblem, plan: PassPlan) -> list[tuple[slice, ConvProblem]]:
    """Cut a depthwise convolution into chunks of ``plan.channel_chunk`` channels.

    Example:
        >>> plan = PassPlan("fft", (16,), channel_chunk=4)
        >>> [channels for channels, _ in cut_channels(ConvProblem(1, 6, 6, (8,), (3,), groups=6), plan)]
        [slice(0, 4, None), slice(4, 6, None)]
    """
    chunks = []
    for start in range(0, problem.groups, plan.channel_chunk):
        stop = min(start + plan.channel_chunk, problem.groups)
        chunk_problem = problem.of_channels(stop - start)
        chunks.append((slice(start, stop), chunk_problem))
    return chunks
