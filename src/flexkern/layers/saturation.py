"""A warning, once per layer, when the input is so large that kernels, or their mixing, no longer depend on it."""

import warnings
import weakref

import torch
from torch import Tensor, nn

from .._support.axes import CONVOLUTIONS
from .._support.tracing import compiling, transforming
from ..adaptive import AdaptiveSpec, generator_view

SATURATED = {"tanh": 3.0, "hardtanh": 1.0, "gaussian": 3.0}
"""Where tanh has a hundredth of its slope, hardtanh none, and the Gaussian a ten-thousandth of its height."""
WINNER = 0.99
"""Share of one of the values over which a softmax is taken that leaves the others nothing."""
LARGE = 4.0
"""Root mean square of inputs that are not standardised; below it, what saturates is what was learned."""
SIDE = 4
"""Positions per axis, in the middle of the first sample, that are looked at."""

EVERY = 64
"""Calls between two looks, after the first."""

_told: "weakref.WeakSet[nn.Module]" = weakref.WeakSet()
_calls: "weakref.WeakKeyDictionary[nn.Module, int]" = weakref.WeakKeyDictionary()


def warn_if_saturated(
    layer: nn.Module, padded: Tensor, weight: Tensor, bias: Tensor | None, spec: AdaptiveSpec
) -> None:
    """Looks at a few positions in some of the calls; only on a CPU, where looking does not mean waiting."""
    if not may_look(layer, padded, spec.squash):
        return
    with torch.no_grad():
        middle = _middle(padded[:1], spec)
        if _size(middle) < LARGE:
            return
        z = CONVOLUTIONS[len(spec.kernel)](
            generator_view(middle, spec), weight, bias, spec.stride, 0, spec.dilation, spec.generator_groups
        )
    stuck = is_saturated(z.unflatten(1, (-1, spec.taps)), str(spec.squash), 2)
    tell_if_saturated(layer, middle, stuck, f"{spec.squash} in most kernel values", "generator_weight")


def may_look(layer: nn.Module, input: Tensor, squash: object) -> bool:
    """Whether this call of the layer is one in which values may be looked at."""
    if compiling() or transforming() or squash not in (*SATURATED, "softmax"):
        return False
    return input.device.type == "cpu" and input.numel() > 0 and layer not in _told and _due(layer)


@torch.no_grad()
def is_saturated(z: Tensor, squash: str, axis: int) -> Tensor:
    """Where a squash no longer follows ``z``; a softmax over ``axis`` as a whole."""
    if squash == "softmax":
        return z.softmax(axis).amax(axis) > WINNER
    return z.abs() > SATURATED[squash]


@torch.no_grad()
def tell_if_saturated(layer: nn.Module, input: Tensor, stuck: Tensor, what: str, weight: str) -> None:
    """Warns, once per layer, if the input is large and what it makes is ``stuck`` at most places."""
    size = _size(input)
    if size < LARGE or float(stuck.float().mean()) <= 0.5:
        return
    _told.add(layer)
    warnings.warn(
        f"{type(layer).__name__}: inputs of size {size:.3g} saturate {what}, so that these hardly learn; standardise "
        f"the input (mean 0, deviation 1), put a norm before the layer, or start from a smaller `{weight}`.",
        stacklevel=7,  # whoever called the layer
    )


def _size(values: Tensor) -> float:
    """Root mean square."""
    return float(values.square().mean().sqrt())


def _due(layer: nn.Module) -> bool:
    calls = _calls.get(layer, 0)
    _calls[layer] = calls + 1
    return calls % EVERY == 0


def _middle(padded: Tensor, spec: AdaptiveSpec) -> Tensor:
    for axis, (window, stride, dilation) in enumerate(zip(spec.windows, spec.stride, spec.dilation, strict=True), 2):
        length = min(padded.shape[axis], dilation * (window.size - 1) + 1 + stride * (SIDE - 1))
        padded = padded.narrow(axis, (padded.shape[axis] - length) // 2, length)
    return padded
