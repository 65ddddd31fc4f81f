"""One autograd function for all engines: it saves input and weight only, and each pass follows its own plan."""

from typing import Any

import torch
from torch import Tensor

from .._support.precision import autocast_off
from .._support.tracing import plain_operations, transforming
from . import direct
from .plan import PassPlan, Plan
from .spectral import passes
from .spectral.spectra import Spectrum
from .weight import Weight, check_finite, factors, from_factors


def forward_pass(
    input: Tensor,
    weight: Weight,
    plan: Plan,
    bias: Tensor | None = None,
    prepared: Spectrum | None = None,
) -> Tensor:
    """The convolution as the plan's forward pass says; plain tensor operations, differentiable as such."""
    step = plan.forward
    if _by_torch(plan, step):
        return direct.forward(input, weight, plan.problem, step, bias)
    if prepared is None:
        check_finite(weight)
    output = passes.forward(input, weight, plan.problem, step, prepared)
    if bias is not None:
        bias = bias.to(output.dtype).view(-1, *(1,) * len(plan.problem.signal))
        output = output + bias if transforming() else output.add_(bias)
    return output.to(input.dtype)


class Convolution(torch.autograd.Function):
    """Convolution by plan; arguments plan, input, bias and the weight's one or two tensors."""

    @staticmethod
    def forward(ctx: Any, plan: Plan, input: Tensor, bias: Tensor | None, *held: Tensor) -> Tensor:
        ctx.plan = plan
        ctx.save_for_backward(input, *held)
        return forward_pass(input, from_factors(held), plan, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        input, *held = ctx.saved_tensors
        plan: Plan = ctx.plan
        _, needs_input, needs_bias, *needs_factors = ctx.needs_input_grad
        of_bias = gradient.sum((0, *range(2, gradient.dim()))) if needs_bias else None
        if not needs_input and not any(needs_factors):
            return None, None, of_bias, *(None for _ in held)
        plainly = plain_operations() or torch._C._functorch.is_legacy_batchedtensor(gradient)
        differentiate = _differentiable_passes if plainly else backward_passes
        with autocast_off(input):
            of_input, of_factors = differentiate(
                input, from_factors(held), gradient, plan, (needs_input, any(needs_factors))
            )
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
    parts = factors(weight)
    found: tuple[Tensor | None, ...] = of_factors or (None,) * len(parts)
    return (
        None if of_input is None else of_input.to(input.dtype),
        [None if one is None else one.to(part.dtype) for one, part in zip(found, parts, strict=True)],
    )


def _gradients(
    input: Tensor, weight: Weight, gradient: Tensor, plan: Plan, needs: tuple[bool, bool]
) -> tuple[Tensor | None, tuple[Tensor, ...] | None]:
    step = plan.input_gradient if needs[0] else plan.weight_gradient
    engine = direct if _by_torch(plan, step) else passes
    return engine.gradients(input, weight, gradient, plan.problem, step, needs)


def _differentiable_passes(
    input: Tensor, weight: Weight, gradient: Tensor, plan: Plan, needs: tuple[bool, bool]
) -> tuple[Tensor | None, list[Tensor | None]]:
    """The same as a graph, for gradients of gradients: the forward pass once more, differentiated by autograd."""
    tensors = (input, *factors(weight))
    wanted = [tensor for tensor in tensors if tensor.requires_grad]
    recorded = torch.is_grad_enabled()
    with torch.enable_grad():
        output = forward_pass(input, weight, plan.plain())
    found = iter(torch.autograd.grad(output, wanted, gradient, create_graph=recorded))
    of_input, *of_factors = (next(found) if tensor.requires_grad else None for tensor in tensors)
    return of_input, of_factors


def _by_torch(plan: Plan, step: PassPlan) -> bool:
    """Torch also convolves an empty batch, of which there is nothing to transform."""
    return step.engine == "direct" or plan.problem.batch == 0
