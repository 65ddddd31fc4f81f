"""The spectral engines as one operator that compilers do not look into.

Compiled and exported code calls ``flexkern::convolve``, which plans at run time, for the batch it is given, and saves
input and weight only, as in eager mode. (Torch's own convolution is left to the compiler, which knows it.)
"""

import functools

import torch
from torch import Tensor

from .._support.precision import autocast_off
from .autograd import backward_passes, forward_pass
from .choice.chooser import plan_conv
from .plan import PASSES, ConvProblem, Plan
from .weight import from_factors


def traced_convolution(input: Tensor, held: tuple[Tensor, ...], bias: Tensor | None, plan: Plan) -> Tensor:
    """The operator's call for a plan; the weight is given by its one or two tensors."""
    p = plan.problem
    padding = [side for pair in p.padding for side in pair]
    engines = f"{plan.forward.engine},{plan.input_gradient.engine},{plan.weight_gradient.engine}"
    output: Tensor = torch.ops.flexkern.convolve(
        input, list(held), bias, list(p.stride), padding, list(p.dilation), p.groups, engines
    )
    return output


@torch.library.custom_op("flexkern::convolve", mutates_args=())
def convolve_operator(
    input: Tensor,
    held: list[Tensor],
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    engines: str,
) -> Tensor:
    """A convolution whose three passes follow the engines named, as in "dft,dft,direct"."""
    plan = _plan(input, held, (stride, padding, dilation), groups, engines)
    with torch.no_grad(), autocast_off(input):
        return forward_pass(input, from_factors(held), plan, bias).contiguous()


@torch.library.custom_op("flexkern::convolve_gradients", mutates_args=())
def gradients_operator(
    gradient: Tensor,
    input: Tensor,
    held: list[Tensor],
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    engines: str,
    needs: list[bool],
) -> list[Tensor]:
    """Gradients of the input and of the weight's tensors: those of the two that are needed."""
    plan, (needs_input, needs_weight) = _plan(input, held, (stride, padding, dilation), groups, engines), needs
    with torch.no_grad(), autocast_off(input):
        of_input, of_held = backward_passes(input, from_factors(held), gradient, plan, (needs_input, needs_weight))
    return [one.contiguous() for one in (of_input, *of_held) if one is not None]


@convolve_operator.register_fake
def _output_like(input, held, bias, stride, padding, dilation, groups, engines):  # type: ignore[no-untyped-def]
    sides = zip(padding[::2], padding[1::2], strict=True)
    kernel = held[-1].shape[-len(stride) :]
    axes = zip(input.shape[2:], sides, kernel, stride, dilation, strict=True)
    sizes = [(n + left + right - d * (k - 1) - 1) // s + 1 for n, (left, right), k, s, d in axes]
    return input.new_empty(input.shape[0], held[0].shape[0], *sizes)


@gradients_operator.register_fake
def _gradients_like(gradient, input, held, *options):  # type: ignore[no-untyped-def]
    needs_input, needs_weight = options[-1]
    wanted = [*(input,) * needs_input, *(held if needs_weight else ())]
    return [torch.empty_like(one, memory_format=torch.contiguous_format) for one in wanted]


def _save(ctx, inputs, output):  # type: ignore[no-untyped-def]
    input, held, _, *ctx.options = inputs
    ctx.save_for_backward(input, *held)


def _gradients(ctx, gradient):  # type: ignore[no-untyped-def]
    input, *held = ctx.saved_tensors
    needs_input, needs_weight, needs_bias, *_ = ctx.needs_input_grad
    of_bias = gradient.sum((0, *range(2, gradient.dim()))) if needs_bias else None
    needs = [needs_input, any(needs_weight)]
    found = torch.ops.flexkern.convolve_gradients(gradient, input, held, *ctx.options, needs) if any(needs) else []
    of_input = found[0] if needs_input else None
    return of_input, found[-len(held) :] if needs[1] else [None] * len(held), of_bias, *(None for _ in ctx.options)


convolve_operator.register_autograd(_gradients, setup_context=_save)


def _plan(input: Tensor, held: list[Tensor], geometry: tuple[list[int], ...], groups: int, engines: str) -> Plan:
    stride, padding, dilation = geometry
    weight = from_factors(held)
    problem = ConvProblem(
        input.shape[0],
        input.shape[1],
        weight.shape[0],
        tuple(input.shape[2:]),
        tuple(weight.shape[2:]),
        tuple(stride),
        tuple(zip(padding[::2], padding[1::2], strict=True)),
        tuple(dilation),
        groups,
        held[1].shape[0] if len(held) == 2 else 0,
    )
    return _plan_passes(problem, engines)


@functools.lru_cache(maxsize=256)
def _plan_passes(problem: ConvProblem, engines: str) -> Plan:
    """Each pass by the engine it was traced with."""
    named = zip(PASSES, engines.split(","), strict=True)
    steps = {name: getattr(plan_conv(problem, engine), name) for name, engine in named}
    return Plan(problem, **steps)
