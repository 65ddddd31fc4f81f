"""One autograd function for all engines: it saves input and weight only, and each pass follows its own plan."""

from typing import Any

import torch
from torch import Tensor

from ..precision import autocast_off
from . import direct, spectral
from .plan import PassPlan, Plan
from .weight import FactoredWeight, Weight


def forward_pass(
    input: Tensor,
    weight: Weight,
    plan: Plan,
    bias: Tensor | None = None,
    prepared: spectral.KernelSpectrum | None = None,
) -> Tensor:
    """The convolution as the plan's forward pass says; plain tensor operations, differentiable as such."""
    step = plan.forward
    if _is_direct(plan, step):
        return direct.forward(input, weight, plan.problem, step, bias)
    output = spectral.forward(input, weight, plan.problem, step, prepared)
    if bias is not None:
        output = output + bias.to(output.dtype).view(-1, *(1,) * len(plan.problem.signal))
    return output.to(input.dtype)


class Convolution(torch.autograd.Function):
    """Convolution by plan; arguments plan, input, bias and the weight's one or two tensors."""

    @staticmethod
    def forward(ctx: Any, plan: Plan, input: Tensor, bias: Tensor | None, *factors: Tensor) -> Tensor:
        ctx.plan, ctx.biased = plan, bias is not None
        ctx.save_for_backward(input, *factors)
        return forward_pass(input, _weight(factors), plan, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        input, *factors = ctx.saved_tensors
        plan: Plan = ctx.plan
        _, needs_input, needs_bias, *needs_factors = ctx.needs_input_grad
        of_bias = gradient.sum((0, *range(2, gradient.dim()))) if needs_bias else None
        passes = _differentiable_passes if torch.is_grad_enabled() else backward_passes
        with autocast_off(input):
            of_input, of_factors = passes(input, _weight(factors), gradient, plan, (needs_input, any(needs_factors)))
        return None, of_input, of_bias, *of_factors


def backward_passes(
    input: Tensor, weight: Weight, gradient: Tensor, plan: Plan, needs: tuple[bool, bool]
) -> tuple[Tensor | None, list[Tensor | None]]:
    """Gradients of the input and of the weight's tensors; one call where both passes have the same plan."""
    if needs[0] and needs[1] and plan.input_gradient != plan.weight_gradient:
        of_input, _ = _gradients(input, weight, gradient, plan, (True, False))
        _, of_factors = _gradients(input, weight, gradient, plan, (False, True))
    else:
        of_input, of_factors = _gradients(input, weight, gradient, plan, needs)
    factors = weight if isinstance(weight, FactoredWeight) else (weight,)
    return (
        None if of_input is None else of_input.to(input.dtype),
        [None] * len(factors)
        if of_factors is None
        else [one.to(factor.dtype) for one, factor in zip(of_factors, factors, strict=True)],
    )


def _gradients(
    input: Tensor, weight: Weight, gradient: Tensor, plan: Plan, needs: tuple[bool, bool]
) -> tuple[Tensor | None, tuple[Tensor, ...] | None]:
    step = plan.input_gradient if needs[0] else plan.weight_gradient
    engine = direct if _is_direct(plan, step) else spectral
    return engine.gradients(input, weight, gradient, plan.problem, step, needs)


def _differentiable_passes(
    input: Tensor, weight: Weight, gradient: Tensor, plan: Plan, needs: tuple[bool, bool]
) -> tuple[Tensor | None, list[Tensor | None]]:
    """The same as a graph, for gradients of gradients: the forward pass once more, differentiated by autograd."""
    factors = weight if isinstance(weight, FactoredWeight) else (weight,)
    wanted = [tensor for tensor in (input, *factors) if tensor.requires_grad]
    output = forward_pass(input, weight, plan)
    found = iter(torch.autograd.grad(output, wanted, gradient, create_graph=True))
    of_input, *of_factors = (next(found) if tensor.requires_grad else None for tensor in (input, *factors))
    return of_input, of_factors


def _is_direct(plan: Plan, step: PassPlan) -> bool:
    """Torch also convolves an empty batch, of which there is nothing to transform."""
    return step.engine == "direct" or plan.problem.batch == 0


def _weight(factors: tuple[Tensor, ...] | list[Tensor]) -> Weight:
    return factors[0] if len(factors) == 1 else FactoredWeight(*factors)
