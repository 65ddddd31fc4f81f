"""GaborNet: products of isotropic Gabor atoms."""

import torch
from torch import Tensor, nn

from ..functional import gabor_atoms
from .multiplicative import MultiplicativeGenerator
from .region import Region

ALPHA = 6.0
"""Shape of the Gamma distribution of inverse widths (Fathony et al. 2021)."""
BETA = 1.0
"""Rate of the Gamma distribution of inverse widths (Fathony et al. 2021)."""


class GaborNet(MultiplicativeGenerator):
    r"""Multiplicative network with Gabor filters, one inverse width ``gamma`` per atom.

    .. math:: g_{lj}(x) = \exp\left(-\tfrac12 \gamma_{lj}^2 \|x - \mu_{lj}\|^2\right) \sin(W_{lj} x + b_{lj})

    Fathony et al. 2021. At the start, :math:`\gamma \sim \mathrm{Gamma}(6 / (L + 1), 1)`, wave vectors are
    proportional to ``gamma``, and centres are uniform where the kernel is sampled (``region``).

    Deviation: filters above their share of the Nyquist frequency of the grid are redrawn below it, unless
    ``input_scale`` is given.

    See :class:`MultiplicativeGenerator` for the arguments and errors.

    Shape:
        Positions ``(D, *K)`` to values ``(channels, *K)``.

    Example:
        >>> GaborNet(2, 4, hidden=8)(torch.zeros(2, 3, 5)).shape
        torch.Size([4, 3, 5])
    """

    def __init__(
        self,
        dims: int,
        channels: int,
        *,
        hidden: int = 32,
        layers: int = 3,
        input_scale: float | None = None,
        region: Region | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            dims,
            channels,
            hidden=hidden,
            layers=layers,
            input_scale=input_scale,
            region=region,
            device=device,
            dtype=dtype,
        )
        empty = self.readout_weight.new_empty
        self.gamma = nn.Parameter(empty(layers + 1, hidden, 1))
        self.mu = nn.Parameter(empty(layers + 1, hidden, dims))
        self.reset_parameters()

    def filters_at(self, points: Tensor) -> Tensor:  # (D, P) -> (L + 1, H, P)
        return gabor_atoms(points, self.wave_vector, self.phase, self.gamma, self.mu)

    @property
    def inverse_width(self) -> Tensor:
        return self.gamma

    def narrow_spectra(self, factor: Tensor) -> None:
        self.gamma.mul_(factor)

    def place_atoms(self) -> None:
        num_filters = self.layers + 1
        draw_atoms(self, self.gamma, self.mu, [ALPHA / num_filters] * num_filters)


def draw_atoms(
    generator: MultiplicativeGenerator,
    gamma: Tensor,
    mu: Tensor,
    shapes: list[float],
) -> None:
    """Draw the atoms of ``generator``: fill ``gamma`` and ``mu``, and scale the wave vectors by ``gamma``.

    Args:
        generator: the generator, whose wave vectors are drawn already.
        gamma: inverse widths to fill, shape ``(L + 1, H, D)`` or ``(L + 1, H, 1)``.
        mu: centres to fill, shape ``(L + 1, H, D)``, uniform in the box of the region.
        shapes: per filter the shape of the Gamma distribution of its inverse widths.
    """
    for layer, shape in enumerate(shapes):
        distribution = torch.distributions.Gamma(shape, BETA)
        gamma[layer].copy_(distribution.sample(gamma.shape[1:]))
    generator.wave_vector.mul_(gamma)
    for axis, (low, high) in enumerate(generator.region.box()):
        mu[..., axis].uniform_(low, high)
