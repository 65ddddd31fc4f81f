"""Table: free values on a grid, which makes an ordinary convolution out of a generator."""

import itertools
import math
from typing import ClassVar

import torch
from torch import Tensor

from ..functional import pitch
from .base import Generator
from .region import Region


class Table(Generator):
    r"""One free value per grid point and channel, with multilinear interpolation between grid points.

    .. math:: F_m(x) = \prod_a \max(0, 1 - |x_a - p_{ma}| / \Delta_a)

    The features are tents over the grid points :math:`p_m`, with :math:`\Delta_a` the distance of neighbouring points.
    At the grid points, the kernel therefore equals the readout. A layer with this generator and no window is an
    ordinary convolution; with a Gaussian window, it is the adaptive convolution of Tek et al. 2020. Outside [-1, 1],
    the values continue as at the border.

    Args:
        dims, channels, region, device, dtype: see :class:`Generator`.
        size: grid points per axis; by default the grid of ``region``, which for a layer is its ``kernel_size``.

    Shape:
        Positions ``(D, *K)`` to values ``(channels, *K)``.

    Raises:
        ValueError: if ``size`` does not have one positive entry per axis.

    Example:
        >>> Table(1, 4, size=(3,))(torch.tensor([[0.0]])).shape
        torch.Size([4, 1])
    """

    factored: ClassVar[bool] = False  # nearly all features are zero nearly everywhere

    def __init__(
        self,
        dims: int,
        channels: int,
        *,
        size: tuple[int, ...] | None = None,
        region: Region | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if region is None:
            region = Region.whole(tuple(size or (9,) * dims))
        grid_size = tuple(size or region.lengths)
        if len(grid_size) != dims or min(grid_size) <= 0:
            raise ValueError(f"`size` must have {dims} positive entries, got {grid_size}.")
        super().__init__(
            dims,
            channels,
            num_features=math.prod(grid_size),
            readout_bias=False,
            region=region,
            device=device,
            dtype=dtype,
        )
        self.size = grid_size
        self.reset_parameters()

    def features_at(self, points: Tensor) -> Tensor:  # (D, P) -> (M, P)
        features = points.new_zeros(self.num_features, points.shape[1])
        for index, share in self._corners(points):
            features = features.scatter_add(0, index[None], share[None])
        return features

    def forward(self, positions: Tensor) -> Tensor:  # (D, *K) -> (C, *K)
        self.check_positions(positions)
        # The sum over features, without the (M, P) table of features, which is nearly all zeros.
        values = positions.new_zeros(())
        for index, share in self._corners(positions.flatten(1)):
            values = values + self.readout_weight[:, index] * share
        return values.unflatten(-1, positions.shape[1:])

    def _corners(self, points: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the ``2^D`` grid points around every position, each as flat index ``(P,)`` and share ``(P,)``."""
        neighbours = []
        for coordinates, length in zip(points, self.size, strict=True):
            neighbours.append(_neighbours(coordinates, length))
        corners = []
        for corner in itertools.product(*neighbours):
            index = torch.zeros_like(corner[0][0])
            share = torch.ones_like(corner[0][1])
            for (axis_index, axis_share), length in zip(corner, self.size, strict=True):
                index = index * length + axis_index
                share = share * axis_share
            corners.append((index, share))
        return corners

    def reset_features(self) -> None:
        """Do nothing: the features are fixed."""

    def _initial_features(self) -> Tensor:  # (1, P)
        # A single row with the energy of the M rows of tents, of which only 2^D differ from zero at any position.
        positions = self.region.positions(self.readout_weight.device, torch.float32)
        corners = self._corners(positions.flatten(1))
        shares = torch.stack([share for _, share in corners])
        amplitude = shares.square().sum(dim=0).sqrt()
        windowed = amplitude * self.region.window(positions).flatten()
        return windowed[None]


def _neighbours(coordinates: Tensor, length: int) -> list[tuple[Tensor, Tensor]]:
    """Return the grid points below and above every coordinate of an axis, each as index ``(P,)`` and share ``(P,)``."""
    place = torch.zeros_like(coordinates)
    if length > 1:
        steps = (coordinates + 1) / pitch(length)
        place = steps.clamp(0, length - 1)
    floor = place.detach().floor().clamp(max=max(length - 2, 0))
    share_above = place - floor
    index_below = floor.long()
    index_above = (index_below + 1).clamp(max=length - 1)
    return [(index_below, 1 - share_above), (index_above, share_above)]
