"""Points: tents around movable points, with separate points for each output channel."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..functional import pitch
from .base import Generator
from .region import Region

PAPER_SPREAD = 0.05
"""Standard deviation of the first positions in the authors' runs on images."""
PAPER_SPREAD_CAUSAL = 0.2
"""Standard deviation of the first positions in the authors' runs on sequences."""


class Points(Generator):
    r"""Average of tents around ``M`` points per output channel ``o``, with learned positions, radii and readout.

    .. math:: \psi_{oi}(x) = \frac{\sum_m w_{oim} t_{om}(x)}{\#\{m : t_{om}(x) \ne 0\} + 10^{-6}}, \qquad
              t_{om}(x) = \mathrm{relu}\left(1 - \lVert x - p_{om} \rVert_1 / r_{om}\right)

    The self-moving points of SMPConv (Kim & Park, CVPR 2023). All input channels of an output channel share its points:
    ``channels`` is ``out * in``, channel ``o * in + i`` is kernel (o, i), and ``in`` is the ``fan_in`` of the region.
    The kernel jumps slightly where a point begins to cover a sample, because the count changes. A point that covers no
    sample gets no gradient.

    Deviations: :math:`r = \exp(\mathrm{log\_radius})` is always positive, and an optimiser step changes it by a factor.
    The authors clip ``r`` to [1e-4, 1] and learn it at a tenth of the learning rate. The readout preserves the variance
    of the signal; theirs has a standard deviation of 0.02. Points start within the initial window, if there is one.
    The small ordinary convolution that their layer adds in parallel is not part of a generator.

    Args:
        dims, channels, region, device, dtype: see :class:`Generator`.
        points: number of points ``M`` per output channel. Authors: 16 for images, 30 for sequences.
        radius: initial radius in the unit of the [-1, 1] coordinate; two samples of the coarsest axis by default.
            Authors: 0.12 for 33 x 33 samples; 0.002 for 784 and 1024 samples, 0.0002 for 16000.
        spread: standard deviation of the initial positions. They are drawn from a normal distribution truncated to
            [-1, 1]. Its mean is the centre of the window; without a window it is 0, or +1 if causal. The default is
            the width of the window; without one it is the authors' value, 0.05 or 0.2 if causal, but at least a sample.

    Shape:
        Positions ``(D, *K)`` to values ``(channels, *K)``. The parameters are ``position`` of shape ``(out, M, D)``,
        ``log_radius`` of shape ``(out, M)`` and ``readout_weight`` of shape ``(out * in, M)``.

    Raises:
        ValueError: if an option is not positive, or ``channels`` is not a multiple of the region's ``fan_in``.

    Example:
        >>> Points(2, 6, points=8, region=Region.whole((9, 9), fan_in=3)).position.shape
        torch.Size([2, 8, 2])
    """

    factored: ClassVar[bool] = False  # features differ by output channel

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
            dims,
            channels,
            num_features=points,
            readout_bias=False,
            region=region,
            device=device,
            dtype=dtype,
        )
        fan_in = self.region.fan_in
        if channels % fan_in:
            raise ValueError(f"`channels` must be a multiple of the region's `fan_in`, got {channels} and {fan_in}.")
        self.out_channels = channels // fan_in
        self.initial_radius = _default_radius(self.region) if radius is None else radius
        self.initial_spread = _default_spread(self.region) if spread is None else (spread,) * dims
        empty = self.readout_weight.new_empty
        self.position = nn.Parameter(empty(self.out_channels, points, dims))
        self.log_radius = nn.Parameter(empty(self.out_channels, points))
        self.reset_parameters()

    @property
    def radius(self) -> Tensor:
        """Radii ``(out, M)`` in the unit of the [-1, 1] coordinate, always positive."""
        return self.log_radius.exp()

    def features_per_output(self, points: Tensor) -> Tensor:  # (D, P) -> (out, M, P)
        """Return the tents divided by their count, shape ``(out, M, P)``, at points of shape ``(D, P)``.

        The result has the precision of ``points``, even if the parameters are in half precision.
        """
        position = self.position.to(points.dtype)
        radius = self.log_radius.to(points.dtype).exp()
        distance = points.new_zeros(())
        for coordinates, centres in zip(points, position.unbind(-1), strict=True):
            offsets = coordinates - centres[..., None]
            distance = distance + offsets.abs()
        tents = torch.relu(1 - distance / radius[..., None])
        # Counted in the dtype of the tents: an integer plus 1e-6 would be float32.
        count = (tents > 0).sum(1, keepdim=True, dtype=tents.dtype)
        return tents / (count + 1e-6)

    def features_at(self, points: Tensor) -> Tensor:  # (D, P) -> (M, P)
        """Return the features of the only output channel, shape ``(M, P)``.

        Raises:
            ValueError: if there is more than one output channel, as their features differ.
        """
        if self.out_channels != 1:
            raise ValueError(
                f"features differ by output channel ({self.out_channels} of them): call `features_per_output`."
            )
        return self.features_per_output(points)[0]

    def forward(self, positions: Tensor) -> Tensor:  # (D, *K) -> (C, *K)
        self.check_positions(positions)
        features = self.features_per_output(positions.flatten(1))
        readout = self.readout_weight.to(features.dtype)
        readout = readout.unflatten(0, (self.out_channels, -1))  # (out, in, M)
        values = (readout @ features).flatten(0, 1)
        return values.unflatten(-1, positions.shape[1:])

    def reset_features(self) -> None:
        # Drawn in single precision: not every device has the inverse error function in half precision.
        position = torch.empty_like(self.position, dtype=torch.float32)
        centre = self.region.centre or (float(self.region.causal),) * self.dims
        for axis, coordinates in enumerate(position.unbind(-1)):
            nn.init.trunc_normal_(
                coordinates,
                mean=centre[axis],
                std=self.initial_spread[axis],
                a=-1.0,
                b=1.0,
            )
        self.position.copy_(position)
        self.log_radius.fill_(math.log(self.initial_radius))

    def _initial_features(self) -> Tensor:  # (out * M, P)
        # The rows of all output channels together, scaled to the mean energy of one output channel.
        dtype = torch.promote_types(self.readout_weight.dtype, torch.float32)
        positions = self.region.positions(self.readout_weight.device, dtype)
        features = self.features_per_output(positions.flatten(1))
        windowed = features * self.region.window(positions).flatten()
        return windowed.flatten(0, 1) / math.sqrt(self.out_channels)


def _default_radius(region: Region) -> float:
    """Return two samples of the coarsest axis; an axis of one sample counts only if all axes are such."""
    pitches = [pitch(length) for length in region.lengths if length > 1]
    return 2 * max(pitches, default=pitch(1))


def _default_spread(region: Region) -> tuple[float, ...]:
    """Return the width of the window; without one, the value of the authors, but at least a sample."""
    if region.width:
        return region.width
    least = PAPER_SPREAD_CAUSAL if region.causal else PAPER_SPREAD
    spreads = []
    for length in region.lengths:
        spread = max(least, pitch(length)) if length > 1 else least
        spreads.append(spread)
    return tuple(spreads)
