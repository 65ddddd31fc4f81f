"""Correct results: the same convolution and its gradients in float64, in plain operations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import EllipsisType

import torch
from torch import Tensor

from flexkern._support.axes import CONVOLUTIONS
from flexkern.engines import ConvProblem, pad

from .problems import Point

DIRECT_LIMIT = 1e8
"""Multiplications above which torch's direct convolution in float64 is too slow."""
PARTS = ("output", "input", "weight")


def exact_results(point: Point, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the output and, if wanted, gradients of input and weight in float64.

    ``tensors`` are input, weight and gradient of the output.
    """
    x, weight, gradient = (tensor.double() for tensor in tensors)
    small = point.problem.multiplications * point.passes <= DIRECT_LIMIT
    convolve = direct_convolution if small else fourier_convolution
    if not point.backward:
        return [convolve(x, weight, point.problem)]
    x.requires_grad_()
    weight.requires_grad_()
    output = convolve(x, weight, point.problem)
    return [output.detach(), *torch.autograd.grad(output, (x, weight), gradient)]


def direct_convolution(x: Tensor, weight: Tensor, problem: ConvProblem) -> Tensor:
    """Convolve by torch."""
    return CONVOLUTIONS[len(problem.signal)](pad(x, problem.padding, "zeros"), weight, groups=problem.groups)


def fourier_convolution(x: Tensor, weight: Tensor, problem: ConvProblem) -> Tensor:
    """Convolve by transforms as long as the padded signal, so that nothing that wraps around affects an output."""
    extended = pad(x, problem.padding, "zeros")
    lengths, axes = extended.shape[2:], tuple(range(2, x.dim()))
    signal, kernel = torch.fft.rfftn(extended, dim=axes), torch.fft.rfftn(weight, s=lengths, dim=axes).conj()
    product = signal * kernel[:, 0] if problem.depthwise else torch.einsum("bi...,oi...->bo...", signal, kernel)
    whole = torch.fft.irfftn(product, s=lengths, dim=axes)
    cut: tuple[EllipsisType | slice, ...] = (..., *(slice(n) for n in problem.output_size))
    return whole[cut]


def relative_errors(results: Sequence[Tensor], exact: Sequence[Tensor]) -> dict[str, float]:
    """Return the largest error over the largest value for output and gradients; infinite if a result is not finite."""
    errors = {}
    for name, result, correct in zip(PARTS, results, exact, strict=False):
        largest_error = torch.linalg.vector_norm(result - correct, torch.inf)
        largest_value = torch.linalg.vector_norm(correct, torch.inf)
        error = (largest_error / largest_value).item()
        errors[name] = error if math.isfinite(error) else math.inf
    return errors
