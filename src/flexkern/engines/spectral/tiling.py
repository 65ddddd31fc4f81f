"""Overlap-save: a long signal as a batch of overlapping blocks, each a small convolution by itself."""

import dataclasses
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor

from ..._support.axes import last_axes
from ..plan import ConvProblem, PassPlan


def block_problem(problem: ConvProblem, block: tuple[int, ...]) -> ConvProblem:
    """The convolution of one block: ``block`` outputs per axis, no padding, the blocks of all signals as its batch."""
    signal = tuple((h - 1) * s + e for h, s, e in zip(block, problem.stride, problem.extent, strict=True))
    batch = problem.batch
    for count in block_counts(problem, block):
        batch *= count
    return dataclasses.replace(problem, batch=batch, signal=signal, padding=((0, 0),) * len(signal))


def block_counts(problem: ConvProblem, block: tuple[int, ...]) -> tuple[int, ...]:
    """Blocks per axis."""
    return tuple(-(-out // h) for out, h in zip(problem.output_size, block, strict=True))


def cut_signal(input: Tensor, problem: ConvProblem, block: tuple[int, ...]) -> Tensor:
    """(B, C, *S) -> (B blocks, C, *block signal), neighbours overlapping by the kernel less one stride."""
    part = block_problem(problem, block)
    margins = _margins(problem, block)
    blocks = F.pad(input, [side for margin in reversed(margins) for side in margin])
    for axis, (size, h, stride) in enumerate(zip(part.signal, block, problem.stride, strict=True)):
        blocks = blocks.unfold(2 + axis, size, h * stride)
    return _blocks_first(blocks, len(block))


def cut_output(output: Tensor, problem: ConvProblem, block: tuple[int, ...]) -> Tensor:
    """(B, O, *T) -> (B blocks, O, *block), zeros where the last blocks reach beyond the end."""
    counts = block_counts(problem, block)
    spare = [n * h - t for n, h, t in zip(counts, block, output.shape[2:], strict=True)]
    blocks = F.pad(output, [side for extra in reversed(spare) for side in (0, extra)])
    for axis, h in enumerate(block):
        blocks = blocks.unfold(2 + axis, h, h)
    return _blocks_first(blocks, len(block))


def join_output(blocks: Tensor, problem: ConvProblem, block: tuple[int, ...]) -> Tensor:
    """The inverse of :func:`cut_output`."""
    counts, axes = block_counts(problem, block), len(block)
    blocks = blocks.view(-1, *counts, *blocks.shape[1:])
    order = [0, 1 + axes] + [side for axis in range(axes) for side in (1 + axis, 2 + axes + axis)]
    whole = blocks.permute(order).flatten(2).unflatten(2, [n * h for n, h in zip(counts, block, strict=True)])
    return whole[last_axes(slice(t) for t in problem.output_size)]


def join_signal(blocks: Tensor, problem: ConvProblem, block: tuple[int, ...]) -> Tensor:
    """The adjoint of :func:`cut_signal`: blocks (B blocks, C, *block signal) are added where they overlap."""
    counts, axes = block_counts(problem, block), len(block)
    blocks = blocks.view(-1, *counts, *blocks.shape[1:])
    for axis, (h, stride) in enumerate(zip(block, problem.stride, strict=True)):
        # Axis by axis the block index sits at 1, its samples behind channels and the axes joined so far.
        blocks = _overlap_add(blocks.movedim(1, -1).movedim(1 + axes - axis, -1), h * stride)
    margins = [(-left, -right) for left, right in _margins(problem, block)]
    return F.pad(blocks, [side for margin in reversed(margins) for side in margin])


def _overlap_add(blocks: Tensor, step: int) -> Tensor:
    """(..., N, size) -> (..., length): block ``n`` is added from sample ``n step`` on."""
    count, size = blocks.shape[-2:]
    pieces = -(-size // step)
    whole = blocks.new_empty(*blocks.shape[:-2], count + pieces - 1, step)
    whole[..., :count, :size] = blocks[..., :step]
    whole[..., :count, size:] = 0
    whole[..., count:, :] = 0
    for piece in range(1, pieces):
        part = blocks[..., piece * step : (piece + 1) * step]
        whole[..., piece : piece + count, : part.shape[-1]] += part
    return whole.flatten(-2)[..., : (count - 1) * step + size]


def _margins(problem: ConvProblem, block: tuple[int, ...]) -> list[tuple[int, int]]:
    """Per axis the zeros before and after the signal (negative: samples unused) that make the blocks fill it."""
    part, counts = block_problem(problem, block), block_counts(problem, block)
    axes = zip(problem.signal, problem.padding, part.signal, block, problem.stride, counts, strict=True)
    return [(left, (n - 1) * h * s + size - samples - left) for samples, (left, _), size, h, s, n in axes]


def _blocks_first(blocks: Tensor, axes: int) -> Tensor:
    """(B, C, *N, *size) -> (B N, C, *size)."""
    order = (0, *range(2, 2 + axes), 1, *range(2 + axes, 2 + 2 * axes))
    return blocks.permute(order).reshape(-1, blocks.shape[1], *blocks.shape[2 + axes :])


class Piece(NamedTuple):
    """A convolution of part of the signal that gives part of the output; pieces overlap in the signal."""

    problem: ConvProblem
    input: Any
    output: Any


def cut_channels(problem: ConvProblem, plan: PassPlan) -> list[tuple[slice, ConvProblem]]:
    """Of a depthwise convolution, ``plan.channels`` at a time.

    Example:
        >>> plan = PassPlan("fft", (16,), channels=4)
        >>> [(at.start, part.groups) for at, part in cut_channels(ConvProblem(1, 6, 6, (8,), (3,), groups=6), plan)]
        [(0, 4), (4, 2)]
    """
    found = []
    for start in range(0, problem.groups, plan.channels):
        count = min(plan.channels, problem.groups - start)
        found.append((slice(start, start + count), problem.of_channels(count)))
    return found


def cut_pieces(problem: ConvProblem, plan: PassPlan) -> list[Piece]:
    """Along the first axis, ``plan.rows`` blocks at a time; the whole where there are no rows.

    Outputs that read nothing but padding belong to no piece: they are zero.

    Example:
        >>> plan = PassPlan("overlap_save", (16,), block=(10,), rows=2)
        >>> [piece.problem.signal for piece in cut_pieces(ConvProblem(1, 1, 1, (64,), (7,)), plan)]
        [(26,), (26,), (24,)]
    """
    if not plan.rows:
        return [Piece(problem, ..., ...)]
    stride, extent, samples = problem.stride[0], problem.extent[0], problem.signal[0]
    outputs, left, step = problem.output_size[0], problem.padding[0][0], plan.rows * plan.block[0]
    found = []
    for first in range(0, outputs, step):
        stop = min(first + step, outputs)
        low, high = first * stride - left, (stop - 1) * stride + extent - left
        inside = slice(max(low, 0), min(high, samples))
        if inside.start >= inside.stop:
            continue
        part = dataclasses.replace(
            problem,
            signal=(inside.stop - inside.start, *problem.signal[1:]),
            padding=((inside.start - low, high - inside.stop), *problem.padding[1:]),
        )
        found.append(Piece(part, (slice(None), slice(None), inside), (slice(None), slice(None), slice(first, stop))))
    return found
