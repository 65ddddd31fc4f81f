"""Gradients that can be differentiated again, for autograd functions whose backward pass cannot."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def differentiate_again(
    forward: Callable[[], Tensor],
    tensors: Sequence[Tensor | None],
    gradient: Tensor,
) -> list[Tensor | None]:
    """Return the gradient of each of ``tensors`` as a graph, or None for tensors that require none.

    The forward pass is computed once more by differentiable operations, and autograd differentiates it. The gradients
    have a graph of their own if gradients are recorded when this function is called.

    Args:
        forward: computes the output from ``tensors`` by differentiable operations.
        tensors: the inputs of the forward pass; None for an absent one.
        gradient: the gradient of the output.

    Example:
        >>> x = torch.tensor(2.0, requires_grad=True)
        >>> (slope,) = differentiate_again(lambda: x**3, [x], torch.tensor(1.0))
        >>> slope.item(), torch.autograd.grad(slope, x)[0].item()
        (12.0, 12.0)
    """
    differentiable = [tensor for tensor in tensors if tensor is not None and tensor.requires_grad]
    recorded = torch.is_grad_enabled()
    with torch.enable_grad():
        output = forward()
    computed = iter(torch.autograd.grad(output, differentiable, gradient, create_graph=recorded))
    gradients: list[Tensor | None] = []
    for tensor in tensors:
        needed = tensor is not None and tensor.requires_grad
        gradients.append(next(computed) if needed else None)
    return gradients
