"""The autograd function of all engines.

It saves the input and the weight only. Each of the three passes follows its own plan.
"""

from typing import Any

import torch
from torch import Tensor

from .._support.precision import autocast_off
from .._support.second_order import differentiate_again
from .._support.tracing import plain_operations, transforming
from . import direct, spectral
from .plan import PassPlan, Plan
from .spectral import Spectrum
from .weight import Weight, check_finite, factors, from_factors


def forward_pass(
    input: Tensor,
    weight: Weight,
    plan: Plan,
    bias: Tensor | None = None,
    prepared: Spectrum | None = None,
) -> Tensor:
    """Convolve by the forward pass of the plan, in tensor operations that autograd and transforms can follow."""
    problem = plan.problem
    step = plan.forward
    if _runs_direct(plan, step):
        return direct.forward(input, weight, problem, step, bias)
    if prepared is None:
        check_finite(weight)
    output = spectral.forward(input, weight, problem, step, prepared)
    if bias is not None:
        bias = bias.to(output.dtype).view(-1, *(1,) * len(problem.signal))
        output = output + bias if transforming() else output.add_(bias)
    return output.to(input.dtype)


class Convolution(torch.autograd.Function):
    """Convolution by a plan; the arguments are plan, input, bias and the one or two tensors of the weight."""

    @staticmethod
    def forward(
        ctx: Any,
        plan: Plan,
        input: Tensor,
        bias: Tensor | None,
        *weight_tensors: Tensor,
    ) -> Tensor:
        ctx.plan = plan
        ctx.save_for_backward(input, *weight_tensors)
        return forward_pass(input, from_factors(weight_tensors), plan, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        input, *weight_tensors = ctx.saved_tensors
        _, needs_input, needs_bias, *needs_factors = ctx.needs_input_grad
        needs_weight = any(needs_factors)
        bias_gradient = None
        if needs_bias:
            bias_gradient = gradient.sum((0, *range(2, gradient.dim())))
        if not needs_input and not needs_weight:
            return None, None, bias_gradient, *(None for _ in weight_tensors)
        weight = from_factors(weight_tensors)
        with autocast_off(input):
            if plain_operations() or torch._C._functorch.is_legacy_batchedtensor(gradient):
                input_gradient, *factor_gradients = differentiate_again(
                    lambda: forward_pass(input, weight, ctx.plan.plain()),
                    (input, *weight_tensors),
                    gradient,
                )
            else:
                input_gradient, factor_gradients = backward_passes(
                    input,
                    weight,
                    gradient,
                    ctx.plan,
                    (needs_input, needs_weight),
                )
        return None, input_gradient, bias_gradient, *factor_gradients


def backward_passes(
    input: Tensor,
    weight: Weight,
    gradient: Tensor,
    plan: Plan,
    needs: tuple[bool, bool],
) -> tuple[Tensor | None, list[Tensor | None]]:
    """Return the gradients of the input and of the weight's tensors, those that are needed.

    Both passes share one call where they have the same plan.
    """
    if needs[0] and needs[1] and plan.input_gradient != plan.weight_gradient:
        input_gradient, _ = _gradients(input, weight, gradient, plan, (True, False))
        _, factor_gradients = _gradients(input, weight, gradient, plan, (False, True))
    else:
        input_gradient, factor_gradients = _gradients(input, weight, gradient, plan, needs)
    if input_gradient is not None:
        input_gradient = input_gradient.to(input.dtype)
    weight_tensors = factors(weight)
    if factor_gradients is None:
        return input_gradient, [None for _ in weight_tensors]
    converted: list[Tensor | None] = []
    for factor_gradient, tensor in zip(factor_gradients, weight_tensors, strict=True):
        converted.append(factor_gradient.to(tensor.dtype))
    return input_gradient, converted


def _gradients(
    input: Tensor,
    weight: Weight,
    gradient: Tensor,
    plan: Plan,
    needs: tuple[bool, bool],
) -> tuple[Tensor | None, tuple[Tensor, ...] | None]:
    step = plan.input_gradient if needs[0] else plan.weight_gradient
    engine = direct if _runs_direct(plan, step) else spectral
    return engine.gradients(input, weight, gradient, plan.problem, step, needs)


def _runs_direct(plan: Plan, step: PassPlan) -> bool:
    """Return whether torch computes the pass; of an empty batch there is nothing to transform."""
    return step.engine == "direct" or plan.problem.batch == 0
