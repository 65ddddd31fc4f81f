"""Bounds and measurements of the frequencies in kernels, compared with what their grid can represent.

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
    """The frequencies of one layer's kernels, in Hz per unit coordinate.

    Attributes:
        nyquist: highest frequency that the grid can represent, on its coarsest axis.
        generator: bound of the generator's frequencies, None if it has none in closed form.
        window: bound of the window's frequencies, None without a window.
        energy_above: fraction of the kernels' energy above Nyquist, measured on a finer grid.
    """

    nyquist: float
    generator: float | None
    window: float | None
    energy_above: float

    @property
    def bound(self) -> float | None:
        """Bound of the whole kernel's frequencies: those of factors add up in a product."""
        if self.generator is None:
            return None
        return self.generator + (self.window or 0.0)


@torch.no_grad()
def alias_report(model: nn.Module, *, stddevs: float = 2.0) -> dict[str, LayerFrequencies]:
    """Return the frequencies of every layer with a continuous kernel: bound, Nyquist and measured energy above it.

    The bound is valid for any weights of the generator and far from tight; the measurement is of the current kernels.

    Args:
        model: the model to examine.
        stddevs: standard deviations at which the spectra of Gaussians are cut.

    Raises:
        ValueError: if the model has no continuous kernel.

    Example:
        >>> import flexkern
        >>> report = alias_report(flexkern.FlexConv2d(1, 4, kernel_size=33))[""]
        >>> report.generator <= report.nyquist, report.energy_above < 0.05
        (True, True)
    """
    report = {}
    for name, module in model.named_modules():
        if isinstance(module, ContinuousConv):
            report[name] = _frequencies(module, stddevs)
    if not report:
        raise ValueError("`model` has no layer with a continuous kernel; add one, for instance a FlexConv2d.")
    return report


def _frequencies(layer: ContinuousConv, stddevs: float) -> LayerFrequencies:
    axes = frequency_axes(layer) or list(range(layer.dims))
    generator = None
    if isinstance(layer.generator, MultiplicativeGenerator):
        frequencies = select_axes(layer.generator.filter_frequencies(stddevs), axes)
        generator = frequencies.flatten(1).amax(1).sum().item()
    window = None
    if layer.window is not None:
        window = window_frequency([layer], axes, stddevs).item()
    nyquist = min(layer.grid.nyquist[axis] for axis in axes)
    return LayerFrequencies(nyquist, generator, window, energy_above_nyquist(layer))
