"""Learned sizes as Python integers, read at most once per optimiser step for all windows together."""

import math
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from .._support.tracing import exporting
from ..functional import crop_bounds, pitch, radius_per_width
from .window import Bounds, GaussianWindow, live_windows

_Key = tuple[Any, ...]

_known_bounds: "weakref.WeakKeyDictionary[GaussianWindow, tuple[_Key, Bounds]]" = weakref.WeakKeyDictionary()
_step = 0


def _count_step(*_: Any) -> None:
    global _step
    _step += 1


# Fused optimisers change parameters without raising their version, so every optimiser step counts as a change.
register_optimizer_step_post_hook(_count_step)


def steps_taken() -> int:
    """Return the number of optimiser steps of the process so far."""
    return _step


def current_bounds(window: GaussianWindow) -> Bounds:
    """Return the samples ``(start, stop)`` that the window keeps per axis, as Python integers.

    Frozen sizes are returned as they are. Otherwise, if the width has changed since it was last read, *every*
    changed window in memory is read in one transfer: a model costs one host sync per optimiser step, not one per
    layer. On an accelerator an edit through ``parameter.data`` takes effect at the next optimiser step only.

    Raises:
        RuntimeError: when a size that is still learned is exported.
    """
    if window.frozen_bounds is not None:
        return window.frozen_bounds
    if window.log_width.is_meta:
        return window.initial_bounds()
    if exporting():
        raise RuntimeError("a size that is still learned cannot be exported: call `freeze_sizes(model)` first.")
    if torch.compiler.is_compiling():
        # A size that is still learned is no constant of the graph. (The decorator form would import the compiler.)
        return torch.compiler.disable(_read_bounds)(window)
    return _read_bounds(window)


def _read_bounds(window: GaussianWindow) -> Bounds:
    if torch._C._functorch.is_functorch_wrapped_tensor(window.log_width):
        # Inside torch.func transforms a parameter has neither identity nor version: read its value.
        return window.crop([value.item() for value in window.extent()])
    known = _known_bounds.get(window)
    if known is None or known[0] != _key(window):
        _refresh(window)
        known = _known_bounds[window]
    return known[1]


@torch.no_grad()
def _refresh(window: GaussianWindow) -> None:
    """Read the extents of ``window`` and of all other changed windows on its device in one transfer."""
    stale = [window]
    for other in live_windows():
        if other is not window and other.log_width.device == window.log_width.device and _is_stale(other):
            stale.append(other)
    values = _read_to_host(torch.cat([changed.extent() for changed in stale]))
    first = 0
    for changed in stale:
        last = first + len(changed.lengths)
        extent = values[first:last]
        first = last
        if changed is window or all(map(math.isfinite, extent)):  # NaN in another model must not raise here
            _known_bounds[changed] = _key(changed), changed.crop(extent)


def _is_stale(window: GaussianWindow) -> bool:
    known = _known_bounds.get(window)
    return known is None or known[0] != _key(window)


def _key(window: GaussianWindow) -> _Key:
    """Return what differs once the bounds of a window may have changed."""
    return _step, window.threshold, window.grid, _version(window.log_width), _version(window.centre)


def _version(tensor: Tensor) -> tuple[Any, ...]:
    """Return identity, version and, on a CPU, where reading is free, the values of a tensor."""
    version = 0 if tensor.is_inference() else tensor._version
    values = tensor.flatten().tolist() if tensor.device.type == "cpu" else None
    return tensor.data_ptr(), version, values


def _read_to_host(extents: Tensor) -> list[float]:
    """Transfer the extents: the one host sync."""
    return extents.tolist()


def _windows(model: nn.Module) -> list[GaussianWindow]:
    return [module for module in model.modules() if isinstance(module, GaussianWindow)]


def sizes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the learned size, in samples per axis, of every layer that has one, by its name in the model.

    Example:
        >>> import flexkern
        >>> sizes(nn.Sequential(flexkern.FlexConv2d(1, 4, 33, padding="same")))
        {'0': (5, 5)}
    """
    result = {}
    for name, module in model.named_modules():
        if isinstance(module, GaussianWindow):
            layer_name = name.removesuffix("window").removesuffix(".")
            result[layer_name] = tuple(stop - start for start, stop in current_bounds(module))
    return result


def freeze_sizes(model: nn.Module) -> nn.Module:
    """Fix every learned size at its current value; widths and centres get no gradient any more.

    Needed before ``torch.export`` and for ``torch.compile(fullgraph=True)``, where a size must not depend on
    the value of a tensor. A frozen model that loads a state dict takes the sizes stored there.

    Returns:
        The model.
    """
    for window in _windows(model):
        window.freeze(current_bounds(window))
    return model


def unfreeze_sizes(model: nn.Module) -> nn.Module:
    """Undo :func:`freeze_sizes`; return the model."""
    for window in _windows(model):
        window.unfreeze()
    return model


def size_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return widths and centres of all windows, to give them a learning rate of their own and no weight decay.

    Example:
        >>> import flexkern
        >>> len(size_parameters(flexkern.FlexConv2d(1, 4, 33)))
        2
    """
    return [parameter for window in _windows(model) for parameter in window.parameters()]


def width_for_size(
    lengths: Sequence[int], size: Sequence[float], threshold: float = 0.1, *, causal: bool = False
) -> tuple[float, ...]:
    """Return the widths whose windows keep ``size`` samples per axis.

    The result is exact for a size of the same parity as the axis, because a centred crop keeps the parity. For other
    sizes the window keeps one sample less. The floor of half a sample keeps at least 3 samples of an odd axis and 2 of
    an even or causal one.

    Raises:
        ValueError: if a size is below what the floor keeps or exceeds the axis.

    Example:
        >>> [round(w, 4) for w in width_for_size((33,), (5,))]
        [0.0728]
    """
    radius = radius_per_width(threshold)
    widths = []
    for length, samples in zip(lengths, size, strict=True):
        step = pitch(length)
        extent = (samples - 0.5) * step if causal else samples / 2 * step
        start, stop = crop_bounds(length, step / 2 * radius, causal=causal)
        least = stop - start
        if not least <= samples <= length:
            raise ValueError(f"`init_size` must be between {least} and the kernel size {length}, got {samples}.")
        # Where the floor keeps just the samples wanted, start a little above it.
        widths.append(max(extent / radius, 1.1 * step / 2))
    return tuple(widths)
