"""Gradients of gradients for autograd functions that are written by hand."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def differentiate_again(
    forward: Callable[[], Tensor],
    tensors: Sequence[Tensor | None],
    gradient: Tensor,
) -> list[Tensor | None]:
    """Return the gradients of ``tensors``, computed by autograd so that they can be differentiated again.

    An autograd function whose backward pass overwrites tensors calls this instead when gradients are recorded.

    Args:
        forward: computes the output from ``tensors`` by operations that autograd can follow.
        tensors: inputs of ``forward``; those that require no gradient, or are None, get None.
        gradient: gradient of the output.

    Example:
        >>> x = torch.tensor([3.0], requires_grad=True)
        >>> (slope,) = differentiate_again(lambda: x**3, [x], torch.ones(1))
        >>> torch.autograd.grad(slope, x)
        (tensor([18.]),)
    """
    recorded = torch.is_grad_enabled()
    with torch.enable_grad():
        output = forward()
    needed = [tensor for tensor in tensors if tensor is not None and tensor.requires_grad]
    needed_gradients = iter(torch.autograd.grad(output, needed, gradient, create_graph=recorded))
    gradients: list[Tensor | None] = []
    for tensor in tensors:
        if tensor is not None and tensor.requires_grad:
            gradients.append(next(needed_gradients))
        else:
            gradients.append(None)
    return gradients
