"""The direct engine: torch's own convolution, in the memory layout that is faster, a few signals at a time if large."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from .._support.axes import CONVOLUTIONS
from .plan import ConvProblem, Padding, PassPlan
from .spectral.spectra import working
from .weight import Weight, dense, gradients_of_factors

CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}


def lies_last(values: Tensor) -> bool:
    """Whether a tensor is in that memory layout and no other."""
    layout = CHANNELS_LAST.get(values.dim() - 2)
    return layout is not None and not values.is_contiguous() and values.is_contiguous(memory_format=layout)


def forward(input: Tensor, weight: Weight, problem: ConvProblem, plan: PassPlan, bias: Tensor | None = None) -> Tensor:
    """``torch.nn.functional.conv*d`` with padding per side.

    Symmetric padding is left to torch; a difference is padded, or cut off, beforehand.
    """
    tensors = (input, dense(weight), bias)
    if _goes_in_parts(input, plan):
        return _forward_in_parts(tensors, problem, plan)
    return _lay_back(_forward(tensors, problem, plan), input, plan)


def gradients(
    input: Tensor, weight: Weight, gradient: Tensor, problem: ConvProblem, plan: PassPlan, needs: tuple[bool, bool]
) -> tuple[Tensor | None, tuple[Tensor, ...] | None]:
    """Gradients of the input and of the weight (or its factors), those that are needed."""
    tensors = (input, dense(weight), gradient)
    if _goes_in_parts(input, plan):
        of_input, of_kernel = _gradients_in_parts(tensors, problem, plan, needs)
    else:
        of_input, of_kernel = _gradients(tensors, problem, plan, needs)
        of_input = None if of_input is None else _lay_back(of_input, input, plan)
    return of_input, None if of_kernel is None else gradients_of_factors(of_kernel.contiguous(), weight)


def _forward(tensors: tuple[Tensor, Tensor, Tensor | None], problem: ConvProblem, plan: PassPlan) -> Tensor:
    """Torch's convolution, in the layout of the plan."""
    input, kernel, bias = tensors
    common, rest = _split_padding(problem.padding)
    if any(rest):
        input = F.pad(input, rest)
    kernel = _lay(kernel.to(input.dtype), plan)
    convolution = CONVOLUTIONS[len(problem.signal)]
    return convolution(_lay(input, plan), kernel, bias, problem.stride, common, problem.dilation, problem.groups)


def _gradients(
    tensors: tuple[Tensor, Tensor, Tensor], problem: ConvProblem, plan: PassPlan, needs: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Those of the input and of the dense kernel, in the layout of the plan."""
    input, kernel, gradient = tensors
    common, rest = _split_padding(problem.padding)
    if any(rest):
        input = F.pad(input, rest)
    of_input, of_kernel, _ = torch.ops.aten.convolution_backward(
        _lay(gradient, plan),
        _lay(input, plan),
        _lay(kernel.to(input.dtype), plan),
        None,
        problem.stride,
        common,
        problem.dilation,
        False,
        (0,) * len(common),
        problem.groups,
        (*needs, False),
    )
    if of_input is not None and any(rest):
        of_input = F.pad(of_input, [-side for side in rest])
    return of_input, of_kernel


def _goes_in_parts(input: Tensor, plan: PassPlan) -> bool:
    """Only where the system clears large tensors anew, which accelerators do not."""
    return bool(plan.chunk) and input.is_cpu


def _forward_in_parts(tensors: tuple[Tensor, Tensor, Tensor | None], problem: ConvProblem, plan: PassPlan) -> Tensor:
    """``plan.chunk`` signals after the others: what torch makes on the way is small enough for memory at hand."""
    input, kernel, bias = tensors
    output = _empty((input.shape[0], problem.out_channels, *problem.output_size), input)
    for at in _parts(input, plan):
        output[at] = _forward((input[at], kernel, bias), problem, plan)
    return output


def _gradients_in_parts(
    tensors: tuple[Tensor, Tensor, Tensor], problem: ConvProblem, plan: PassPlan, needs: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """The same backwards; gradients of the kernel are added up, in float32 at least."""
    input, kernel, gradient = tensors
    of_input = _empty(tuple(input.shape), input) if needs[0] else None
    of_kernel: Tensor | None = None
    for at in _parts(input, plan):
        inputs, kernels = _gradients((input[at], kernel, gradient[at]), problem, plan, needs)
        if of_input is not None and inputs is not None:
            of_input[at] = inputs
        if kernels is not None:
            of_kernel = working(kernels) if of_kernel is None else of_kernel.add_(kernels)
    return of_input, of_kernel


def _parts(input: Tensor, plan: PassPlan) -> list[slice]:
    return [slice(start, start + plan.chunk) for start in range(0, input.shape[0], plan.chunk)]


def _empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Memory in the layout of ``like``."""
    layout = _last(like) if lies_last(like) else torch.contiguous_format
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=layout)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _split_padding(padding: Padding) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What both sides have in common, and the rest as ``F.pad`` wants it."""
    return _kept_split(padding)


@functools.lru_cache(maxsize=1024)
def _kept_split(padding: Padding) -> tuple[tuple[int, ...], tuple[int, ...]]:
    common = tuple(max(min(left, right), 0) for left, right in padding)
    rest = [(left - c, right - c) for (left, right), c in zip(padding, common, strict=True)]
    return common, tuple(side for pair in reversed(rest) for side in pair)


def _lay(values: Tensor, plan: PassPlan) -> Tensor:
    if not plan.channels_last:
        return values
    return values.contiguous(memory_format=_last(values))


def _lay_back(result: Tensor, like: Tensor, plan: PassPlan) -> Tensor:
    """A caller sees the layout it gave, whatever the plan preferred inside."""
    return result if not plan.channels_last or lies_last(like) else result.contiguous()


def _last(values: Tensor) -> torch.memory_format:
    return CHANNELS_LAST[values.dim() - 2]
