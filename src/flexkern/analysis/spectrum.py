"""The spectrum of a kernel as it is, measured on a finer grid than the one it is used on."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ..engines import FactoredWeight
from ..layers.base import ContinuousConv
from ..layers.sampling import sample_weight

FINER = {1: 16, 2: 8, 3: 4}
"""Samples of the measurement per sample of the kernel's grid, by number of axes."""
CHANNELS_AT_ONCE = 64


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
    if max(layer.grid.horizon) == 1:
        return 0.0
    fine = layer.grid.at(FINER[layer.dims])
    bounds = [(0, n) for n in fine.lengths]
    if layer.window is not None:
        bounds = list(fine.bounds(layer.window.reach().tolist()))
    weight = sample_weight(layer.generator, layer.window, fine, tuple(bounds), layer.out_channels)
    above = total = 0.0
    for power in _powers(weight, layer.dims):
        high = _above(power, [step / coarse for step, coarse in zip(fine.steps, layer.grid.steps, strict=True)])
        above, total = above + power[high].sum().item(), total + power.sum().item()
    return above / total if total else 0.0


def _powers(weight: Tensor | FactoredWeight, dims: int) -> Iterator[Tensor]:  # shapes: (*F)
    """Power of the kernels by frequency, some channels at a time."""
    axes = tuple(range(-dims, 0))
    if isinstance(weight, FactoredWeight):
        # |sum_m R_m F_m(f)|^2 over all kernels is a form of the few features: their Gram matrix says it.
        readout = weight.readout.flatten(0, 1).double()
        spectrum = _transform(weight.features, axes).flatten(1)
        gram = (readout.t() @ readout).to(spectrum.dtype)
        power = (spectrum.conj() * (gram @ spectrum)).real.sum(0)
        yield power.view(*(2 * n for n in weight.features.shape[1:]))
        return
    for part in weight.flatten(0, 1).split(CHANNELS_AT_ONCE):
        yield _transform(part, axes).abs().square().sum(0)


def _transform(values: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Of twice the length, so that the few frequencies of a small kernel are told apart."""
    return torch.fft.fftn(values.double(), s=[2 * values.shape[axis] for axis in axes], dim=axes)


def _above(power: Tensor, shares: list[float]) -> Tensor:
    """Where a frequency exceeds ``shares`` of half the sampling rate of the measurement, on any axis."""
    found = torch.zeros_like(power, dtype=torch.bool)
    for axis, (length, share) in enumerate(zip(power.shape, shares, strict=True)):
        frequency = torch.fft.fftfreq(length, device=power.device).abs()
        shape = [-1 if other == axis else 1 for other in range(power.dim())]
        found |= (frequency > share / 2).view(shape)
    return found
