"""A warning, once per layer, when the input is so large that kernels no longer depend on it."""

import warnings
import weakref

import torch
from torch import Tensor, nn

from ..axes import CONVOLUTIONS
from ..functional.adaptive import AdaptiveForm
from ..functional.adaptive.plain import generator_view
from ..tracing import compiling, transforming

SATURATED = 3.0
"""Where tanh has a hundredth of its slope, and the Gaussian a ten-thousandth of its height."""
LARGE = 4.0
"""Root mean square of inputs that are not standardised; below it, what saturates is what was learned."""
SIDE = 4
"""Positions per axis, in the middle of the first sample, that are looked at."""

EVERY = 64
"""Calls between two looks, after the first."""

_told: "weakref.WeakSet[nn.Module]" = weakref.WeakSet()
_calls: "weakref.WeakKeyDictionary[nn.Module, int]" = weakref.WeakKeyDictionary()


@torch.no_grad()
def warn_if_saturated(
    layer: nn.Module, padded: Tensor, weight: Tensor, bias: Tensor | None, form: AdaptiveForm
) -> None:
    """Looks at a few positions in some of the calls; only on a CPU, where looking does not mean waiting."""
    if compiling() or transforming() or form.squash not in ("tanh", "hardtanh", "gaussian"):
        return
    if padded.device.type != "cpu" or padded.numel() == 0 or layer in _told or not _due(layer):
        return
    middle = _middle(padded[:1], form)
    size = float(middle.square().mean().sqrt())
    if size < LARGE:
        return
    z = CONVOLUTIONS[len(form.kernel)](
        generator_view(middle, form), weight, bias, form.stride, 0, form.dilation, form.banks
    )
    if float((z.abs() > SATURATED).float().mean()) > 0.5:
        _told.add(layer)
        warnings.warn(
            f"{type(layer).__name__}: inputs of size {size:.3g} saturate {form.squash} in most kernel values, so that "
            "these hardly learn; standardise the input (mean 0, deviation 1), put a norm before the layer, or start "
            "from a smaller `generator_weight`.",
            stacklevel=6,
        )


def _due(layer: nn.Module) -> bool:
    calls = _calls.get(layer, 0)
    _calls[layer] = calls + 1
    return calls % EVERY == 0


def _middle(padded: Tensor, form: AdaptiveForm) -> Tensor:
    for axis, (window, stride, dilation) in enumerate(zip(form.windows, form.stride, form.dilation, strict=True), 2):
        length = min(padded.shape[axis], dilation * (window.size - 1) + 1 + stride * (SIDE - 1))
        padded = padded.narrow(axis, (padded.shape[axis] - length) // 2, length)
    return padded
