"""A warning, once per layer, if the input is so large that kernels or their mixing no longer depend on it."""

import warnings
import weakref

import torch
from torch import Tensor, nn

from .._support.axes import CONVOLUTIONS
from .._support.tracing import compiling, transforming
from ..adaptive import AdaptiveSpec, generator_view

SATURATED = {"tanh": 3.0, "hardtanh": 1.0, "gaussian": 3.0}
"""|z| above which tanh has a hundredth of its slope, hardtanh none, and the Gaussian a ten-thousandth of its height."""
WINNER = 0.99
"""Largest weight of a softmax above which it ignores its other values."""
LARGE = 4.0
"""Root mean square of an input that is not standardised; below it, saturation was learned."""
SIDE = 4
"""Positions checked per axis, in the middle of the first sample."""
EVERY = 64
"""Calls between two checks, after the first."""

_warned: "weakref.WeakSet[nn.Module]" = weakref.WeakSet()
_calls: "weakref.WeakKeyDictionary[nn.Module, int]" = weakref.WeakKeyDictionary()


def warn_if_saturated(
    layer: nn.Module,
    padded: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    spec: AdaptiveSpec,
) -> None:
    """Warn if the kernels of an adaptive convolution are saturated, from a few positions in some of the calls.

    Only inputs on a CPU are checked: elsewhere, reading a value would mean waiting for the device.
    """
    if not is_check_due(layer, padded, spec.squash):
        return
    with torch.no_grad():
        middle = _middle(padded[:1], spec)
        if _root_mean_square(middle) < LARGE:
            return
        convolve = CONVOLUTIONS[len(spec.kernel)]
        z = convolve(
            generator_view(middle, spec),
            weight,
            bias,
            spec.stride,
            0,
            spec.dilation,
            spec.generator_groups,
        )
    saturated = is_saturated(z.unflatten(1, (-1, spec.taps)), str(spec.squash), 2)
    warn_if_mostly_saturated(layer, middle, saturated, f"{spec.squash} in most kernel values", "generator_weight")


def is_check_due(layer: nn.Module, input: Tensor, squash: object) -> bool:
    """Return whether to check this call of the layer, and count the call."""
    if compiling() or transforming() or squash not in (*SATURATED, "softmax"):
        return False
    if input.device.type != "cpu" or input.numel() == 0 or layer in _warned:
        return False
    calls = _calls.get(layer, 0)
    _calls[layer] = calls + 1
    return calls % EVERY == 0


@torch.no_grad()
def is_saturated(z: Tensor, squash: str, axis: int) -> Tensor:
    """Return where the squash no longer depends on ``z``; a softmax over ``axis`` is judged as a whole."""
    if squash == "softmax":
        return z.softmax(axis).amax(axis) > WINNER
    return z.abs() > SATURATED[squash]


@torch.no_grad()
def warn_if_mostly_saturated(layer: nn.Module, input: Tensor, saturated: Tensor, quantity: str, weight: str) -> None:
    """Warn, once per layer, if the input is large and ``saturated`` at more than half of the places.

    Args:
        layer: the layer to name; its ``forward`` must be the caller's caller, for the warning to name the user's line.
        input: the part of the input that was checked.
        saturated: where the squash is saturated.
        quantity: what saturates, for the message.
        weight: name of the parameter whose initial values the user may lower.
    """
    size = _root_mean_square(input)
    if size < LARGE or float(saturated.float().mean()) <= 0.5:
        return
    _warned.add(layer)
    warnings.warn(
        f"{type(layer).__name__}: inputs of size {size:.3g} saturate {quantity}, so that these hardly learn; "
        "standardise the input (mean 0, deviation 1), put a norm before the layer, "
        f"or start from a smaller `{weight}`.",
        stacklevel=7,  # the caller of the layer
    )


def _root_mean_square(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def _middle(padded: Tensor, spec: AdaptiveSpec) -> Tensor:
    """Return the middle of the signal, as much as :data:`SIDE` positions per axis need."""
    for axis, (extent, stride) in enumerate(zip(spec.extent, spec.stride, strict=True), 2):
        samples = padded.shape[axis]
        length = min(samples, extent + stride * (SIDE - 1))
        padded = padded.narrow(axis, (samples - length) // 2, length)
    return padded
