"""The recursion that MAGNet, GaborNet and FourierNet share (multiplicative filter networks)."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from ..functional import Grid, gabor_frequency, sine_atoms, sine_frequency
from .base import Generator

DRAWN_SCALE = 25.6
"""The authors' ``input_scale`` for kernels of images."""
STDDEVS = 2.0
"""Where Gaussian spectra are cut for the bound that the initialisation keeps (as in the authors' runs)."""
ENVELOPES = 0.05
"""Largest part of a filter's bound that envelopes take where it is drawn anew; the window localises kernels anyway."""


class MultiplicativeGenerator(Generator):
    r"""Sine or Gabor filters, multiplied layer by layer.

    .. math:: h_0 = g_0(x), \qquad h_l = g_l(x) \odot (A_l h_{l-1} + c_l), \quad l = 1 .. L

    The features are ``h_L``. ``layers = L`` counts the linear maps, so there are ``L + 1`` filters
    (Fathony et al. 2021; Romero et al. 2022). All filters are evaluated in one go: their
    parameters are stacked along a first axis of ``L + 1``.

    Args:
        hidden: features ``H`` per filter, and the number of features ``M``.
        layers: linear maps ``L`` between filters; 0 leaves a single filter.
        input_scale: bandwidth at the start; wave vectors are drawn proportional to ``input_scale / sqrt(L + 1)``.
            None (the default) draws as the authors do, with 25.6, and then draws filters anew that exceed an equal
            share of the Nyquist frequency of the grid: wave vectors fill that share evenly. So :meth:`bandwidth` starts
            at most at Nyquist; the authors' starts about five times above it for kernels of images.
    """

    def __init__(
        self, dims: int, channels: int, *, hidden: int, layers: int, input_scale: float | None, **base: Any
    ) -> None:
        if layers < 0:
            raise ValueError(f"`layers` must not be negative, got {layers}.")
        if input_scale is not None and not input_scale > 0:
            raise ValueError(f"`input_scale` must be positive, got {input_scale}.")
        super().__init__(dims, channels, num_features=hidden, **base)
        self.layers = layers
        self.input_scale = input_scale
        empty = self.readout_weight.new_empty
        self.wave_vector = nn.Parameter(empty(layers + 1, hidden, dims))
        self.phase = nn.Parameter(empty(layers + 1, hidden))
        self.mixing_weight = nn.Parameter(empty(layers, hidden, hidden))
        self.mixing_bias = nn.Parameter(empty(layers, hidden))

    def filters_at(self, points: Tensor) -> Tensor:  # (D, P) -> (L + 1, H, P)
        """All filters ``g_l`` at a list of points."""
        return sine_atoms(points, self.wave_vector, self.phase)

    @property
    def inverse_width(self) -> Tensor | None:  # (L + 1, H, D) or (L + 1, H, 1)
        """Of every atom's envelope, as its spectrum has it; None for plane waves."""
        return None

    def filter_frequencies(self, stddevs: float = 1.0) -> Tensor:
        r"""Top frequency of every filter's atoms, shape (L + 1, H, D), in Hz per unit coordinate.

        :math:`f^+_{lja} = (|W_{lja}| + h \gamma_{lja}) / 2\pi`, the window of an atom being cut ``h`` = ``stddevs``
        standard deviations out in its spectrum.
        """
        if self.inverse_width is None:
            return sine_frequency(self.wave_vector)
        return gabor_frequency(self.wave_vector, self.inverse_width, stddevs)

    def features_at(self, points: Tensor) -> Tensor:  # (D, P) -> (H, P)
        filters = self.filters_at(points)
        hidden = filters[0]
        for weight, bias, filter_ in zip(self.mixing_weight, self.mixing_bias, filters[1:], strict=True):
            hidden = filter_ * torch.addmm(bias[:, None], weight, hidden)
        return hidden

    def bandwidth(self, stddevs: float = 1.0) -> Tensor:
        r"""Top frequency :math:`f^+ = \sum_l \max_{j,a} f^+_{lja}`: a product adds frequencies, mixing adds none.

        Romero et al. 2022. A bound, in Hz per unit coordinate; differentiable.
        """
        return self.filter_frequencies(stddevs).flatten(1).amax(dim=1).sum()

    def reset_features(self) -> None:
        # The authors' distributions: torch's default for a pointwise map of D inputs, scaled.
        bound = (self.input_scale or DRAWN_SCALE) / math.sqrt((self.layers + 1) * self.dims)
        self.wave_vector.uniform_(-bound, bound)
        self.phase.uniform_(-math.pi, math.pi)
        bound = 1 / math.sqrt(self.num_features)
        self.mixing_weight.uniform_(-bound, bound)
        self.mixing_bias.uniform_(-bound, bound)
        self.place_atoms()
        if self.input_scale is None:
            self._start_below_nyquist()

    def place_atoms(self) -> None:
        """Draw what else filters have; wave vectors may be scaled."""

    def _start_below_nyquist(self) -> None:
        """Draw filters anew that exceed their share, their atoms' frequencies evenly up to it.

        Scaled down instead, all atoms but the one that set the bound would be nearly constant, and so the kernels.
        """
        limits = Grid(self.region.lengths, self.region.causal).nyquist
        seen = [limit for limit, length in zip(limits, self.region.lengths, strict=True) if length > 1] or limits
        share = self.wave_vector.new_tensor([max(limit, min(seen)) for limit in limits]) / (self.layers + 1)
        over = (self.filter_frequencies(STDDEVS).amax(1) > share).any(-1)[:, None, None]
        room = 2 * math.pi * share
        if self.inverse_width is not None:
            largest = STDDEVS * self.inverse_width.flatten(1).amax(1)[:, None, None]
            self.narrow_spectra(torch.where(over, (ENVELOPES * room.min() / largest).clamp(max=1), 1))
            room = room - STDDEVS * self.inverse_width
        drawn = torch.empty_like(self.wave_vector).uniform_(-1, 1) * room
        self.wave_vector.copy_(torch.where(over, drawn, self.wave_vector))

    def narrow_spectra(self, factor: Tensor) -> None:  # (L + 1, 1, 1)
        """Multiply the inverse widths of every filter's atoms."""
        raise NotImplementedError
