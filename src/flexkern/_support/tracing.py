"""When code does not run as written: compilers and function transforms see tensors without values."""

import torch
from torch.autograd import forward_ad


def compiling() -> bool:
    """Whether a compiler or exporter is tracing."""
    return torch.compiler.is_compiling()


def exporting() -> bool:
    """Whether an exporter is tracing."""
    return torch.compiler.is_exporting()


def transforming() -> bool:
    """Whether ``torch.func`` transforms or forward-mode differentiation are under way.

    They look through plain tensor operations, but not into autograd functions, nor may values decide anything.
    """
    # No public call tells; both have been here since torch 2.1 and are what torch itself asks.
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def plain_operations() -> bool:
    """Whether every step must be a tensor operation with a new result, for autograd or a transform to follow."""
    return torch.is_grad_enabled() or transforming()
