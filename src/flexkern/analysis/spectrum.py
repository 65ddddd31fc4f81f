"""The spectrum of a kernel as it is, measured on a finer grid than the one it is used on."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..engines import FactoredWeight
from ..functional import Grid
from ..layers import ContinuousConv, count_features, sample_weight
from ..windows import Bounds

FINER = {1: 16, 2: 8, 3: 4}
"""Samples of the measurement per sample of the kernel's grid, by number of axes; half of that for large kernels."""
LARGEST = 2**25
"""Values that are transformed at a time: a quarter of a gigabyte."""


@torch.no_grad()
def energy_above_nyquist(layer: ContinuousConv) -> float:
    r"""Share of the kernels' energy at frequencies that their grid cannot carry, on any axis.

    .. math:: \sum_{oi} \int_{\exists a: |f_a| > f_{N,a}} |\hat\psi_{oi}(f)|^2 df \Big/
              \sum_{oi} \int |\hat\psi_{oi}(f)|^2 df

    of the kernel as a function of continuous position, window and crop included, measured on a grid finer by
    :data:`FINER`. A causal kernel ends at the most recent sample with a jump, whose energy counts. 0 for kernels of a
    single sample.

    Example:
        >>> import flexkern
        >>> energy_above_nyquist(flexkern.FlexConv2d(1, 4, kernel_size=33)) < 0.1
        True
    """
    if max(layer.grid.trained_lengths) == 1:
        return 0.0
    fine, bounds = _finer(layer)
    weight = sample_weight(layer.generator, layer.window, fine, bounds, layer.out_channels)
    above = total = 0.0
    for power in _powers(weight, layer.dims):
        axes = zip(fine.steps, layer.grid.steps, layer.grid.trained_lengths, strict=True)
        high = _above(power, [step / coarse if length > 1 else None for step, coarse, length in axes])
        above, total = above + power[high].sum().item(), total + power.sum().item()
    return above / total if total else 0.0


def _finer(layer: ContinuousConv) -> tuple[Grid, Bounds]:
    """A finer grid, and what the kernel takes of it."""
    finer = float(FINER[layer.dims])
    features = 2**layer.dims * count_features(layer.generator, layer.window)  # all are transformed, at twice the length
    features = features or layer.out_channels * layer.in_channels // layer.groups
    while True:
        fine = layer.grid.at(finer)
        whole = tuple((0, n) for n in fine.lengths)
        bounds = whole if layer.window is None else fine.bounds(layer.window.extent().tolist())
        if features * math.prod(stop - start for start, stop in bounds) <= LARGEST or finer <= 2:
            return fine, bounds
        finer /= 2


def _powers(weight: Tensor | FactoredWeight, dims: int) -> Iterator[Tensor]:  # shapes: (*F)
    """Power of the kernels by frequency, some channels at a time."""
    axes = tuple(range(-dims, 0))
    if isinstance(weight, FactoredWeight):
        # |sum_m R_m F_m(f)|^2 over all kernels is a form of the few features: their Gram matrix says it.
        readout = weight.readout.flatten(0, 1)
        spectrum = _transform(weight.features, axes).flatten(1)
        gram = (readout.t() @ readout).to(spectrum.dtype)
        power = (spectrum.conj() * (gram @ spectrum)).real.sum(0).double()
        yield power.view(*(2 * n for n in weight.features.shape[1:]))
        return
    at_once = max(LARGEST // math.prod(2 * n for n in weight.shape[2:]), 1)
    for part in weight.flatten(0, 1).split(at_once):
        yield _transform(part, axes).abs().square().sum(0).double()


def _transform(values: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Of twice the length, so that the few frequencies of a small kernel are told apart."""
    return torch.fft.fftn(values, s=[2 * values.shape[axis] for axis in axes], dim=axes)


def _above(power: Tensor, shares: list[float | None]) -> Tensor:
    """Where a frequency exceeds ``shares`` of half the sampling rate of the measurement, on any axis that has one."""
    found = torch.zeros_like(power, dtype=torch.bool)
    for axis, (length, share) in enumerate(zip(power.shape, shares, strict=True)):
        if share is None:
            continue
        frequency = torch.fft.fftfreq(length, device=power.device).abs()
        shape = [-1 if other == axis else 1 for other in range(power.dim())]
        found |= (frequency > share / 2).view(shape)
    return found
