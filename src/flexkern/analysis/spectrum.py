"""The spectrum of a kernel as it is, measured on a finer grid than its own."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..engines import FactoredWeight
from ..functional import Grid
from ..layers import ContinuousConv, count_features, sample_weight
from ..windows import Bounds

FINER = {1: 16, 2: 8, 3: 4}
"""Samples of the measurement per sample of the kernel's grid, by number of axes; halved for large kernels."""
LARGEST = 2**25
"""Values that are transformed at a time: a quarter of a gigabyte."""


@torch.no_grad()
def energy_above_nyquist(layer: ContinuousConv) -> float:
    r"""Return the fraction of the kernels' energy at frequencies above Nyquist, on any axis.

    .. math:: \sum_{oi} \int_{\exists a: |f_a| > f_{N,a}} |\hat\psi_{oi}(f)|^2 df \Big/
              \sum_{oi} \int |\hat\psi_{oi}(f)|^2 df

    The kernel is a function of continuous position, with window and crop. It is measured on a grid finer by
    :data:`FINER`. A causal kernel ends with a jump at the most recent sample, whose energy counts. The result is 0 for
    kernels of a single sample.

    Example:
        >>> import flexkern
        >>> energy_above_nyquist(flexkern.FlexConv2d(1, 4, kernel_size=33)) < 0.1
        True
    """
    lengths = layer.grid.trained_lengths
    if max(lengths) == 1:
        return 0.0
    fine, bounds = _finer_grid(layer)
    weight = sample_weight(
        layer.generator,
        layer.window,
        fine,
        bounds,
        layer.out_channels,
    )
    # Nyquist frequency of the layer's grid over that of the finer grid; None where there is only one sample.
    limits: list[float | None] = []
    for step, coarse_step, length in zip(fine.steps, layer.grid.steps, lengths, strict=True):
        limits.append(step / coarse_step if length > 1 else None)
    above = 0.0
    total = 0.0
    for power in _powers(weight, layer.dims):
        high = _exceeds(power, limits)
        above += power[high].sum().item()
        total += power.sum().item()
    return above / total if total else 0.0


def _finer_grid(layer: ContinuousConv) -> tuple[Grid, Bounds]:
    """Return a finer grid, and the bounds of the kernel in it."""
    # All features are transformed, at twice the length; kernels without features in chunks.
    features = count_features(layer.generator, layer.window)
    transforms = 2**layer.dims * features
    if not features:
        transforms = layer.out_channels * layer.in_channels // layer.groups
    factor = float(FINER[layer.dims])
    while True:
        fine = layer.grid.at(factor)
        bounds: Bounds = tuple((0, length) for length in fine.lengths)
        if layer.window is not None:
            bounds = fine.bounds(layer.window.extent().tolist())
        lengths = [stop - start for start, stop in bounds]
        samples = math.prod(lengths)
        if transforms * samples <= LARGEST or factor <= 2:
            return fine, bounds
        factor /= 2


def _powers(weight: Tensor | FactoredWeight, dims: int) -> Iterator[Tensor]:  # shapes: (*F)
    """Yield the kernels' power by frequency, summed over some channels at a time."""
    axes = tuple(range(-dims, 0))
    if isinstance(weight, FactoredWeight):
        yield _factored_power(weight, axes)
        return
    samples = math.prod(weight.shape[2:])
    transformed_samples = 2**dims * samples
    channel_chunk = max(LARGEST // transformed_samples, 1)
    for kernels in weight.flatten(0, 1).split(channel_chunk):
        spectrum = _transform(kernels, axes)
        yield spectrum.abs().square().sum(0).double()


def _factored_power(weight: FactoredWeight, axes: tuple[int, ...]) -> Tensor:
    """Return the power of all kernels, ``|sum_m R_m F_m(f)|^2`` summed, from the Gram matrix of the readout."""
    readout = weight.readout.flatten(0, 1)
    spectrum = _transform(weight.features, axes).flatten(1)
    gram = (readout.t() @ readout).to(spectrum.dtype)
    products = spectrum.conj() * (gram @ spectrum)
    power = products.real.sum(0).double()
    lengths = [2 * length for length in weight.features.shape[1:]]
    return power.view(*lengths)


def _transform(values: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return the spectrum at twice the length, which resolves the few frequencies of a small kernel."""
    lengths = [2 * values.shape[axis] for axis in axes]
    return torch.fft.fftn(values, s=lengths, dim=axes)


def _exceeds(power: Tensor, limits: list[float | None]) -> Tensor:
    """Return where the frequency exceeds the limit of its axis, on any axis that has one.

    Limits are fractions of the Nyquist frequency of the measurement.
    """
    exceeds = torch.zeros_like(power, dtype=torch.bool)
    for axis, (length, limit) in enumerate(zip(power.shape, limits, strict=True)):
        if limit is None:
            continue
        frequencies = torch.fft.fftfreq(length, device=power.device).abs()
        high = frequencies > limit / 2
        shape = [1] * power.dim()
        shape[axis] = -1
        exceeds |= high.view(shape)
    return exceeds
