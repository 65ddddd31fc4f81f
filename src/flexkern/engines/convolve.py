"""The entry to all engines."""

from collections.abc import Hashable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .._support.precision import autocast_off
from .._support.tracing import compiling, transforming
from . import spectral
from .autograd import Convolution, forward_pass
from .choice import plan_shapes
from .compiled import traced_convolution
from .direct import lies_channels_last
from .plan import Padding, Plan
from .spectral import Spectrum
from .weight import Weight, factors


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

    It equals ``torch.nn.functional.conv1d/2d/3d``, except that zero padding is given per side, as
    ``((left, right), ...)``. Negative padding cuts samples off. Apply other padding modes beforehand (:func:`pad`).
    The weight may be factored. ``engine`` is "auto", "direct", "fft", "dft" or "overlap_save".

    Raises:
        ValueError: see :func:`plan_conv`; for shapes or dtypes that do not match, for integers, and for weights that
            are not finite. Finiteness is checked on the CPU, in eager code, except by the direct engine.

    Example:
        >>> import torch
        >>> convolve(torch.ones(1, 1, 5), torch.ones(1, 1, 3), padding=((1, 1),)).tolist()
        [[[2.0, 3.0, 3.0, 3.0, 2.0]]]
    """
    weight_tensors = factors(weight)
    dtype = weight_tensors[-1].dtype
    if input.dtype != dtype:
        raise ValueError(f"`input` and `weight` must have one dtype, got {input.dtype} and {dtype}.")
    if not dtype.is_floating_point:
        raise ValueError(f"`input` and `weight` must be floating point, got {dtype}; convert them with `.float()`.")
    weight_shape = tuple(weight.shape)
    if bias is not None and bias.shape != weight_shape[:1]:
        raise ValueError(f"`bias` must have {weight_shape[0]} values, got shape {tuple(bias.shape)}.")
    features = weight_tensors[-1].shape[0] if len(weight_tensors) == 2 else 0
    plan = plan_shapes(
        tuple(input.shape),
        weight_shape,
        (tuple(stride), tuple(padding), tuple(dilation), groups),
        features,
        channels_last=lies_channels_last(input),
        engine=engine,
    )
    return run(input, weight, plan, bias)


def run(
    input: Tensor,
    weight: Weight,
    plan: Plan,
    bias: Tensor | None = None,
    prepared: Spectrum | None = None,
) -> Tensor:
    """Convolve by ``plan``, which must have been made for these shapes.

    ``prepared`` is the result of :func:`prepare` for the same weight and plan. It is used where no gradient is
    recorded.
    """
    if bias is not None:
        bias = bias.to(input.dtype)
    with autocast_off(input):
        # Torch, or the compiler, differentiates torch's own convolution.
        if plan.by_torch:
            return forward_pass(input, weight, plan, bias)
        if transforming():
            return forward_pass(input, weight, plan.plain(), bias)
        if compiling():
            return traced_convolution(input, factors(weight), bias, plan)
        weight_tensors = factors(weight)
        if torch.is_grad_enabled():
            for tensor in (input, bias, *weight_tensors):
                if tensor is not None and tensor.requires_grad:
                    return Convolution.apply(plan, input, bias, *weight_tensors)
        with torch.no_grad():
            return forward_pass(input, weight, plan, bias, prepared)


def prepare(weight: Weight, plan: Plan) -> Spectrum | None:
    """Return the spectra of the weight, which :func:`run` may reuse while it stays the same; None if it needs none."""
    if plan.forward.engine == "direct":
        return None
    with autocast_off(factors(weight)[0]):
        return spectral.prepare(weight, plan.problem, plan.forward)


def spectrum_key(plan: Plan) -> Hashable:
    """Return a key; plans of equal keys share the spectra of the weight, whatever the batch."""
    step = plan.forward
    return step.lengths, step.fold, step.tile, step.matrices, plan.problem.padding


def pad(input: Tensor, padding: Padding, mode: str) -> Tensor:
    """Extend the signal by one of torch's padding modes, such as "zeros"; negative padding cuts samples off.

    Example:
        >>> import torch
        >>> pad(torch.arange(3.0).view(1, 1, 3), ((1, -1),), "circular").tolist()
        [[[2.0, 0.0, 1.0]]]
    """
    sides = [side for pair in reversed(padding) for side in pair]
    if not any(sides):
        return input
    added = [max(side, 0) for side in sides]
    removed = [min(side, 0) for side in sides]
    # Removing samples first would change the values that circular and reflected borders repeat.
    extended = F.pad(input, added, mode="constant" if mode == "zeros" else mode)
    return F.pad(extended, removed) if any(removed) else extended
