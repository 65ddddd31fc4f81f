"""The direct engine: torch's own convolution, in the memory layout that is faster."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from ..axes import CONVOLUTIONS
from .plan import ConvProblem, Padding, PassPlan
from .weight import Weight, dense, gradients_of_factors

CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}


def forward(input: Tensor, weight: Weight, problem: ConvProblem, plan: PassPlan, bias: Tensor | None = None) -> Tensor:
    """``torch.nn.functional.conv*d`` with padding per side.

    Symmetric padding is left to torch; a difference is padded, or cut off, beforehand.
    """
    common, rest = _split_padding(problem.padding)
    kernel = dense(weight).to(input.dtype)
    if any(rest):
        input = F.pad(input, rest)
    output = CONVOLUTIONS[len(problem.signal)](
        _lay(input, plan), _lay(kernel, plan), bias, problem.stride, common, problem.dilation, problem.groups
    )
    return _lay_back(output, input, plan)


def gradients(
    input: Tensor, weight: Weight, gradient: Tensor, problem: ConvProblem, plan: PassPlan, needs: tuple[bool, bool]
) -> tuple[Tensor | None, tuple[Tensor, ...] | None]:
    """Gradients of the input and of the weight (or its factors), those that are needed."""
    common, rest = _split_padding(problem.padding)
    kernel = dense(weight).to(input.dtype)
    if any(rest):
        input = F.pad(input, rest)
    of_input, of_kernel, _ = torch.ops.aten.convolution_backward(
        _lay(gradient, plan),
        _lay(input, plan),
        _lay(kernel, plan),
        None,
        problem.stride,
        common,
        problem.dilation,
        False,
        (0,) * len(common),
        problem.groups,
        (*needs, False),
    )
    if of_input is not None:
        of_input = _lay_back(of_input, input, plan)
        of_input = F.pad(of_input, [-side for side in rest]) if any(rest) else of_input
    if of_kernel is None:
        return of_input, None
    return of_input, gradients_of_factors(of_kernel.contiguous(), weight)


@functools.lru_cache(maxsize=1024)
def _split_padding(padding: Padding) -> tuple[tuple[int, ...], list[int]]:
    """What both sides have in common, and the rest as ``F.pad`` wants it."""
    common = tuple(max(min(left, right), 0) for left, right in padding)
    rest = [(left - c, right - c) for (left, right), c in zip(padding, common, strict=True)]
    return common, [side for pair in reversed(rest) for side in pair]


def _lay(values: Tensor, plan: PassPlan) -> Tensor:
    if not plan.channels_last:
        return values
    return values.contiguous(memory_format=_last(values))


def _lay_back(result: Tensor, like: Tensor, plan: PassPlan) -> Tensor:
    """A caller sees the layout it gave, whatever the plan preferred inside."""
    if not plan.channels_last or (not like.is_contiguous() and like.is_contiguous(memory_format=_last(like))):
        return result
    return result.contiguous()


def _last(values: Tensor) -> torch.memory_format:
    return CHANNELS_LAST[values.dim() - 2]
