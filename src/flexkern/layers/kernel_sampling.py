"""Sample the weight of a layer: generator times window on a cropped grid."""

import torch
from torch import Tensor

from .._support.precision import autocast_off
from ..engines import FactoredWeight, Weight
from ..functional import Grid
from ..generators import Generator, evaluate_features
from ..windows import Bounds, GaussianWindow


def sample_weight(
    generator: Generator,
    window: GaussianWindow | None,
    grid: Grid,
    bounds: Bounds,
    out_channels: int,
) -> Weight:  # shape: (out, in / groups, *size)
    r"""Return the kernel :math:`\psi(x) = w(x) \sum_m R_m F_m(x)` at the samples of ``grid`` within ``bounds``.

    Channel ``o * in + i`` of the generator is kernel (o, i). The result stays factored unless the window differs by
    channel or the generator is not ``factored``. Sampling uses float32 at least, also under autocast: the positions
    of a kernel need more than 8 bits. At another resolution than that of training, each sample is weighted by the
    length it stands for.
    """
    dtype = generator.readout_weight.dtype
    sampling_dtype = torch.promote_types(dtype, torch.float32)
    with autocast_off(generator.readout_weight):
        positions = grid.positions(bounds, device=generator.readout_weight.device, dtype=sampling_dtype)
        window_values = _window_values(window, grid, positions)
        if not generator.factored:
            weight = generator(positions).unflatten(0, (out_channels, -1))
            return _apply_window(weight, window_values).to(dtype)
        readout, features = _factors(generator, positions)
        readout = readout.unflatten(0, (out_channels, -1))
        if window_values is not None and window_values.dim() == features.dim():  # a window per output channel
            weight = FactoredWeight(readout.to(sampling_dtype), features).dense()
            return _apply_window(weight, window_values).to(dtype)
        if window_values is not None:
            features = features * window_values
        return FactoredWeight(readout, features.to(dtype))


def count_features(generator: Generator, window: GaussianWindow | None) -> int:
    """Return the number of features of the weight that :func:`sample_weight` gives; 0 if that is dense."""
    if not generator.factored or (window is not None and window.per_channel):
        return 0
    return generator.readout_weight.shape[1] + (generator.readout_bias is not None)


def _window_values(window: GaussianWindow | None, grid: Grid, positions: Tensor) -> Tensor | None:
    """Return the window times the weight of a sample at this resolution, or None where both are 1."""
    values = None if window is None else window(positions)
    if grid.weight == 1:
        return values
    if values is None:
        return torch.full_like(positions[0], grid.weight)
    return values * grid.weight


def _factors(generator: Generator, positions: Tensor) -> tuple[Tensor, Tensor]:  # (C, M'), (M', *K)
    """Return readout and features; the bias of the readout belongs to one more feature, which is 1 everywhere."""
    features = evaluate_features(generator, positions)
    if generator.readout_bias is None:
        return generator.readout_weight, features
    readout = torch.cat([generator.readout_weight, generator.readout_bias[:, None]], dim=1)
    return readout, torch.cat([features, torch.ones_like(features[:1])])


def _apply_window(weight: Tensor, window_values: Tensor | None) -> Tensor:
    """Multiply kernels (out, in, *K) with a window (*K), or (out, *K) if it differs by channel."""
    if window_values is None:
        return weight
    if window_values.dim() == weight.dim() - 2:
        return weight * window_values
    return weight * window_values[:, None]
