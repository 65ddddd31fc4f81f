"""How much the kernels of an adaptive convolution depend on the input."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .._support.axes import append_axes
from ..layers import AdaptiveConv, AdaptiveFlexConv

BATCH_CHUNK = 16
"""Inputs whose kernels are computed at a time."""


@dataclass(frozen=True)
class Adaptivity:
    """The dependence of one layer's kernels on some inputs.

    Attributes:
        mean: the mean kernel over inputs and positions, (out, in / groups or 1, *kernel).
        share: energy of the deviations from the mean, divided by the energy of all kernels: 0 for an ordinary
            convolution, 1 if the mean kernel is zero.
        map: mean square deviation at every position of every input, (B, *S).
    """

    mean: Tensor
    share: float
    map: Tensor


@torch.no_grad()
def adaptivity(layer: AdaptiveConv | AdaptiveFlexConv, input: Tensor) -> Adaptivity:
    """Measure how much a layer's kernels vary over the positions of an input, (B, in, *S).

    Example:
        >>> from flexkern import AdaptiveConv2d
        >>> measured = adaptivity(AdaptiveConv2d(1, 4, 3), torch.randn(8, 1, 12, 12))
        >>> 0 < measured.share < 0.5, measured.map.shape
        (True, torch.Size([8, 10, 10]))
    """
    if isinstance(layer, AdaptiveFlexConv):
        return _measure_mixed(layer, input)
    return _measure_generated(layer, input)


def _measure_generated(layer: AdaptiveConv, input: Tensor) -> Adaptivity:
    """Measure kernels that are computed one by one, in two passes because all of them do not fit in memory."""
    chunks = input.split(BATCH_CHUNK)
    mean = _mean_kernel(layer, chunks, len(input))
    mean_per_position = append_axes(mean.to(input.dtype), layer.dims)
    kernel_axes = tuple(range(1, 3 + layer.dims))
    maps = []
    energy = 0.0
    for chunk in chunks:
        kernels = layer.kernels(chunk)
        energy += float(kernels.double().square().sum())
        deviations = (kernels - mean_per_position).square()
        maps.append(deviations.mean(kernel_axes))
    deviation_map = torch.cat(maps)
    share = 0.0
    if energy:
        deviation = float(deviation_map.double().sum())
        share = deviation * mean.numel() / energy
    return Adaptivity(mean.to(input.dtype), share, deviation_map)


def _mean_kernel(
    layer: AdaptiveConv,
    chunks: tuple[Tensor, ...],
    samples: int,
) -> Tensor:
    """Return the mean kernel over all chunks and positions in float64."""
    sums = []
    for chunk in chunks:
        kernels = layer.kernels(chunk).double()
        flat = kernels.flatten(3 + layer.dims)
        sums.append(flat.sum((0, -1)))
    padded = layer.padded(chunks[0][:1])
    positions = math.prod(layer.spec.output_size(padded.shape))
    total = torch.stack(sums).sum(0)
    return total / (samples * positions)


def _measure_mixed(layer: AdaptiveFlexConv, input: Tensor) -> Adaptivity:
    """Measure kernels that are mixed from a few; the inner products of these give the energy of every mixture."""
    basis = layer.basis.weight.double()  # (R, in, *K)
    mixing = layer.mixing(input).double()  # (B, out, R, *S)
    flat_basis = basis.flatten(1)
    mean = mixing.flatten(3).mean((0, 3))  # (out, R)
    gram = flat_basis @ flat_basis.t()
    mean_per_position = append_axes(mean, layer.dims)
    deviations = _mixture_energy(mixing - mean_per_position, gram)
    energy = float(_mixture_energy(mixing, gram).sum())
    flat_mean = mean @ flat_basis
    mean_kernel = flat_mean.view(-1, *basis.shape[1:])
    share = 0.0
    if energy:
        share = float(deviations.sum()) / energy
    deviation_map = deviations / mean_kernel.numel()
    return Adaptivity(
        mean_kernel.to(input.dtype),
        share,
        deviation_map.to(input.dtype),
    )


def _mixture_energy(mixing: Tensor, gram: Tensor) -> Tensor:  # (B, out, R, *S), (R, R) -> (B, *S)
    """Return the energy of mixtures of kernels whose inner products are ``gram``."""
    return torch.einsum("bor...,rs,bos...->b...", mixing, gram, mixing)
