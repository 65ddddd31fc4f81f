"""A penalty on kernel frequencies above what the grid can carry.

Frequencies are in Hz per unit of the [-1, 1] coordinate. ``n = L + 1`` counts the filters of a generator.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import cast

import torch
from torch import Tensor, nn

from ..functional import gaussian_frequency, nyquist, sine_frequency
from ..generators import MultiplicativeGenerator
from ..layers import ContinuousConv

METHODS = ("together", "summed")
BOUNDS = ("atom", "separate")
Layers = list[ContinuousConv]


def alias_penalty(
    model: nn.Module,
    resolution: int | None = None,
    *,
    method: str = "together",
    window: bool = True,
    stddevs: float = 2.0,
    bound: str = "atom",
) -> Tensor:
    r"""Squared excess of the kernels' top frequencies over the Nyquist frequency, summed over layers.

    .. math::
        \text{together:}\ \sum_{l=1}^{n} \max(f^+_l + (f^+_w - f_N) / n,\, 0)^2, \qquad
        \text{summed:}\ \max(\textstyle\sum_l f^+_l + f^+_w - f_N,\, 0)^2

    with :math:`f^+_l = \max_{j,a} (|W_{lja}| + h \gamma_{lja}) / 2\pi` of every filter, :math:`f^+_w = h / (2\pi
    \min_a \sigma_a)` of the window and :math:`f_N = (k - 1) / 4`. Add it to the loss, in the published runs 0.1 times.
    Layers of equal sizes are one tensor expression; nothing is read back from the device.

    Romero et al. 2022 (their "naive" Eq. 25 is "summed"; their runs used "together"). Deviations: ``bound="separate"``
    is theirs, which takes the maxima of ``W`` and ``gamma`` apart, over atoms that need not be the same; where axes
    have different Nyquist frequencies, each is held against its own, with the frequency of the window on the axis where
    it is narrowest; one-sample axes are left out. The default window, lowered so that it ends at zero, has a spectrum
    some 12 % wider than the Gaussian of the formula; the penalty stays the published one.

    Args:
        model: layers without a generator of known bandwidth (MAGNet, GaborNet, FourierNet) are passed over.
        resolution: samples per axis whose Nyquist frequency is the limit; by default each layer's own grid.
        method: "together" shares the limit among filters, "summed" leaves that open.
        window: whether the window's frequency counts.
        stddevs: where Gaussian spectra are cut, ``h``.
        bound: "atom" or "separate".

    Raises:
        ValueError: for a model without such generators, or a wrong argument.

    Example:
        >>> import flexkern
        >>> layer = flexkern.FlexConv2d(1, 4, kernel_size=33, generator=flexkern.MAGNet(input_scale=25.6))
        >>> bool(alias_penalty(layer) > 0), alias_penalty(flexkern.FlexConv2d(1, 4, 33), window=False).item()
        (True, 0.0)
    """
    for name, value, known in (("method", method, METHODS), ("bound", bound, BOUNDS)):
        if value not in known:
            raise ValueError(f"`{name}` must be one of {', '.join(known)}, got {value!r}.")
    if resolution is not None and resolution < 2:
        raise ValueError(f"`resolution` must be at least 2 samples, got {resolution}.")
    total = [
        _penalty(layers, resolution, method=method, window=window, stddevs=stddevs, bound=bound)
        for layers in _alike(model)
    ]
    return torch.stack(total).sum()


def _alike(model: nn.Module) -> Iterable[Layers]:
    """Layers with a bandwidth, in groups of equal shapes and grids."""
    groups: dict[Hashable, Layers] = defaultdict(list)
    for layer in band_limited(model).values():
        net = layer.generator
        envelopes = None if net.inverse_width is None else net.inverse_width.shape
        widths = None if layer.window is None else layer.window.log_width.shape
        where = (net.wave_vector.device, net.wave_vector.dtype)
        groups[layer.grid, net.wave_vector.shape, envelopes, widths, where].append(layer)
    if not groups:
        raise ValueError(
            "`model` has no layer whose bandwidth is known in closed form; use generator='magnet', 'gabornet' or "
            "'fouriernet'."
        )
    return groups.values()


def band_limited(model: nn.Module) -> dict[str, ContinuousConv]:
    """Layers whose generator has a bandwidth in closed form and whose kernel has more than one sample, by name."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, ContinuousConv)
        and isinstance(module.generator, MultiplicativeGenerator)
        and max(module.grid.trained_lengths) > 1
    }


def _penalty(
    layers: Layers, resolution: int | None, *, method: str, window: bool, stddevs: float, bound: str
) -> Tensor:
    """Of layers that are alike."""
    nets = [cast(MultiplicativeGenerator, layer.generator) for layer in layers]
    axes = frequency_axes(layers[0])
    limits = [layers[0].grid.nyquist[axis] if resolution is None else nyquist(resolution) for axis in axes]
    filters = nets[0].layers + 1
    excess = _filter_excess(nets, axes, [limit / filters for limit in limits], stddevs, bound)  # (N, n)
    if window and layers[0].window is not None:
        excess = excess + window_frequency(layers, axes, stddevs)[:, None] / filters
    if method == "summed":
        excess = excess.sum(1)
    return excess.clamp_min(0).square().sum()


def _filter_excess(
    nets: list[MultiplicativeGenerator], axes: list[int], limits: list[float], stddevs: float, bound: str
) -> Tensor:  # shape: (N, n)
    """Top frequency of every filter over its share of the limit, on the axis where that is most."""
    waves = torch.stack([net.wave_vector for net in nets])  # (N, n, H, D)
    widths = [net.inverse_width for net in nets]
    sines = sine_frequency(waves)
    if widths[0] is None:
        return _most(sines, axes, limits)
    envelopes = gaussian_frequency(torch.stack(cast(list[Tensor], widths)), stddevs)
    if bound == "atom":
        return _most(sines + envelopes, axes, limits)
    apart = envelopes if envelopes.shape[-1] == 1 else select_axes(envelopes, axes)
    return _most(sines, axes, limits) + apart.flatten(2).amax(2)


def _most(frequencies: Tensor, axes: list[int], limits: list[float]) -> Tensor:  # (N, n, H, D) -> (N, n)
    per_axis = frequencies.amax(2)
    return torch.stack([per_axis[..., axis] - limit for axis, limit in zip(axes, limits, strict=True)]).amax(0)


def window_frequency(layers: Layers, axes: list[int], stddevs: float) -> Tensor:  # shape: (N,)
    """Of the narrowest axis, and channel."""
    widths = torch.stack([layer.window.width for layer in layers if layer.window is not None])
    return gaussian_frequency(1 / select_axes(widths, axes).flatten(1).amin(1), stddevs)


def select_axes(values: Tensor, axes: list[int]) -> Tensor:  # (..., D) -> (..., number of axes)
    """Values of these axes; a list as an index would be copied to the device, which waits for it."""
    return torch.stack([values[..., axis] for axis in axes], -1)


def frequency_axes(layer: ContinuousConv) -> list[int]:
    """Axes along which the kernel has more than one sample: only these have frequencies."""
    return [axis for axis, length in enumerate(layer.grid.trained_lengths) if length > 1]
