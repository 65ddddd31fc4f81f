"""Overlap-save: a long signal as a batch of overlapping blocks, each a small convolution by itself."""

import dataclasses

import torch.nn.functional as F
from torch import Tensor

from ..axes import last_axes
from .plan import ConvProblem


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
