"""Autocast, where kernels and spectra need more bits than it would leave them."""

import contextlib

import torch
from torch import Tensor


def autocast_dtype(tensor: Tensor) -> torch.dtype | None:
    """The dtype in which autocast would convolve ``tensor``; None where it is off or leaves the tensor alone."""
    kind = tensor.device.type
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return None
    return None if tensor.dtype == torch.float64 else torch.get_autocast_dtype(kind)


def agreed_dtype(input: Tensor, held: torch.dtype, name: str) -> torch.dtype:
    """Autocast's dtype if it is on; else input and parameters of the layer ``name`` must agree, as in torch.

    Raises:
        ValueError: they differ.
    """
    dtype = autocast_dtype(input)
    if dtype is None and input.dtype != held:
        raise ValueError(
            f"{name} holds {held} parameters but the input is {input.dtype}; convert one of them with `.to(dtype)`."
        )
    return input.dtype if dtype is None else dtype


def autocast_off(tensor: Tensor) -> contextlib.AbstractContextManager[object]:
    """Context in which operations on ``tensor``'s device keep their own precision."""
    if autocast_dtype(tensor) is None:
        return contextlib.nullcontext()
    return torch.autocast(tensor.device.type, enabled=False)
