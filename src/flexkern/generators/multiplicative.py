"""The recursion that MAGNet, GaborNet and FourierNet share (multiplicative filter networks)."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from ..functional import Grid, gabor_frequency, sine_atoms, sine_frequency
from .base import Generator

PAPER_INPUT_SCALE = 25.6
"""``input_scale`` of Romero et al. 2022 for kernels of images."""
STDDEVS = 2.0
"""Standard deviations at which Gaussian spectra are cut for the bound at the start, as in the authors' runs."""
ENVELOPE_SHARE = 0.05
"""Largest share of a redrawn filter's bandwidth that envelopes take; the window localises the kernel anyway."""


class MultiplicativeGenerator(Generator):
    r"""Sine or Gabor filters, multiplied layer by layer.

    .. math:: h_0 = g_0(x), \qquad h_l = g_l(x) \odot (A_l h_{l-1} + c_l), \quad l = 1 .. L

    The features are ``h_L`` (Fathony et al. 2021; Romero et al. 2022). ``layers = L`` counts the linear maps, so there
    are ``L + 1`` filters. Their parameters are stacked along a first axis of length ``L + 1``, and all filters are
    evaluated in one call.

    Args:
        dims, channels: see :class:`Generator`.
        hidden: atoms ``H`` per filter, which is also the number of features ``M``.
        layers: linear maps ``L`` between filters; 0 leaves a single filter.
        input_scale: bandwidth at the start: wave vectors are drawn in proportion to ``input_scale / sqrt(L + 1)``.
            With None, the default, they are drawn with 25.6, as by the authors. Filters above their share
            ``1 / (L + 1)`` of the Nyquist frequency are then redrawn uniformly within it, so :meth:`bandwidth` starts
            at or below the Nyquist frequency. The authors' start about five times above it for kernels of images.
        base: ``region``, ``device`` and ``dtype``, see :class:`Generator`.

    Raises:
        ValueError: if ``layers`` is negative or ``input_scale`` is not positive.

    Example:
        >>> from flexkern.generators import FourierNet
        >>> generator = FourierNet(2, 4, hidden=8, layers=2)
        >>> generator.wave_vector.shape, generator.mixing_weight.shape
        (torch.Size([3, 8, 2]), torch.Size([2, 8, 8]))
    """

    def __init__(
        self,
        dims: int,
        channels: int,
        *,
        hidden: int,
        layers: int,
        input_scale: float | None,
        **base: Any,
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
        """Return all filters ``g_l`` at points of shape ``(D, P)``, shape ``(L + 1, H, P)``."""
        return sine_atoms(points, self.wave_vector, self.phase)

    @property
    def inverse_width(self) -> Tensor | None:
        """Inverse width of every atom's envelope as it counts in the spectrum; None for plane waves.

        The shape is ``(L + 1, H, D)`` or ``(L + 1, H, 1)``.
        """
        return None

    def filter_frequencies(self, stddevs: float = 1.0) -> Tensor:
        r"""Return the top frequency of every atom and axis, shape ``(L + 1, H, D)``, in Hz per unit coordinate.

        :math:`f^+_{lja} = (|W_{lja}| + h \gamma_{lja}) / 2\pi`, and :math:`|W_{lja}| / 2\pi` for plane waves.

        Args:
            stddevs: number ``h`` of standard deviations at which the spectrum of an envelope is cut.
        """
        if self.inverse_width is None:
            return sine_frequency(self.wave_vector)
        return gabor_frequency(self.wave_vector, self.inverse_width, stddevs)

    def features_at(self, points: Tensor) -> Tensor:  # (D, P) -> (H, P)
        filters = self.filters_at(points)
        hidden = filters[0]
        layers = zip(self.mixing_weight, self.mixing_bias, filters[1:], strict=True)
        for weight, bias, filter_ in layers:
            mixed = torch.addmm(bias[:, None], weight, hidden)
            hidden = filter_ * mixed
        return hidden

    def bandwidth(self, stddevs: float = 1.0) -> Tensor:
        r"""Return the top frequency :math:`f^+ = \sum_l \max_{j,a} f^+_{lja}`, in Hz per unit coordinate.

        Romero et al. 2022. It is a differentiable upper bound: a product adds frequencies, mixing adds none.

        Args:
            stddevs: number of standard deviations at which the spectra of envelopes are cut.
        """
        per_filter = self.filter_frequencies(stddevs).flatten(1).amax(dim=1)
        return per_filter.sum()

    def reset_features(self) -> None:
        # The authors' distributions: torch's default for a pointwise map of D inputs, scaled.
        input_scale = self.input_scale or PAPER_INPUT_SCALE
        bound = input_scale / math.sqrt((self.layers + 1) * self.dims)
        self.wave_vector.uniform_(-bound, bound)
        self.phase.uniform_(-math.pi, math.pi)
        bound = 1 / math.sqrt(self.num_features)
        self.mixing_weight.uniform_(-bound, bound)
        self.mixing_bias.uniform_(-bound, bound)
        self.place_atoms()
        if self.input_scale is None:
            self._start_below_nyquist()

    def place_atoms(self) -> None:
        """Draw the remaining parameters of the filters; this may scale the wave vectors."""

    def narrow_spectra(self, factor: Tensor) -> None:
        """Multiply the inverse widths of every filter's atoms by ``factor`` of shape ``(L + 1, 1, 1)``."""
        raise NotImplementedError

    def _start_below_nyquist(self) -> None:
        """Redraw the filters that exceed their share of the Nyquist frequency, uniformly within that share.

        If these filters were scaled down instead, all atoms except the one that sets the bound would be nearly
        constant, and so would the kernels.
        """
        share = self._nyquist_shares()
        frequencies = self.filter_frequencies(STDDEVS).amax(1)
        exceeds = (frequencies > share).any(-1)[:, None, None]
        available = 2 * math.pi * share  # radians per unit coordinate
        if self.inverse_width is not None:
            largest = STDDEVS * self.inverse_width.flatten(1).amax(1)[:, None, None]
            factor = ENVELOPE_SHARE * available.min() / largest
            self.narrow_spectra(torch.where(exceeds, factor.clamp(max=1), 1))
            available = available - STDDEVS * self.inverse_width
        uniform = torch.empty_like(self.wave_vector).uniform_(-1, 1)
        redrawn = torch.where(exceeds, uniform * available, self.wave_vector)
        self.wave_vector.copy_(redrawn)

    def _nyquist_shares(self) -> Tensor:  # (D,)
        """Return the share of the Nyquist frequency per filter and axis, in Hz per unit coordinate."""
        lengths = self.region.lengths
        limits = Grid(lengths, self.region.causal).nyquist
        # The value for an axis of one sample has no meaning: raise it to the lowest of the other axes.
        proper = [limit for limit, length in zip(limits, lengths, strict=True) if length > 1]
        lowest = min(proper, default=min(limits))
        raised = [max(limit, lowest) for limit in limits]
        return self.wave_vector.new_tensor(raised) / (self.layers + 1)
