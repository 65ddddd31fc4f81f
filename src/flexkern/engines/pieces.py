"""Pieces of long signals: some rows of blocks at a time, each a convolution of its own."""

import dataclasses
from typing import Any, NamedTuple

from .plan import ConvProblem, PassPlan


class Piece(NamedTuple):
    """A convolution of part of the signal that gives part of the output; pieces overlap in the signal."""

    problem: ConvProblem
    input: Any
    output: Any


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
