"""The recursion that MAGNet, GaborNet and FourierNet share (multiplicative filter networks)."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from ..functional.gabor import sine_atoms
from .base import Generator


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
    """

    def __init__(self, dims: int, channels: int, *, hidden: int, layers: int, input_scale: float, **base: Any) -> None:
        if layers < 0:
            raise ValueError(f"`layers` must not be negative, got {layers}.")
        if not input_scale > 0:
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

    def filter_frequencies(self, stddevs: float = 1.0) -> Tensor:
        """Top frequency of every filter's atoms, shape (L + 1, H, D), in Hz per unit coordinate."""
        raise NotImplementedError

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
        bound = self.input_scale / math.sqrt((self.layers + 1) * self.dims)
        self.wave_vector.uniform_(-bound, bound)
        self.phase.uniform_(-math.pi, math.pi)
        bound = 1 / math.sqrt(self.num_features)
        self.mixing_weight.uniform_(-bound, bound)
        self.mixing_bias.uniform_(-bound, bound)
