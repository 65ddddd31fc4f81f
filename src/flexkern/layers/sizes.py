"""Learned sizes as integers: read at most once per optimiser step, for all windows together."""

import weakref

import torch
from torch import nn

from ..windows import LIVE_WINDOWS, Bounds, GaussianWindow

_Key = tuple[int, int, int, int]

_KNOWN: "weakref.WeakKeyDictionary[GaussianWindow, tuple[_Key, Bounds]]" = weakref.WeakKeyDictionary()


def _version(tensor: torch.Tensor) -> tuple[int, int]:
    """Identity and version of a tensor: changes with every optimiser step, load and in-place edit."""
    return tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version


def _key(window: GaussianWindow) -> _Key:
    return (*_version(window.log_width), *_version(window.centre))


def _read_to_host(reach: torch.Tensor) -> list[float]:
    """The one host sync."""
    return reach.tolist()


def current_bounds(window: GaussianWindow) -> Bounds:
    """Per axis the samples ``(start, stop)`` that the window keeps, as Python integers.

    Frozen sizes are returned as they are. Otherwise, if the width has changed since it was last read, *every*
    window in memory that changed is read in one transfer: a model costs one host sync per optimiser step, not
    one per layer.
    """
    if window.frozen_bounds is not None:
        return window.frozen_bounds
    if window.log_width.is_meta:
        return window.initial_bounds()
    return _known_bounds(window)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _known_bounds(window: GaussianWindow) -> Bounds:
    if torch._C._functorch.is_functorch_wrapped_tensor(window.log_width):
        # Inside torch.func transforms a parameter has neither identity nor version: read its value.
        return window.bounds_of([value.item() for value in window.reach()])
    known = _KNOWN.get(window)
    if known is None or known[0] != _key(window):
        _refresh(window)
        known = _KNOWN[window]
    return known[1]


@torch.no_grad()
def _refresh(window: GaussianWindow) -> None:
    device = window.log_width.device
    stale = [window]
    for other in LIVE_WINDOWS:
        known = _KNOWN.get(other)
        if other is not window and other.log_width.device == device and (not known or known[0] != _key(other)):
            stale.append(other)
    values = _read_to_host(torch.cat([each.reach().double() for each in stale]))
    for each in stale:
        reach, values = values[: len(each.lengths)], values[len(each.lengths) :]
        _KNOWN[each] = _key(each), each.bounds_of(reach)


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
        window.frozen_bounds = current_bounds(window)
        window.requires_grad_(False)
    return model


def unfreeze_sizes(model: nn.Module) -> nn.Module:
    """Undo :func:`freeze_sizes`; returns the model."""
    for window in _windows(model):
        window.frozen_bounds = None
        window.requires_grad_(True)
    return model


def size_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Widths and centres of all windows: give them their own learning rate and no weight decay.

    Example:
        >>> import flexkern
        >>> len(size_parameters(flexkern.FlexConv2d(1, 4, 33)))
        2
    """
    return [parameter for window in _windows(model) for parameter in window.parameters()]
