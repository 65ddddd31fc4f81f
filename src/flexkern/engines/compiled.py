"""The spectral engines as one operator that compilers treat as opaque.

Compiled and exported code calls ``flexkern::convolve``. The operator plans at run time, for the batch it receives, and
saves input and weight only, as in eager mode. Torch's own convolution is not wrapped, because compilers know it.
"""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from .._support.axes import output_size
from .._support.precision import autocast_off
from .autograd import backward_passes, forward_pass
from .choice import plan_conv
from .plan import PASSES, ConvProblem, Padding, Plan, dilated_extent
from .weight import from_factors


def traced_convolution(
    input: Tensor,
    weight_tensors: tuple[Tensor, ...],
    bias: Tensor | None,
    plan: Plan,
) -> Tensor:
    """Call the operator for a plan."""
    problem = plan.problem
    padding = [side for pair in problem.padding for side in pair]
    engines = f"{plan.forward.engine},{plan.input_gradient.engine},{plan.weight_gradient.engine}"
    output: Tensor = torch.ops.flexkern.convolve(
        input,
        list(weight_tensors),
        bias,
        list(problem.stride),
        padding,
        list(problem.dilation),
        problem.groups,
        engines,
    )
    return output


@torch.library.custom_op("flexkern::convolve", mutates_args=())
def convolve_operator(
    input: Tensor,
    held: list[Tensor],  # the tensors of the weight; exported programs store this name
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    engines: str,
) -> Tensor:
    """Convolve; the three passes use the engines listed, as in "dft,dft,direct"."""
    plan = _plan(input, held, [*stride, *padding, *dilation, groups], engines)
    with torch.no_grad(), autocast_off(input):
        return forward_pass(input, from_factors(held), plan, bias).contiguous()


@torch.library.custom_op("flexkern::convolve_gradients", mutates_args=())
def gradients_operator(
    gradient: Tensor,
    input: Tensor,
    weight_tensors: list[Tensor],
    geometry: list[int],
    engines: str,
    needs: list[bool],
) -> list[Tensor]:
    """Return the gradients of the input and of the weight's tensors, those of the two that are needed.

    ``geometry`` is the stride, the padding (before, after), the dilation of all axes, and the number of groups.
    """
    plan = _plan(input, weight_tensors, geometry, engines)
    needs_input, needs_weight = needs
    weight = from_factors(weight_tensors)
    with torch.no_grad(), autocast_off(input):
        input_gradient, factor_gradients = backward_passes(
            input,
            weight,
            gradient,
            plan,
            (needs_input, needs_weight),
        )
    gradients = []
    for each in (input_gradient, *factor_gradients):
        if each is not None:
            gradients.append(each.contiguous())
    return gradients


@convolve_operator.register_fake
def _output_like(input, held, bias, stride, padding, dilation, groups, engines):  # type: ignore[no-untyped-def]
    batch, _, *signal = input.shape
    out_channels = held[0].shape[0]
    kernel = held[-1].shape[-len(stride) :]
    extent = dilated_extent(kernel, dilation)
    sizes = output_size(signal, _pairs(padding), extent, stride)
    return input.new_empty(batch, out_channels, *sizes)


@gradients_operator.register_fake
def _gradients_like(gradient, input, weight_tensors, geometry, engines, needs):  # type: ignore[no-untyped-def]
    needs_input, needs_weight = needs
    tensors = []
    if needs_input:
        tensors.append(input)
    if needs_weight:
        tensors += weight_tensors
    return [torch.empty_like(tensor, memory_format=torch.contiguous_format) for tensor in tensors]


def _save(ctx, inputs, output):  # type: ignore[no-untyped-def]
    input, held, _, stride, padding, dilation, groups, engines = inputs
    ctx.geometry = [*stride, *padding, *dilation, groups]
    ctx.engines = engines
    ctx.save_for_backward(input, *held)


def _differentiate(ctx, gradient):  # type: ignore[no-untyped-def]
    input, *weight_tensors = ctx.saved_tensors
    needs_input, needs_factors, needs_bias, *_ = ctx.needs_input_grad
    needs_weight = any(needs_factors)
    gradients = []
    if needs_input or needs_weight:
        gradients = torch.ops.flexkern.convolve_gradients(
            gradient,
            input,
            weight_tensors,
            ctx.geometry,
            ctx.engines,
            [needs_input, needs_weight],
        )
    input_gradient = gradients[0] if needs_input else None
    weight_gradients = [None] * len(weight_tensors)
    if needs_weight:
        weight_gradients = gradients[-len(weight_tensors) :]
    bias_gradient = None
    if needs_bias:
        bias_gradient = gradient.sum((0, *range(2, gradient.dim())))
    return input_gradient, weight_gradients, bias_gradient, None, None, None, None, None


convolve_operator.register_autograd(_differentiate, setup_context=_save)


def _plan(
    input: Tensor,
    weight_tensors: list[Tensor],
    geometry: list[int],
    engines: str,
) -> Plan:
    axes = input.dim() - 2
    weight = from_factors(weight_tensors)
    problem = ConvProblem(
        input.shape[0],
        input.shape[1],
        weight.shape[0],
        tuple(input.shape[2:]),
        tuple(weight.shape[2:]),
        tuple(geometry[:axes]),
        _pairs(geometry[axes : 3 * axes]),
        tuple(geometry[3 * axes : 4 * axes]),
        geometry[-1],
        weight_tensors[1].shape[0] if len(weight_tensors) == 2 else 0,
    )
    return _plan_passes(problem, engines)


def _pairs(sides: Sequence[int]) -> Padding:
    """Return the padding as (before, after) per axis."""
    return tuple(zip(sides[::2], sides[1::2], strict=True))


@functools.lru_cache(maxsize=256)
def _plan_passes(problem: ConvProblem, engines: str) -> Plan:
    """Plan each pass with the engine it was traced with."""
    passes = {}
    for name, engine in zip(PASSES, engines.split(","), strict=True):
        plan = plan_conv(problem, engine)
        passes[name] = getattr(plan, name)
    return Plan(problem, **passes)
