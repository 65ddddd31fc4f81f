"""Control of autocast, where kernels and spectra need more bits than it would leave them."""

import contextlib

import torch
from torch import Tensor


def autocast_dtype(tensor: Tensor) -> torch.dtype | None:
    """Return the dtype in which autocast would convolve ``tensor``; None if it is off or does not apply to it."""
    device = tensor.device.type
    if not torch.amp.is_autocast_available(device):
        return None
    if not torch.is_autocast_enabled(device):
        return None
    if tensor.dtype == torch.float64:
        return None
    return torch.get_autocast_dtype(device)


def agreed_dtype(input: Tensor, parameters: torch.dtype, name: str) -> torch.dtype:
    """Return autocast's dtype if it is on; else input and ``parameters`` of the layer ``name`` must agree, as in torch.

    Raises:
        ValueError: if the dtypes differ.
    """
    dtype = autocast_dtype(input)
    if dtype is not None:
        return dtype
    if input.dtype != parameters:
        raise ValueError(
            f"{name} has {parameters} parameters but the input is {input.dtype}; convert one of them with `.to(dtype)`."
        )
    return input.dtype


def autocast_off(tensor: Tensor) -> contextlib.AbstractContextManager[object]:
    """Return a context in which operations on ``tensor``'s device keep their own precision."""
    if autocast_dtype(tensor) is None:
        return contextlib.nullcontext()
    return torch.autocast(tensor.device.type, enabled=False)


def at_least_float32(values: Tensor) -> Tensor:
    """Convert half precision to float32, which has enough bits for long sums; leave other dtypes as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
