"""Where and how a kernel is sampled when training starts: what an initialisation must know."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..functional import continuous_window, gaussian_window, make_grid

SPREAD = 1.667  # radius of the box of Gabor centres in window widths (the authors' setting)


@dataclass(frozen=True)
class Region:
    """The grid, its crop and the initial window; plain numbers, so that it can be copied and pickled.

    Args:
        lengths: samples per axis of the whole grid (the horizon).
        bounds: per axis the samples ``(start, stop)`` that the initial window keeps.
        fan_in: input channels that each output channel sums over.
        centre, width: the initial window per axis; ``width=None`` means no window.
        threshold: lowers the window to zero at the border (continuous variant), if given.
        causal: +1 is the most recent sample.

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
        """The whole grid, without a window."""
        return cls(lengths, tuple((0, k) for k in lengths), fan_in, causal=causal)

    def positions(self, device: torch.device | None = None, dtype: torch.dtype = torch.float64) -> Tensor:
        """The cropped grid, shape (D, *K)."""
        return make_grid(self.lengths, bounds=self.bounds, causal=self.causal, device=device, dtype=dtype)

    def window(self, positions: Tensor) -> Tensor:
        """The initial window at ``positions`` (D, *K): shape (*K), all ones without a window."""
        if self.width is None or self.centre is None:
            return torch.ones_like(positions[0])
        centre, width = positions.new_tensor(self.centre), positions.new_tensor(self.width)
        if self.threshold is None:
            return gaussian_window(positions, centre, width)
        return continuous_window(positions, centre, width, self.threshold)

    def box(self) -> tuple[tuple[float, float], ...]:
        """Per axis the interval in which Gabor centres are drawn: around the window, within [-1, 1].

        +-1.667 widths around the window's centre as in the authors' code, which however draws around 0 even
        where a causal window sits at +1, so that nearly all atoms are dead there.
        """
        if self.width is None or self.centre is None:
            return tuple((-1.0, 1.0) for _ in self.lengths)
        return tuple(
            (max(c - SPREAD * w, -1.0), min(c + SPREAD * w, 1.0)) for c, w in zip(self.centre, self.width, strict=True)
        )
