"""Generator times window on a cropped grid: the weight of a layer."""

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
    r"""The kernel :math:`\psi(x) = w(x) \sum_m R_m F_m(x)` at the samples of ``grid`` within ``bounds``.

    Channel ``o * in + i`` of the generator is kernel (o, i). The result stays factored unless the window
    differs by channel or the generator is not ``factored``. Sampling is done in float32 at least, also
    under autocast: a kernel's positions need more than 8 bits. At another resolution than that of training samples
    are weighted by the length each stands for.
    """
    reference = generator.readout_weight
    dtype = torch.promote_types(reference.dtype, torch.float32)
    with autocast_off(reference):
        positions = grid.positions(bounds, device=reference.device, dtype=dtype)
        values = None if window is None else window(positions)
        if grid.weight != 1:
            values = torch.full_like(positions[0], grid.weight) if values is None else values * grid.weight
        if not generator.factored:
            whole = generator(positions).unflatten(0, (out_channels, -1))
            return (whole if values is None else _windowed(whole, values)).to(reference.dtype)
        readout, features = _factors(generator, positions)
        readout = readout.unflatten(0, (out_channels, -1))
        if values is None:
            return FactoredWeight(readout, features.to(reference.dtype))
        if values.dim() == features.dim() - 1:
            return FactoredWeight(readout, (features * values).to(reference.dtype))
        whole = FactoredWeight(readout.to(dtype), features).dense()
        return _windowed(whole, values).to(reference.dtype)


def count_features(generator: Generator, window: GaussianWindow | None) -> int:
    """Features of the factored weight that :func:`sample_weight` gives, 0 where it gives a dense one."""
    if not generator.factored or (window is not None and window.per_channel):
        return 0
    return generator.readout_weight.shape[1] + (generator.readout_bias is not None)


def _factors(generator: Generator, positions: Tensor) -> tuple[Tensor, Tensor]:  # (C, M'), (M', *K)
    """Readout and features; the readout's constant is one more feature that is 1 everywhere."""
    features = evaluate_features(generator, positions)
    if generator.readout_bias is None:
        return generator.readout_weight, features
    readout = torch.cat([generator.readout_weight, generator.readout_bias[:, None]], dim=1)
    return readout, torch.cat([features, torch.ones_like(features[:1])])


def _windowed(whole: Tensor, values: Tensor) -> Tensor:
    """Kernels (out, in, *K) times a window (*K), or (out, *K) if it differs by channel."""
    return whole * (values if values.dim() == whole.dim() - 2 else values[:, None])
