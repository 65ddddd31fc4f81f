"""Detection of compilers and function transforms, under which tensors have no values."""

import torch
from torch.autograd import forward_ad


def compiling() -> bool:
    """Return whether a compiler or exporter is tracing."""
    return torch.compiler.is_compiling()


def exporting() -> bool:
    """Return whether an exporter is tracing."""
    return torch.compiler.is_exporting()


def transforming() -> bool:
    """Return whether a ``torch.func`` transform or forward-mode differentiation is active.

    These follow plain tensor operations but not autograd functions, and code must not branch on tensor values.
    """
    # There is no public call; torch itself uses these two, which have existed since torch 2.1.
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def plain_operations() -> bool:
    """Return whether autograd or a transform must be able to follow every step.

    Each step must then be a tensor operation with a new result, neither in place nor into a buffer.
    """
    return torch.is_grad_enabled() or transforming()
