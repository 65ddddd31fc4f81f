"""Bounds and measurements of the frequencies that kernels hold, against what their grid can carry.

Frequencies are in Hz per unit of the [-1, 1] coordinate.
"""

from dataclasses import dataclass

import torch
from torch import nn

from ..generators import MultiplicativeGenerator
from ..layers import ContinuousConv
from ..regularisers import frequency_axes, select_axes, window_frequency
from .spectrum import energy_above_nyquist


@dataclass(frozen=True)
class LayerFrequencies:
    """What one layer's kernels hold, Hz per unit coordinate.

    Attributes:
        nyquist: highest frequency that the grid carries, on its coarsest axis.
        generator: bound of the generator, None where there is none in closed form.
        window: bound of the window, None without one.
        energy_above: share of the kernels' energy above Nyquist, measured on a finer grid.
    """

    nyquist: float
    generator: float | None
    window: float | None
    energy_above: float

    @property
    def bound(self) -> float | None:
        """Of the whole kernel: a product adds frequencies."""
        return None if self.generator is None else self.generator + (self.window or 0.0)


@torch.no_grad()
def alias_report(model: nn.Module, *, stddevs: float = 2.0) -> dict[str, LayerFrequencies]:
    """Bound, Nyquist frequency and measured energy above it of every layer with a continuous kernel, by name.

    The bound holds for any weights of the network and is far from tight; the measurement is of the kernels as they
    are.

    Raises:
        ValueError: for a model without continuous kernels.

    Example:
        >>> import flexkern
        >>> report = alias_report(flexkern.FlexConv2d(1, 4, kernel_size=33))[""]
        >>> report.generator <= report.nyquist, report.energy_above < 0.05
        (True, True)
    """
    found = {name: module for name, module in model.named_modules() if isinstance(module, ContinuousConv)}
    if not found:
        raise ValueError("`model` has no layer with a continuous kernel.")
    return {name: _frequencies(layer, stddevs) for name, layer in found.items()}


def _frequencies(layer: ContinuousConv, stddevs: float) -> LayerFrequencies:
    axes = frequency_axes(layer) or list(range(layer.dims))
    top, net = None, layer.generator
    if isinstance(net, MultiplicativeGenerator):
        top = select_axes(net.filter_frequencies(stddevs), axes).flatten(1).amax(1).sum().item()
    window = None if layer.window is None else window_frequency([layer], axes, stddevs).item()
    return LayerFrequencies(min(layer.grid.nyquist[axis] for axis in axes), top, window, energy_above_nyquist(layer))
