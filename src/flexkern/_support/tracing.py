"""Detection of compilers and function transforms, under which tensors have no values."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch.autograd import forward_ad

_Function = TypeVar("_Function", bound=Callable[..., object])


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


def constant_when_traced(function: _Function) -> _Function:
    """Mark a function whose result compiled code may take as a constant of the graph.

    This equals ``torch.compiler.assume_constant_result``, which however imports the compiler, several seconds of work,
    as soon as it decorates a function.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function
