"""A warning, once per layer, when the input is so large that kernels no longer depend on it."""

import warnings
import weakref

import torch
from torch import Tensor, nn

from ..functional.adaptive import AdaptiveForm
from ..functional.adaptive.plain import CONVOLUTIONS, generator_view
from ..tracing import compiling, transforming

SATURATED = 3.0
"""Where tanh is within half a percent of its bound and has a hundredth of its slope."""
SIDE = 4
"""Positions per axis, in the middle of the first sample, that are looked at."""

_told: "weakref.WeakSet[nn.Module]" = weakref.WeakSet()


@torch.no_grad()
def warn_if_saturated(
    layer: nn.Module, padded: Tensor, weight: Tensor, bias: Tensor | None, form: AdaptiveForm
) -> None:
    """Looks at a few positions; only on a CPU, where looking does not mean waiting."""
    if form.squash not in ("tanh", "hardtanh") or padded.device.type != "cpu" or layer in _told:
        return
    if compiling() or transforming() or padded.numel() == 0:
        return
    z = CONVOLUTIONS[len(form.kernel)](
        generator_view(_middle(padded[:1], form), form), weight, bias, form.stride, 0, form.dilation, form.banks
    )
    if float((z.abs() > SATURATED).float().mean()) > 0.5:
        _told.add(layer)
        warnings.warn(
            f"{type(layer).__name__}: most kernel values are saturated ({form.squash} of {z.abs().median():.3g}),"
            " so that they hardly learn; standardise the input (mean 0, deviation 1), put a norm before the layer, or "
            "start from a smaller `generator_weight`.",
            stacklevel=4,
        )


def _middle(padded: Tensor, form: AdaptiveForm) -> Tensor:
    for axis, (window, stride, dilation) in enumerate(zip(form.windows, form.stride, form.dilation, strict=True), 2):
        length = min(padded.shape[axis], dilation * (window.size - 1) + 1 + stride * (SIDE - 1))
        padded = padded.narrow(axis, (padded.shape[axis] - length) // 2, length)
    return padded
