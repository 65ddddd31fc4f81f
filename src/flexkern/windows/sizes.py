"""Learned sizes as integers: read at most once per optimiser step, for all windows together."""

import math
import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from .._support.tracing import exporting
from .window import Bounds, GaussianWindow, live_windows

_Key = tuple[Any, ...]

_KNOWN: "weakref.WeakKeyDictionary[GaussianWindow, tuple[_Key, Bounds]]" = weakref.WeakKeyDictionary()
_step = 0


def _count_step(*_: Any) -> None:
    global _step
    _step += 1


# Fused optimisers change parameters without raising their version, so every step of any optimiser counts as a change.
register_optimizer_step_post_hook(_count_step)


def steps_taken() -> int:
    """Optimiser steps of the process so far."""
    return _step


def _version(tensor: Tensor) -> tuple[Any, ...]:
    """What differs once a tensor has changed: identity, version and, on the CPU, where reading is free, the values."""
    version = 0 if tensor.is_inference() else tensor._version
    return tensor.data_ptr(), version, tensor.flatten().tolist() if tensor.device.type == "cpu" else None


def _key(window: GaussianWindow) -> _Key:
    return _step, window.threshold, window.grid, _version(window.log_width), _version(window.centre)


def _read_to_host(reach: Tensor) -> list[float]:
    """The one host sync."""
    return reach.tolist()


def current_bounds(window: GaussianWindow) -> Bounds:
    """Per axis the samples ``(start, stop)`` that the window keeps, as Python integers.

    Frozen sizes are returned as they are. Otherwise, if the width has changed since it was last read, *every*
    window in memory that changed is read in one transfer: a model costs one host sync per optimiser step, not
    one per layer. On an accelerator an edit through ``parameter.data`` is noticed with the next optimiser step only.
    """
    if window.frozen_bounds is not None:
        return window.frozen_bounds
    if window.log_width.is_meta:
        return window.initial_bounds()
    if exporting():
        raise RuntimeError("a size that is still learned cannot be exported: call `freeze_sizes(model)` first.")
    if torch.compiler.is_compiling():
        # A size that is still learned is no constant of the graph. (The decorator form would import the compiler.)
        return torch.compiler.disable(_known_bounds)(window)
    return _known_bounds(window)


def _known_bounds(window: GaussianWindow) -> Bounds:
    if torch._C._functorch.is_functorch_wrapped_tensor(window.log_width):
        # Inside torch.func transforms a parameter has neither identity nor version: read its value.
        return window.crop([value.item() for value in window.extent()])
    if _is_stale(window):
        _refresh(window)
    return _KNOWN[window][1]


@torch.no_grad()
def _refresh(window: GaussianWindow) -> None:
    device = window.log_width.device
    stale = [window, *(w for w in live_windows() if w is not window and w.log_width.device == device and _is_stale(w))]
    values = _read_to_host(torch.cat([each.extent() for each in stale]))
    for each in stale:
        reach, values = values[: len(each.lengths)], values[len(each.lengths) :]
        if each is window or all(map(math.isfinite, reach)):  # another model's NaN is not this one's error
            _KNOWN[each] = _key(each), each.crop(reach)


def _is_stale(window: GaussianWindow) -> bool:
    known = _KNOWN.get(window)
    return known is None or known[0] != _key(window)


def _windows(model: nn.Module) -> list[GaussianWindow]:
    return [module for module in model.modules() if isinstance(module, GaussianWindow)]


def sizes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """The learned size, in samples per axis, of every layer that has one, by its name in the model.

    Example:
        >>> import flexkern
        >>> sizes(nn.Sequential(flexkern.FlexConv2d(1, 4, 33, padding="same")))
        {'0': (5, 5)}
    """
    result = {}
    for name, module in model.named_modules():
        if isinstance(module, GaussianWindow):
            bounds = current_bounds(module)
            result[name.removesuffix("window").removesuffix(".")] = tuple(stop - start for start, stop in bounds)
    return result


def freeze_sizes(model: nn.Module) -> nn.Module:
    """Fix every learned size where it is: the integers stay, widths and centres get no gradient any more.

    Needed before ``torch.export`` and for ``torch.compile(fullgraph=True)``, where a size must not depend on
    the value of a tensor. Returns the model. A frozen model that loads a state dict takes the sizes of it.
    """
    for window in _windows(model):
        window.freeze(current_bounds(window))
    return model


def unfreeze_sizes(model: nn.Module) -> nn.Module:
    """Undo :func:`freeze_sizes`; returns the model."""
    for window in _windows(model):
        window.unfreeze()
    return model


def size_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Widths and centres of all windows: give them their own learning rate and no weight decay.

    Example:
        >>> import flexkern
        >>> len(size_parameters(flexkern.FlexConv2d(1, 4, 33)))
        2
    """
    return [parameter for window in _windows(model) for parameter in window.parameters()]
