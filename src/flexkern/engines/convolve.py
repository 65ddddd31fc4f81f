"""The one entry to all engines."""

import functools
from collections.abc import Hashable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .._support.precision import autocast_off
from .._support.tracing import compiling, transforming
from . import direct
from .autograd import Convolution, forward_pass
from .choice.chooser import plan_conv
from .choice.cost_model import CostModel
from .choice.machine import load_costs
from .compiled import traced_convolution
from .plan import ConvProblem, Padding, Plan
from .spectral import passes
from .spectral.spectra import Spectrum
from .weight import FactoredWeight, Weight, factors


def convolve(
    input: Tensor,  # shape: (B, in, *S)
    weight: Weight,  # shape: (out, in / groups, *K)
    bias: Tensor | None = None,  # shape: (out,)
    *,
    stride: Sequence[int] = (),
    padding: Padding = (),
    dilation: Sequence[int] = (),
    groups: int = 1,
    engine: str = "auto",
) -> Tensor:  # shape: (B, out, *S')
    r"""Cross-correlation :math:`y_o(t) = b_o + \sum_{i,j} w_{oi}(j)\, x_i(s t + d j - p)`, as ``F.conv*d``.

    Same as ``torch.nn.functional.conv1d/2d/3d`` but zero padding is given per side, ``((left, right), ...)``,
    and may be negative (samples are cut off); other padding modes are applied beforehand (:func:`pad`).
    The weight may be factored. ``engine`` is "auto", "direct", "fft", "dft" or
    "overlap_save".

    Raises:
        ValueError: see :func:`plan_conv`; for shapes or dtypes that do not belong together, whole numbers, and (on a
            CPU, outside compiled code, but for the direct engine) weights that are not finite.

    Example:
        >>> import torch
        >>> convolve(torch.ones(1, 1, 5), torch.ones(1, 1, 3), padding=((1, 1),)).tolist()
        [[[2.0, 3.0, 3.0, 3.0, 2.0]]]
    """
    if input.dtype != (held := factors(weight)[-1].dtype):
        raise ValueError(f"`input` and `weight` must have one dtype, got {input.dtype} and {held}.")
    if not held.is_floating_point:
        raise ValueError(f"`input` and `weight` must be floating point, got {held}; convert them with `.float()`.")
    if bias is not None and bias.shape != (weight.shape[0],):
        raise ValueError(f"`bias` must have {weight.shape[0]} values, got shape {tuple(bias.shape)}.")
    plan_of, costs = (_plan_of, None) if compiling() else (_kept_plan, load_costs())
    features = weight.features.shape[0] if isinstance(weight, FactoredWeight) else 0
    geometry = (tuple(stride), tuple(padding), tuple(dilation), groups)
    shapes = (tuple(input.shape), tuple(weight.shape))
    plan = plan_of(*shapes, *geometry, features, lies_channels_last(input), engine=engine, costs=costs)
    return run(input, weight, plan, bias)


def _plan_of(
    input: tuple[int, ...], weight: tuple[int, ...], *others: Any, engine: str, costs: CostModel | None
) -> Plan:
    """The plan for these shapes."""
    _check(input, weight, others[3])
    problem = ConvProblem(input[0], input[1], weight[0], input[2:], weight[2:], *others)
    return plan_conv(problem, engine)


_kept_plan = functools.lru_cache(maxsize=4096)(_plan_of)
"""Small convolutions take no longer than thinking about them. Plans of other constants are other plans."""


def run(
    input: Tensor,
    weight: Weight,
    plan: Plan,
    bias: Tensor | None = None,
    prepared: Spectrum | None = None,
) -> Tensor:
    """Convolve as ``plan`` says; the shapes must be those the plan was made for.

    ``prepared`` is what :func:`prepare` gave for the same weight and plan; it serves where no gradient is recorded.
    """
    bias = None if bias is None else bias.to(input.dtype)
    with autocast_off(input):
        # Torch's own convolution is differentiated by torch, or by the compiler.
        if plan.by_torch:
            return forward_pass(input, weight, plan, bias)
        if transforming():
            return forward_pass(input, weight, plan.plain(), bias)
        held = factors(weight)
        if compiling():
            return traced_convolution(input, held, bias, plan)
        if _records((input, *held) if bias is None else (input, bias, *held)):
            return Convolution.apply(plan, input, bias, *held)
        with torch.no_grad():
            return forward_pass(input, weight, plan, bias, prepared)


def lies_channels_last(input: Tensor) -> bool:
    """Whether a tensor is in that memory layout and no other; function transforms do not tell."""
    return not transforming() and direct.lies_last(input)


def prepare(weight: Weight, plan: Plan) -> Spectrum | None:
    """What :func:`run` may reuse while the weight stays the same: its spectra, if the plan has any."""
    if plan.forward.engine == "direct":
        return None
    with autocast_off(factors(weight)[0]):
        return passes.prepare(weight, plan.problem, plan.forward)


def spectrum_key(plan: Plan) -> Hashable:
    """Plans of equal key share the kernels' spectra, whatever the batch."""
    step = plan.forward
    return step.lengths, step.fold, step.block, step.matrices, plan.problem.padding


def _check(input: tuple[int, ...], weight: tuple[int, ...], groups: int) -> None:
    """Raise a ValueError where shapes do not belong together."""
    axes = len(weight) - 2
    if axes not in (1, 2, 3) or len(input) != axes + 2:
        raise ValueError(
            "`input` and `weight` must have shapes (B, C, *S) and (O, I, *K) with one to three axes, "
            f"got {input} and {weight}."
        )
    if min(weight[2:]) < 1:
        raise ValueError(f"the kernel must have at least one sample per axis, got `weight` of shape {weight}.")
    if 0 in weight[:2]:
        raise ValueError(f"`weight` must have at least one channel in and out, got shape {weight}.")
    if groups < 1 or weight[0] % groups or input[1] != weight[1] * groups:
        raise ValueError(
            f"`groups` must divide the channels: input {input} and weight {weight} do not fit groups {groups}."
        )


def _records(tensors: Sequence[Tensor]) -> bool:
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def pad(input: Tensor, padding: Padding, mode: str) -> Tensor:
    """Extend the signal as torch's ``padding_mode`` says ("zeros", ...); negative amounts cut samples off.

    Example:
        >>> import torch
        >>> pad(torch.arange(3.0).view(1, 1, 3), ((1, -1),), "circular").tolist()
        [[[2.0, 0.0, 1.0]]]
    """
    if not any(side for pair in padding for side in pair):
        return input
    grow = [max(side, 0) for pair in reversed(padding) for side in pair]
    cut = [min(side, 0) for pair in reversed(padding) for side in pair]
    # Cut first would change what a circular or reflected border repeats, so extend first.
    extended = F.pad(input, grow, mode="constant" if mode == "zeros" else mode)
    return F.pad(extended, cut) if any(cut) else extended
