"""MAGNet: products of anisotropic Gabor atoms."""

import math

import torch
from torch import Tensor, nn

from ..functional import gabor_atoms
from .gabornet import ALPHA, draw_atoms
from .multiplicative import MultiplicativeGenerator
from .region import Region


class MAGNet(MultiplicativeGenerator):
    r"""Multiplicative anisotropic Gabor network, with one inverse width ``gamma`` per atom and axis.

    .. math:: g_{lj}(x) = \exp\left(-\tfrac12 \sum_a \gamma_{lja}^2 (x_a - \mu_{lja})^2\right) \sin(W_{lj} x + b_{lj})

    Romero et al. 2022. At the start, :math:`\gamma_l \sim \mathrm{Gamma}(6 / (l + 1), 1)`, so atoms widen with depth.
    Wave vectors are proportional to ``gamma``, and centres are uniform where the kernel is sampled (``region``).

    Deviations: filters above their share of the Nyquist frequency of the grid are redrawn below it, with wide atoms;
    ``input_scale=25.6`` draws them as the authors do. The readout preserves the variance of the signal, where the
    authors use torch's default for a linear map. Centres follow a causal window to +1.

    Args:
        dims, channels, hidden, layers, input_scale, region, device, dtype: see :class:`MultiplicativeGenerator`.
        rotated: whether each atom is rotated by a learned angle; for two dimensions only.

    Shape:
        Positions ``(D, *K)`` to values ``(channels, *K)``.

    Raises:
        ValueError: if ``rotated`` is true and ``dims`` is not 2; see also :class:`MultiplicativeGenerator`.

    Example:
        >>> MAGNet(2, channels=4, hidden=8)(torch.zeros(2, 3, 5)).shape
        torch.Size([4, 3, 5])
    """

    angle: nn.Parameter | None

    def __init__(
        self,
        dims: int,
        channels: int,
        *,
        hidden: int = 32,
        layers: int = 3,
        input_scale: float | None = None,
        rotated: bool = False,
        region: Region | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if rotated and dims != 2:
            raise ValueError(f"`rotated` needs two dimensions, got dims={dims}.")
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
        self.gamma = nn.Parameter(empty(layers + 1, hidden, dims))
        self.mu = nn.Parameter(empty(layers + 1, hidden, dims))
        angle = nn.Parameter(empty(layers + 1, hidden)) if rotated else None
        self.register_parameter("angle", angle)
        self.reset_parameters()

    def filters_at(self, points: Tensor) -> Tensor:  # (D, P) -> (L + 1, H, P)
        return gabor_atoms(points, self.wave_vector, self.phase, self.gamma, self.mu, self.angle)

    @property
    def inverse_width(self) -> Tensor:
        if self.angle is None:
            return self.gamma
        # A rotated envelope is at most as wide in the spectrum as along its widest axis.
        return self.gamma.abs().amax(dim=-1, keepdim=True)

    def narrow_spectra(self, factor: Tensor) -> None:
        self.gamma.mul_(factor)

    def place_atoms(self) -> None:
        shapes = [ALPHA / (layer + 1) for layer in range(self.layers + 1)]
        draw_atoms(self, self.gamma, self.mu, shapes)
        if self.angle is not None:
            self.angle.uniform_(0, 2 * math.pi)
