"""The direct engine: torch's own convolution, in the faster memory layout, and a few signals at a time if large."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from .._support.axes import CONVOLUTIONS
from .._support.tracing import constant_when_traced, transforming
from .plan import ConvProblem, Padding, PassPlan
from .weight import Weight, dense, gradients_of_factors

CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}
"""The memory format per number of axes."""


def lies_channels_last(values: Tensor) -> bool:
    """Return whether a tensor is in the channels-last layout only; False inside function transforms, which hide it."""
    layout = CHANNELS_LAST.get(values.dim() - 2)
    if layout is None or values.is_contiguous() or transforming():
        return False
    return values.is_contiguous(memory_format=layout)


def forward(
    input: Tensor,
    weight: Weight,
    problem: ConvProblem,
    plan: PassPlan,
    bias: Tensor | None = None,
) -> Tensor:
    """Compute ``torch.nn.functional.conv*d`` with padding per side.

    Torch pads what both sides have in common; the difference is padded, or cut off, beforehand.
    """
    kernel = dense(weight)
    if _runs_in_chunks(input, plan):
        return _forward_in_chunks(input, kernel, bias, problem, plan)
    return _restore_layout(_forward(input, kernel, bias, problem, plan), input, plan)


def gradients(
    input: Tensor,
    weight: Weight,
    gradient: Tensor,
    problem: ConvProblem,
    plan: PassPlan,
    needs: tuple[bool, bool],
) -> tuple[Tensor | None, tuple[Tensor, ...] | None]:
    """Return the gradients of the input and of the weight's tensors, those that are needed."""
    kernel = dense(weight)
    if _runs_in_chunks(input, plan):
        input_gradient, kernel_gradient = _gradients_in_chunks(input, kernel, gradient, problem, plan, needs)
    else:
        input_gradient, kernel_gradient = _gradients(input, kernel, gradient, problem, plan, needs)
        if input_gradient is not None:
            input_gradient = _restore_layout(input_gradient, input, plan)
    if kernel_gradient is None:
        return input_gradient, None
    return input_gradient, gradients_of_factors(kernel_gradient.contiguous(), weight)


def _forward(
    input: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    problem: ConvProblem,
    plan: PassPlan,
) -> Tensor:
    """Convolve in the layout of the plan."""
    common, difference = _split_padding(problem.padding)
    if any(difference):
        input = F.pad(input, difference)
    kernel = _to_layout(kernel.to(input.dtype), plan)
    convolution = CONVOLUTIONS[len(problem.signal)]
    return convolution(
        _to_layout(input, plan),
        kernel,
        bias,
        problem.stride,
        common,
        problem.dilation,
        problem.groups,
    )


def _gradients(
    input: Tensor,
    kernel: Tensor,
    gradient: Tensor,
    problem: ConvProblem,
    plan: PassPlan,
    needs: tuple[bool, bool],
) -> tuple[Tensor | None, Tensor | None]:
    """Return the gradients of the input and of the dense kernel, in the layout of the plan."""
    common, difference = _split_padding(problem.padding)
    if any(difference):
        input = F.pad(input, difference)
    input_gradient, kernel_gradient, _ = torch.ops.aten.convolution_backward(
        _to_layout(gradient, plan),
        _to_layout(input, plan),
        _to_layout(kernel.to(input.dtype), plan),
        None,
        problem.stride,
        common,
        problem.dilation,
        False,
        (0,) * len(common),
        problem.groups,
        (*needs, False),
    )
    if input_gradient is not None and any(difference):
        input_gradient = F.pad(input_gradient, [-side for side in difference])
    return input_gradient, kernel_gradient


def _runs_in_chunks(input: Tensor, plan: PassPlan) -> bool:
    """Return whether the batch is cut into chunks: on CPUs only, where large new tensors must be cleared."""
    return bool(plan.batch_chunk) and input.is_cpu


def _forward_in_chunks(
    input: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    problem: ConvProblem,
    plan: PassPlan,
) -> Tensor:
    """Convolve ``plan.batch_chunk`` signals at a time, so that temporary tensors of torch's stay small."""
    output = _empty((input.shape[0], problem.out_channels, *problem.output_size), input)
    for batch in _batch_chunks(input, plan):
        output[batch] = _forward(input[batch], kernel, bias, problem, plan)
    return output


def _gradients_in_chunks(
    input: Tensor,
    kernel: Tensor,
    gradient: Tensor,
    problem: ConvProblem,
    plan: PassPlan,
    needs: tuple[bool, bool],
) -> tuple[Tensor | None, Tensor | None]:
    """Return both gradients, computed in chunks; those of the kernel are added up in float32 at least."""
    input_gradient = _empty(tuple(input.shape), input) if needs[0] else None
    kernel_gradient: Tensor | None = None
    for batch in _batch_chunks(input, plan):
        of_input, of_kernel = _gradients(input[batch], kernel, gradient[batch], problem, plan, needs)
        if input_gradient is not None and of_input is not None:
            input_gradient[batch] = of_input
        if of_kernel is None:
            continue
        if kernel_gradient is None:
            kernel_gradient = of_kernel.to(torch.promote_types(of_kernel.dtype, torch.float32))
        else:
            kernel_gradient.add_(of_kernel)
    return input_gradient, kernel_gradient


def _batch_chunks(input: Tensor, plan: PassPlan) -> list[slice]:
    starts = range(0, input.shape[0], plan.batch_chunk)
    return [slice(start, start + plan.batch_chunk) for start in starts]


def _empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Return a new tensor in the layout of ``like``."""
    layout = _channels_last(like) if lies_channels_last(like) else torch.contiguous_format
    return torch.empty(
        shape,
        dtype=like.dtype,
        device=like.device,
        memory_format=layout,
    )


@constant_when_traced
def _split_padding(padding: Padding) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the padding that both sides have in common, and the difference in the order of ``F.pad``."""
    return _cached_split(padding)


@functools.lru_cache(maxsize=1024)
def _cached_split(padding: Padding) -> tuple[tuple[int, ...], tuple[int, ...]]:
    common, difference = [], []
    for before, after in padding:
        both = max(min(before, after), 0)
        common.append(both)
        difference.append((before - both, after - both))
    difference.reverse()
    sides = [side for pair in difference for side in pair]
    return tuple(common), tuple(sides)


def _to_layout(values: Tensor, plan: PassPlan) -> Tensor:
    """Return the values in the layout of the plan."""
    if not plan.channels_last:
        return values
    return values.contiguous(memory_format=_channels_last(values))


def _restore_layout(
    result: Tensor,
    like: Tensor,
    plan: PassPlan,
) -> Tensor:
    """Return the result in the layout of ``like``, which is what a caller expects."""
    if not plan.channels_last or lies_channels_last(like):
        return result
    return result.contiguous()


def _channels_last(values: Tensor) -> torch.memory_format:
    return CHANNELS_LAST[values.dim() - 2]
