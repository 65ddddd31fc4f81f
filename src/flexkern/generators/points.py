"""Points: tents around points that move, each output channel with its own."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..functional import pitch
from .base import Generator
from .region import Region

PAPER_SPREAD = {False: 0.05, True: 0.2}
"""Deviation of the first positions in the authors' runs on images, and on sequences (causal)."""


class Points(Generator):
    r"""Average of tents around ``M`` points per output channel ``o``, whose positions, radii and weights are learned.

    .. math:: \psi_{oi}(x) = \frac{\sum_m w_{oim} t_{om}(x)}{\#\{m : t_{om}(x) \ne 0\} + 10^{-6}}, \qquad
              t_{om}(x) = \mathrm{relu}\left(1 - \lVert x - p_{om} \rVert_1 / r_{om}\right)

    The self-moving points of SMPConv (Kim & Park, CVPR 2023). The points of an output channel serve all its input
    channels: ``channels`` is ``out * in``, channel ``o * in + i`` is kernel (o, i), and ``in`` is the ``fan_in`` of
    the region. The kernel jumps by a little where a point begins to cover a sample, because the count does. A point
    that covers no sample gets no gradient.

    Deviations: :math:`r = \exp(\mathrm{log\_radius})` is always positive and a step of the optimiser changes it
    relatively, while the authors clip it to [1e-4, 1] and learn it at a tenth of the learning rate; the readout keeps
    the variance of the signal (theirs has a deviation of 0.02); points start within the initial window where there is
    one. The small ordinary convolution that their layer adds in parallel is not part of a generator.

    Args:
        points: points ``M`` per output channel. Authors: 16 for images, 30 for sequences.
        radius: initial radius in the unit of the [-1, 1] coordinate; two samples of the coarsest axis by default.
            Authors: 0.12 for 33 x 33 samples; 0.002 for 784 and 1024 samples, 0.0002 for 16000.
        spread: standard deviation of the initial positions, drawn from a normal distribution cut at -1 and 1 around
            the middle of the window, without one around 0 or, if causal, +1. The width of the window by default;
            without one the authors' 0.05, or 0.2 if causal, but at least a sample.

    Shape: ``position`` (out, M, D), ``log_radius`` (out, M), ``readout_weight`` (out * in, M).

    Raises:
        ValueError: if an option is not positive or ``channels`` is no multiple of the region's ``fan_in``.

    Example:
        >>> Points(2, 6, points=8, region=Region.whole((9, 9), fan_in=3)).position.shape
        torch.Size([2, 8, 2])
    """

    factored: ClassVar[bool] = False

    def __init__(
        self,
        dims: int,
        channels: int,
        *,
        points: int = 16,
        radius: float | None = None,
        spread: float | None = None,
        region: Region | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        for name, value in (("points", points), ("radius", radius), ("spread", spread)):
            if value is not None and not value > 0:
                raise ValueError(f"`{name}` must be positive, got {value}.")
        super().__init__(
            dims, channels, num_features=points, readout_bias=False, region=region, device=device, dtype=dtype
        )
        fan_in = self.region.fan_in
        if channels % fan_in:
            raise ValueError(f"`channels` must be a multiple of the region's `fan_in`, got {channels} and {fan_in}.")
        self.out_channels = channels // fan_in
        self.initial_radius = 2 * _coarsest(self.region.lengths) if radius is None else radius
        self.initial_spread = _default_spread(self.region) if spread is None else (spread,) * dims
        self.position = nn.Parameter(self.readout_weight.new_empty(self.out_channels, points, dims))
        self.log_radius = nn.Parameter(self.readout_weight.new_empty(self.out_channels, points))
        self.reset_parameters()

    @property
    def radius(self) -> Tensor:  # shape: (out, M)
        """Radii in the unit of the [-1, 1] coordinate, always positive."""
        return self.log_radius.exp()

    def features_per_output(self, points: Tensor) -> Tensor:  # (D, P) -> (out, M, P)
        """The tents over their count, in the precision of ``points``, also when parameters are held in half."""
        distance = points.new_zeros(())
        for row, centre in zip(points, self.position.to(points.dtype).unbind(-1), strict=True):
            distance = distance + (row - centre[..., None]).abs()
        tents = torch.relu(1 - distance / self.log_radius.to(points.dtype).exp()[..., None])
        covering = (tents > 0).sum(1, keepdim=True, dtype=tents.dtype)  # an integer plus 1e-6 would be float32
        return tents / (covering + 1e-6)

    def features_at(self, points: Tensor) -> Tensor:  # (D, P) -> (M, P)
        """The features of the only output channel.

        Raises:
            ValueError: if there are several, which differ.
        """
        if self.out_channels != 1:
            raise ValueError(
                f"features differ by output channel ({self.out_channels} of them): call `features_per_output`."
            )
        return self.features_per_output(points)[0]

    def forward(self, positions: Tensor) -> Tensor:  # (D, *K) -> (C, *K)
        self.check_positions(positions)
        features = self.features_per_output(positions.flatten(1))
        readout = self.readout_weight.to(features.dtype).unflatten(0, (self.out_channels, -1))
        return (readout @ features).flatten(0, 1).unflatten(-1, positions.shape[1:])

    def reset_features(self) -> None:
        # Drawn in single precision: not every device has the inverse error function in half.
        drawn = torch.empty_like(self.position, dtype=torch.float32)
        middle = self.region.centre or (float(self.region.causal),) * self.dims
        for axis, centre, spread in zip(drawn.unbind(-1), middle, self.initial_spread, strict=True):
            nn.init.trunc_normal_(axis, centre, spread, -1.0, 1.0)
        self.position.copy_(drawn)
        self.log_radius.fill_(math.log(self.initial_radius))

    def _initial_features(self) -> Tensor:  # (out * M, P)
        # As many rows as all output channels have together, with the mean energy of one.
        dtype = torch.promote_types(self.readout_weight.dtype, torch.float32)
        positions = self.region.positions(self.readout_weight.device, dtype)
        features = self.features_per_output(positions.flatten(1)) * self.region.window(positions).flatten()
        return features.flatten(0, 1) / math.sqrt(self.out_channels)


def _coarsest(lengths: tuple[int, ...]) -> float:
    """Distance of samples on the coarsest axis; an axis of one sample has none unless all are such."""
    return max((pitch(k) for k in lengths if k > 1), default=pitch(1))


def _default_spread(region: Region) -> tuple[float, ...]:
    """The width of the window; without one that of the authors, but a sample where the grid is coarse."""
    least = PAPER_SPREAD[region.causal]
    return region.width or tuple(max(least, pitch(k)) if k > 1 else least for k in region.lengths)
