"""Table: free weights on a grid, the ordinary convolution as a generator."""

import itertools
import math
from typing import ClassVar

import torch
from torch import Tensor

from ..functional import pitch
from .base import Generator
from .region import Region


class Table(Generator):
    r"""One free weight per grid point, with multilinear interpolation between them.

    .. math:: F_m(x) = \prod_a \max(0, 1 - |x_a - p_{ma}| / \Delta_a)

    The features are tents over the grid points :math:`p_m`, so at the grid points the kernel equals its weights:
    a layer with this generator and no window is an ordinary convolution, and with a Gaussian window it is the
    adaptive convolution of Tek et al. 2020. Beyond [-1, 1] the values continue as at the border.

    Args:
        size: weights per axis; the grid of ``region`` (for a layer: its ``kernel_size``) by default.

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
        region = region or Region.whole(tuple(size or (9,) * dims))
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
        result = points.new_zeros(self.num_features, points.shape[1])
        for index, share in self._corners(points):
            result = result.scatter_add(0, index[None], share[None])
        return result

    def forward(self, positions: Tensor) -> Tensor:  # (D, *K) -> (C, *K)
        self.check_positions(positions)
        # The same sum without the M x P table of features, which is nearly all zeros.
        values = sum(self.readout_weight[:, index] * share for index, share in self._corners(positions.flatten(1)))
        assert isinstance(values, Tensor)
        return values.unflatten(-1, positions.shape[1:])

    def _corners(self, points: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The 2^D grid points around every position: their flat index (P,) and share (P,)."""
        lower, upper = [], []
        for row, length in zip(points, self.size, strict=True):
            step = ((row + 1) / pitch(length)).clamp(0, length - 1) if length > 1 else torch.zeros_like(row)
            floor = step.detach().floor().clamp(max=max(length - 2, 0))
            lower.append((floor.long(), 1 - (step - floor)))
            upper.append(((floor.long() + 1).clamp(max=length - 1), step - floor))
        corners = []
        for choice in itertools.product(*zip(lower, upper, strict=True)):
            index, share = torch.zeros_like(choice[0][0]), torch.ones_like(choice[0][1])
            for (axis_index, axis_share), length in zip(choice, self.size, strict=True):
                index, share = index * length + axis_index, share * axis_share
            corners.append((index, share))
        return corners

    def reset_features(self) -> None:
        """The features are fixed."""

    def _initial_features(self) -> Tensor:
        # One row of the same energy as the M rows of tents, of which only 2^D differ from zero anywhere.
        positions = self.region.positions(self.readout_weight.device, torch.float32)
        shares = torch.stack([share for _, share in self._corners(positions.flatten(1))])
        return (shares.square().sum(dim=0).sqrt() * self.region.window(positions).flatten())[None]
