"""The one entry to all engines."""

from collections.abc import Hashable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..precision import autocast_off
from ..tracing import compiling, transforming
from . import passes
from .autograd import Convolution, forward_pass
from .chooser import plan_conv
from .opaque import traced_convolution
from .plan import ConvProblem, Padding, Plan
from .spectral import Spectrum
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
        ValueError: see :func:`plan_conv`.

    Example:
        >>> import torch
        >>> convolve(torch.ones(1, 1, 5), torch.ones(1, 1, 3), padding=((1, 1),)).tolist()
        [[[2.0, 3.0, 3.0, 3.0, 2.0]]]
    """
    _check(input, weight, groups)
    if bias is not None and bias.shape != (weight.shape[0],):
        raise ValueError(f"`bias` must have {weight.shape[0]} values, got shape {tuple(bias.shape)}.")
    problem = ConvProblem(
        batch=input.shape[0],
        in_channels=input.shape[1],
        out_channels=weight.shape[0],
        signal=tuple(input.shape[2:]),
        kernel=tuple(weight.shape[2:]),
        stride=tuple(stride),
        padding=tuple(padding),
        dilation=tuple(dilation),
        groups=groups,
        features=weight.features.shape[0] if isinstance(weight, FactoredWeight) else 0,
    )
    return run(input, weight, plan_conv(problem, engine), bias)


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
    held = factors(weight)
    tensors = (input, *held) if bias is None else (input, bias, *held)
    with autocast_off(input):
        if transforming():
            return forward_pass(input, weight, plan.unchunked(), bias)
        if compiling() and not is_direct(plan):
            return traced_convolution(input, held, bias, plan)
        # Torch's own convolution is differentiated by torch, or by the compiler.
        if is_direct(plan) or not _records(tensors):
            return forward_pass(input, weight, plan, bias, prepared)
        return Convolution.apply(plan, input, bias, *held)


def is_direct(plan: Plan) -> bool:
    """Whether torch's own convolution does all three passes, in the layout given."""
    # Compilers know the fields of a frozen plan, not its properties.
    steps = (plan.forward, plan.input_gradient, plan.weight_gradient)
    return all(step.engine == "direct" and not step.channels_last for step in steps)


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


def _check(input: Tensor, weight: Weight, groups: int) -> None:
    """Raise a ValueError where shapes or dtypes do not belong together."""
    shape, axes = tuple(weight.shape), len(weight.shape) - 2
    held = factors(weight)[-1].dtype
    if axes not in (1, 2, 3) or input.dim() != axes + 2:
        raise ValueError(
            "`input` and `weight` must have shapes (B, C, *S) and (O, I, *K) with one to three axes, "
            f"got {tuple(input.shape)} and {shape}."
        )
    if min(shape[2:]) < 1:
        raise ValueError(f"the kernel must have at least one sample per axis, got `weight` of shape {shape}.")
    if 0 in shape[:2]:
        raise ValueError(f"`weight` must have at least one channel in and out, got shape {shape}.")
    if groups < 1 or shape[0] % groups or input.shape[1] != shape[1] * groups:
        raise ValueError(
            f"`groups` must divide the channels: input {tuple(input.shape)} and weight {shape} do not fit "
            f"groups {groups}."
        )
    if input.dtype != held:
        raise ValueError(f"`input` and `weight` must have one dtype, got {input.dtype} and {held}.")


def _records(tensors: Sequence[Tensor]) -> bool:
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def pad(input: Tensor, padding: Padding, mode: str) -> Tensor:
    """Extend the signal as torch's ``padding_mode`` says; negative amounts cut samples off.

    Example:
        >>> import torch
        >>> pad(torch.arange(3.0).view(1, 1, 3), ((1, -1),), "circular").tolist()
        [[[2.0, 0.0, 1.0]]]
    """
    grow = [max(side, 0) for pair in reversed(padding) for side in pair]
    cut = [min(side, 0) for pair in reversed(padding) for side in pair]
    # Cut first would change what a circular or reflected border repeats, so extend first.
    return F.pad(F.pad(input, grow, mode=mode), cut)
