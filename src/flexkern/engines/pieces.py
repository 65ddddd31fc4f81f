"""Pieces of a convolution that are convolutions of their own: some blocks of a long signal, or some channels."""

import dataclasses
from typing import Any, NamedTuple

from .plan import ConvProblem, PassPlan


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
