"""Where and how a kernel is sampled when training starts, which initialisation depends on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..functional import continuous_window, gaussian_window, make_grid

SPREAD = 1.667
"""Half the length of the box of Gabor centres, in window widths; the setting of Romero et al. 2022."""


@dataclass(frozen=True)
class Region:
    """Grid, crop and initial window of a kernel, as plain numbers, so that it can be copied and pickled.

    Args:
        lengths: samples per axis of the whole grid (the horizon).
        bounds: samples ``(start, stop)`` that the initial window keeps, per axis.
        fan_in: input channels that each output channel sums over.
        centre: centre of the initial window, per axis; None without a window.
        width: width of the initial window, per axis, in the unit of the [-1, 1] coordinate; None without a window.
        threshold: if given, the window is lowered to zero at its border
            (:func:`~flexkern.functional.continuous_window`).
        causal: whether +1 is the most recent sample.

    Example:
        >>> Region.whole((5, 5)).positions().shape
        torch.Size([2, 5, 5])
    """

    lengths: tuple[int, ...]
    bounds: tuple[tuple[int, int], ...]
    fan_in: int = 1
    centre: tuple[float, ...] | None = None
    width: tuple[float, ...] | None = None
    threshold: float | None = None
    causal: bool = False

    @classmethod
    def whole(cls, lengths: tuple[int, ...], fan_in: int = 1, causal: bool = False) -> "Region":
        """Return the region of a whole grid, without a window."""
        bounds = tuple((0, length) for length in lengths)
        return cls(lengths, bounds, fan_in, causal=causal)

    def positions(
        self,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> Tensor:
        """Return the cropped grid, shape ``(D, *K)``."""
        return make_grid(
            self.lengths,
            bounds=self.bounds,
            causal=self.causal,
            device=device,
            dtype=dtype,
        )

    def window(self, positions: Tensor) -> Tensor:
        """Return the initial window of shape ``(*K)`` at ``positions`` of shape ``(D, *K)``; ones without a window."""
        if self.width is None or self.centre is None:
            return torch.ones_like(positions[0])
        centre = positions.new_tensor(self.centre)
        width = positions.new_tensor(self.width)
        if self.threshold is None:
            return gaussian_window(positions, centre, width)
        return continuous_window(positions, centre, width, self.threshold)

    def box(self) -> tuple[tuple[float, float], ...]:
        """Return the interval per axis in which Gabor centres are drawn: around the window, within [-1, 1].

        The interval reaches 1.667 widths to either side of the window's centre, and is [-1, 1] without a window.
        Deviation: the authors' code draws around 0 even if a causal window lies at +1, where nearly all atoms would
        be zero.

        Example:
            >>> Region((9,), ((0, 9),), centre=(1.0,), width=(0.3,)).box()
            ((0.4999, 1.0),)
        """
        if self.width is None or self.centre is None:
            return ((-1.0, 1.0),) * len(self.lengths)
        box = []
        for centre, width in zip(self.centre, self.width, strict=True):
            low = max(centre - SPREAD * width, -1.0)
            high = min(centre + SPREAD * width, 1.0)
            box.append((low, high))
        return tuple(box)
