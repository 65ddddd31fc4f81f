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
        batch *= counts[axis]
        signal.append((outputs - 1) * problem.stride[axis] + problem.extent[axis])
    return dataclasses.replace(problem, batch=batch, signal=tuple(signal), padding=((0, 0),) * len(signal))


def tile_counts(problem: ConvProblem, tile: tuple[int, ...]) -> tuple[int, ...]:
    """Return the number of tiles per axis."""
    counts = []
    for outputs, per_tile in zip(problem.output_size, tile, strict=True):
        counts.append(-(-outputs // per_tile))
    return tuple(counts)


def cut_signal(input: Tensor, problem: ConvProblem, tile: tuple[int, ...]) -> Tensor:
    """(B, C, *S) -> (B tiles, C, *tile signal); neighbours overlap by the kernel's extent less one stride."""
    size = tile_problem(problem, tile).signal
    tiles = F.pad(input, _margins(problem, tile))
    for axis, outputs in enumerate(tile):
        tiles = tiles.unfold(2 + axis, size[axis], outputs * problem.stride[axis])
    return _tiles_first(tiles, len(tile))


def cut_output(output: Tensor, problem: ConvProblem, tile: tuple[int, ...]) -> Tensor:
    """(B, O, *T) -> (B tiles, O, *tile), with zeros where the last tiles extend beyond the end."""
    counts = tile_counts(problem, tile)
    excess = []
    for axis, outputs in enumerate(tile):
        excess.append((0, counts[axis] * outputs - output.shape[2 + axis]))
    tiles = F.pad(output, _last_axis_first(excess))
    for axis, outputs in enumerate(tile):
        tiles = tiles.unfold(2 + axis, outputs, outputs)
    return _tiles_first(tiles, len(tile))


def join_output(tiles: Tensor, problem: ConvProblem, tile: tuple[int, ...]) -> Tensor:
    """(B tiles, O, *tile) -> (B, O, *T), the inverse of :func:`cut_output`."""
    counts = tile_counts(problem, tile)
    axes = len(tile)
    tiles = tiles.view(-1, *counts, *tiles.shape[1:])
    order = [0, 1 + axes]
    sizes = []
    for axis in range(axes):
        order += [1 + axis, 2 + axes + axis]
        sizes.append(counts[axis] * tile[axis])
    whole = tiles.permute(order).flatten(2).unflatten(2, sizes)
    return whole[last_axes(slice(outputs) for outputs in problem.output_size)]


def join_signal(tiles: Tensor, problem: ConvProblem, tile: tuple[int, ...]) -> Tensor:
    """(B tiles, C, *tile signal) -> (B, C, *S), the adjoint of :func:`cut_signal`: overlapping samples are added."""
    counts = tile_counts(problem, tile)
    axes = len(tile)
    tiles = tiles.view(-1, *counts, *tiles.shape[1:])
    for axis, outputs in enumerate(tile):
        # The next tile index is at 1; its samples are behind the channels and the axes joined so far.
        pairs = tiles.movedim(1, -1).movedim(1 + axes - axis, -1)
        tiles = _overlap_add(pairs, outputs * problem.stride[axis])
    return F.pad(tiles, [-side for side in _margins(problem, tile)])


def _overlap_add(tiles: Tensor, step: int) -> Tensor:
    """(..., N, size) -> (..., length): tile ``n`` is added from sample ``n step`` on."""
    count, size = tiles.shape[-2:]
    steps_per_tile = -(-size // step)
    whole = tiles.new_empty(*tiles.shape[:-2], count + steps_per_tile - 1, step)
    whole[..., :count, :size] = tiles[..., :step]
    whole[..., :count, size:] = 0
    whole[..., count:, :] = 0
    for index in range(1, steps_per_tile):
        overlap = tiles[..., index * step : (index + 1) * step]
        whole[..., index : index + count, : overlap.shape[-1]] += overlap
    return whole.flatten(-2)[..., : (count - 1) * step + size]


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
        margins.append((before, covered - samples - before))
    return _last_axis_first(margins)


def _last_axis_first(pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Return (before, after) per axis in the order of ``F.pad``."""
    return [side for pair in reversed(pairs) for side in pair]


def _tiles_first(tiles: Tensor, axes: int) -> Tensor:
    """(B, C, *N, *size) -> (B N, C, *size)."""
    order = (0, *range(2, 2 + axes), 1, *range(2 + axes, 2 + 2 * axes))
    return tiles.permute(order).reshape(-1, tiles.shape[1], *tiles.shape[2 + axes :])


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
        inside = slice(max(low, 0), min(high, problem.signal[0]))
        if inside.start >= inside.stop:
            continue
        range_problem = dataclasses.replace(
            problem,
            signal=(inside.stop - inside.start, *problem.signal[1:]),
            padding=((inside.start - low, high - inside.stop), *problem.padding[1:]),
        )
        ranges.append(TileRange(range_problem, inside, slice(first, stop)))
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
        count = min(plan.channel_chunk, problem.groups - start)
        chunks.append((slice(start, start + count), problem.of_channels(count)))
    return chunks
