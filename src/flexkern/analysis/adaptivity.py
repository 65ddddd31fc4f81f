"""How much the kernels of an adaptive convolution depend on the input."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..layers import AdaptiveConv, AdaptiveFlexConv

PART = 16
"""Inputs whose kernels are held at a time."""


@dataclass(frozen=True)
class Adaptivity:
    """Of one layer on some inputs.

    Attributes:
        mean: the mean kernel over inputs and positions, (out, in / groups or 1, *kernel).
        share: energy of the deviations from the mean over the energy of all kernels: 0 for an ordinary
            convolution, 1 where the mean kernel is zero.
        map: mean square deviation at every position of every input, (B, *S).
    """

    mean: Tensor
    share: float
    map: Tensor


@torch.no_grad()
def adaptivity(layer: AdaptiveConv | AdaptiveFlexConv, input: Tensor) -> Adaptivity:
    """Measures a layer on the input that it gets, (B, in, *S).

    Example:
        >>> from flexkern import AdaptiveConv2d
        >>> found = adaptivity(AdaptiveConv2d(1, 4, 3), torch.randn(8, 1, 12, 12))
        >>> 0 < found.share < 0.5, found.map.shape
        (True, torch.Size([8, 10, 10]))
    """
    return _of_mixed(layer, input) if isinstance(layer, AdaptiveFlexConv) else _of_computed(layer, input)


def _of_computed(layer: AdaptiveConv, input: Tensor) -> Adaptivity:
    parts = input.split(PART)  # the kernels of all positions are large
    totals = [layer.kernels(part).double().flatten(3 + layer.dims).sum((0, -1)) for part in parts]
    count = len(input) * math.prod(layer.spec.output_size(layer.padded(input[:1]).shape))
    mean = torch.stack(totals).sum(0) / count
    shown = mean.to(input.dtype).view(*mean.shape, *(1,) * layer.dims)
    maps, energy = [], 0.0
    for part in parts:
        kernels = layer.kernels(part)
        energy += float(kernels.double().square().sum())
        maps.append((kernels - shown).square().mean(tuple(range(1, 3 + layer.dims))))
    found = torch.cat(maps)
    share = float(found.double().sum()) * mean.numel() / energy if energy else 0.0
    return Adaptivity(mean.to(input.dtype), share, found)


def _of_mixed(layer: AdaptiveFlexConv, input: Tensor) -> Adaptivity:
    """Of kernels that are sums of a few: their inner products say all of their energy."""
    kernels, mixing = layer.basis.weight.double(), layer.mixing(input).double()  # (R, in, *K), (B, out, R, *S)
    flat = kernels.flatten(1)
    mean = mixing.flatten(3).mean((0, 3))  # (out, R)

    def energy(mixed: Tensor) -> Tensor:  # (B, out, R, *S) -> (B, *S)
        return torch.einsum("bor...,rs,bos...->b...", mixed, flat @ flat.t(), mixed)

    off, whole = energy(mixing - mean.view(*mean.shape, *(1,) * layer.dims)), float(energy(mixing).sum())
    kernel = (mean @ flat).view(-1, *kernels.shape[1:])
    share = float(off.sum()) / whole if whole else 0.0
    return Adaptivity(kernel.to(input.dtype), share, (off / kernel.numel()).to(input.dtype))
