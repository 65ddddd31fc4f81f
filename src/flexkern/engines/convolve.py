"""The one entry to all engines."""

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor

from .chooser import plan_conv
from .direct import direct
from .fft import fft
from .plan import ConvProblem, Padding, Plan
from .weight import FactoredWeight, Weight

ENGINES: dict[str, Callable[[Tensor, Weight, Plan], Tensor]] = {"direct": direct, "fft": fft}


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
    The weight may be factored. ``engine`` is "auto", "direct" or "fft".

    Raises:
        ValueError: see :func:`plan_conv`.

    Example:
        >>> import torch
        >>> convolve(torch.ones(1, 1, 5), torch.ones(1, 1, 3), padding=((1, 1),)).tolist()
        [[[2.0, 3.0, 3.0, 3.0, 2.0]]]
    """
    held = weight.features.dtype if isinstance(weight, FactoredWeight) else weight.dtype
    if input.dtype != held:
        raise ValueError(f"`input` and `weight` must have one dtype, got {input.dtype} and {held}.")
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
    )
    return run(input, weight, plan_conv(problem, engine), bias)


def run(input: Tensor, weight: Weight, plan: Plan, bias: Tensor | None = None) -> Tensor:
    """Convolve as ``plan`` says; the shapes must be those the plan was made for."""
    output = ENGINES[plan.engine](input, weight, plan)
    if bias is None:
        return output
    return output + bias.to(output.dtype).view(-1, *(1,) * len(plan.problem.signal))


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
