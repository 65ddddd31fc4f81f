"""A penalty on kernel frequencies above what the grid can represent.

Frequencies are in Hz per unit of the [-1, 1] coordinate. Shapes: ``N`` layers, ``n = L + 1`` filters of a generator,
``H`` atoms of a filter, ``D`` axes.
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
    r"""Return the squared excess of the kernels' top frequencies over the Nyquist frequency, summed over layers.

    .. math::
        \text{together:}\ \sum_{l=1}^{n} \max(f^+_l + (f^+_w - f_N) / n,\, 0)^2, \qquad
        \text{summed:}\ \max(\textstyle\sum_l f^+_l + f^+_w - f_N,\, 0)^2

    with :math:`f^+_l = \max_{j,a} (|W_{lja}| + h \gamma_{lja}) / 2\pi` of every filter, :math:`f^+_w = h / (2\pi
    \min_a \sigma_a)` of the window and :math:`f_N = (k - 1) / 4`. Add it to the loss; the published runs use a weight
    of 0.1. Layers of equal sizes are one tensor expression, and no value is read back from the device.

    Romero et al. 2022: their "naive" Eq. 25 is "summed", their runs used "together". Deviations:

    - ``bound="separate"`` is theirs. It takes the maxima of ``W`` and ``gamma`` separately, over atoms that need not be
      the same.
    - Where axes have different Nyquist frequencies, each axis is compared with its own; the window's frequency is that
      of the axis where it is narrowest. Axes of one sample are left out.
    - The default window, lowered so that it ends at zero, has a spectrum about 12 % wider than the Gaussian of the
      formula. The penalty is the published one.

    Args:
        model: its layers with MAGNet, GaborNet or FourierNet count; other generators have no bandwidth in closed form.
        resolution: samples per axis whose Nyquist frequency is the limit; by default each layer's own grid.
        method: "together" divides the limit equally among filters, "summed" limits their sum.
        window: whether to include the window's frequency.
        stddevs: standard deviations at which Gaussian spectra are cut, ``h``.
        bound: "atom" or "separate", see above.

    Raises:
        ValueError: if the model has no such generator, or an argument is wrong.

    Example:
        >>> import flexkern
        >>> layer = flexkern.FlexConv2d(1, 4, kernel_size=33, generator=flexkern.MAGNet(input_scale=25.6))
        >>> bool(alias_penalty(layer) > 0), alias_penalty(flexkern.FlexConv2d(1, 4, 33), window=False).item()
        (True, 0.0)
    """
    _check_choice("method", method, METHODS)
    _check_choice("bound", bound, BOUNDS)
    if resolution is not None and resolution < 2:
        raise ValueError(f"`resolution` must be at least 2 samples, got {resolution}.")
    penalties = []
    for layers in _group_alike(model):
        penalty = _penalty(layers, resolution, method=method, window=window, stddevs=stddevs, bound=bound)
        penalties.append(penalty)
    return torch.stack(penalties).sum()


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(choices)}, got {value!r}.")


def _group_alike(model: nn.Module) -> Iterable[Layers]:
    """Return the layers with a known bandwidth, in groups of equal shapes and grids."""
    groups: dict[Hashable, Layers] = defaultdict(list)
    for layer in band_limited(model).values():
        generator = layer.generator
        waves = generator.wave_vector
        envelopes = None if generator.inverse_width is None else generator.inverse_width.shape
        widths = None if layer.window is None else layer.window.log_width.shape
        key = (layer.grid, waves.shape, envelopes, widths, waves.device, waves.dtype)
        groups[key].append(layer)
    if not groups:
        raise ValueError(
            "`model` has no layer whose bandwidth is known in closed form; use generator='magnet', 'gabornet' or "
            "'fouriernet'."
        )
    return groups.values()


def band_limited(model: nn.Module) -> dict[str, ContinuousConv]:
    """Return the layers with more than one sample whose generator has a bandwidth in closed form, by name."""
    layers = {}
    for name, module in model.named_modules():
        if not isinstance(module, ContinuousConv):
            continue
        has_bandwidth = isinstance(module.generator, MultiplicativeGenerator)
        if has_bandwidth and max(module.grid.trained_lengths) > 1:
            layers[name] = module
    return layers


def _penalty(
    layers: Layers,
    resolution: int | None,
    *,
    method: str,
    window: bool,
    stddevs: float,
    bound: str,
) -> Tensor:
    """Return the penalty of layers of equal shapes and grids."""
    generators = [cast(MultiplicativeGenerator, layer.generator) for layer in layers]
    axes = frequency_axes(layers[0])
    filters = generators[0].layers + 1
    limits = []
    for axis in axes:
        limit = layers[0].grid.nyquist[axis] if resolution is None else nyquist(resolution)
        limits.append(limit / filters)
    excess = _filter_excess(generators, axes, limits, stddevs, bound)  # (N, n)
    if window and layers[0].window is not None:
        frequency = window_frequency(layers, axes, stddevs)
        excess = excess + frequency[:, None] / filters
    if method == "summed":
        excess = excess.sum(1)
    return excess.clamp_min(0).square().sum()


def _filter_excess(
    generators: list[MultiplicativeGenerator],
    axes: list[int],
    limits: list[float],
    stddevs: float,
    bound: str,
) -> Tensor:  # shape: (N, n)
    """Return the excess of every filter's top frequency over its limit, on the axis where that is largest."""
    waves = torch.stack([generator.wave_vector for generator in generators])  # (N, n, H, D)
    sines = sine_frequency(waves)
    widths = [generator.inverse_width for generator in generators]
    if widths[0] is None:
        return _largest_excess(sines, axes, limits)
    envelopes = gaussian_frequency(torch.stack(cast(list[Tensor], widths)), stddevs)
    if bound == "atom":
        return _largest_excess(sines + envelopes, axes, limits)
    if envelopes.shape[-1] > 1:
        envelopes = select_axes(envelopes, axes)
    return _largest_excess(sines, axes, limits) + envelopes.flatten(2).amax(2)


def _largest_excess(frequencies: Tensor, axes: list[int], limits: list[float]) -> Tensor:  # (N, n, H, D) -> (N, n)
    """Return the excess of the top frequency over its limit, on the axis where that is largest."""
    per_axis = frequencies.amax(2)
    excesses = []
    for axis, limit in zip(axes, limits, strict=True):
        excesses.append(per_axis[..., axis] - limit)
    return torch.stack(excesses).amax(0)


def window_frequency(layers: Layers, axes: list[int], stddevs: float) -> Tensor:  # shape: (N,)
    """Return the top frequency of each layer's window, on the axis, and in the channel, where it is narrowest."""
    widths = torch.stack([layer.window.width for layer in layers if layer.window is not None])
    narrowest = select_axes(widths, axes).flatten(1).amin(1)
    return gaussian_frequency(1 / narrowest, stddevs)


def select_axes(values: Tensor, axes: list[int]) -> Tensor:  # (..., D) -> (..., number of axes)
    """Return the values of these axes.

    A list used as an index would be copied to the device, and the program would wait for it.
    """
    return torch.stack([values[..., axis] for axis in axes], -1)


def frequency_axes(layer: ContinuousConv) -> list[int]:
    """Return the axes along which the kernel has more than one sample: only these have frequencies."""
    return [axis for axis, length in enumerate(layer.grid.trained_lengths) if length > 1]
