"""Kernels at other resolutions than they were trained at: the same positions, sampled more or less densely."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .grid import make_grid, pitch
from .window import crop_bounds


def resample_axis(
    length: int,
    scale: float,
    *,
    causal: bool = False,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:  # shape: (k',)
    """Positions of the same kernel on a signal sampled ``scale`` times as densely.

    The step becomes ``pitch(length) / scale`` exactly, and as many samples are taken as fit into [-1, 1]:
    symmetric about 0 (an odd grid keeps its sample at 0), or counted back from +1 if ``causal``. So a kernel
    of 17 samples has 33 at twice the resolution (Romero et al. 2022, integer scales).

    Raises:
        ValueError: if ``scale`` is not positive, or so small that an even kernel has no sample left.

    Example:
        >>> resample_axis(5, 2.0).tolist()
        [-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0]
    """
    count, step = _count(length, scale, causal=causal), pitch(length) / scale
    dtype = dtype or torch.get_default_dtype()
    if causal:
        return 1 - step * torch.arange(count - 1, -1, -1, device=device, dtype=dtype)
    return step * (torch.arange(count, device=device, dtype=dtype) - (count - 1) / 2)


def _count(length: int, scale: float, *, causal: bool) -> int:
    """Samples of :func:`resample_axis`."""
    if not scale > 0:
        raise ValueError(f"`scale` must be positive, got {scale}.")
    if length == 1:
        return 1
    step, tolerance = pitch(length) / scale, 1e-9  # a sample on the border up to rounding belongs to the kernel
    if causal:
        return math.floor(2 / step + tolerance) + 1
    if length % 2:
        return 2 * math.floor(1 / step + tolerance) + 1
    if step / 2 > 1 + tolerance:
        raise ValueError(f"`scale` {scale:g} leaves no sample of a kernel of {length}.")
    return 2 * math.floor(1 / step + 0.5 + tolerance)


@dataclass(frozen=True)
class Grid:
    """The grid of a kernel, which may be sampled at another resolution than it was trained at.

    Attributes:
        horizon: samples per axis at the resolution of training, there on [-1, 1].
        causal: see :func:`axis_grid`.
        scale: per axis how many times as densely samples lie now; 1 by default.
        lengths: samples per axis now.

    Raises:
        ValueError: for a scale that is not positive or leaves no sample.

    Example:
        >>> fine = Grid((17, 17)).at(2.0)
        >>> fine.lengths, fine.weight, fine.at(0.5) == Grid((17, 17))
        ((33, 33), 0.25, True)
    """

    horizon: tuple[int, ...]
    causal: bool = False
    scale: tuple[float, ...] = ()
    lengths: tuple[int, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", self.scale or (1.0,) * len(self.horizon))
        axes = zip(self.horizon, self.scale, strict=True)
        lengths = tuple(k if s == 1 else _count(k, s, causal=self.causal) for k, s in axes)
        object.__setattr__(self, "lengths", lengths)

    @property
    def steps(self) -> tuple[float, ...]:
        """Distance of two neighbouring samples per axis."""
        return tuple(pitch(k) / s for k, s in zip(self.horizon, self.scale, strict=True))

    @property
    def nyquist(self) -> tuple[float, ...]:
        """Highest frequency per axis, Hz per unit coordinate: ``(k - 1) / 4`` at the resolution of training.

        That of an axis of one sample has no meaning.
        """
        return tuple(1 / (2 * step) for step in self.steps)

    @property
    def weight(self) -> float:
        """Riemann weight of a sample over that at the resolution of training, ``1 / prod(scale)``.

        A kernel of more samples times this weighs as much as before (Romero et al. 2022 for one scale of all axes).
        An axis of a single sample has one at any resolution.
        """
        return 1 / math.prod([s for k, s in zip(self.horizon, self.scale, strict=True) if k > 1])

    def at(self, scale: float | Sequence[float]) -> "Grid":
        """The grid of a signal sampled ``scale`` times as densely as the one that this grid is for.

        Raises:
            ValueError: if a scale is not positive or leaves no sample of the kernel.
        """
        factors = (scale,) * len(self.horizon) if isinstance(scale, int | float) else tuple(scale)
        if len(factors) != len(self.horizon) or not all(0 < f < math.inf for f in factors):
            raise ValueError(f"`scale` must be positive, one or {len(self.horizon)} numbers, got {scale}.")
        product = (old * f for old, f in zip(self.scale, factors, strict=True))
        # There and back again is where it was, whatever the rounding.
        return replace(self, scale=tuple(1.0 if math.isclose(s, 1, rel_tol=1e-9) else s for s in product))

    def positions(
        self,
        bounds: Sequence[tuple[int, int]] | None = None,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> Tensor:  # shape: (D, *K)
        """The samples, or those within ``bounds`` per axis."""
        if max(self.scale) == min(self.scale) == 1:
            return make_grid(self.horizon, bounds=bounds, causal=self.causal, device=device, dtype=dtype)
        spans = bounds or [(0, k) for k in self.lengths]
        axes = [
            resample_axis(k, s, causal=self.causal, device=device, dtype=dtype)[slice(*span)]
            for k, s, span in zip(self.horizon, self.scale, spans, strict=True)
        ]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"))

    def bounds(self, reach: Sequence[float]) -> tuple[tuple[int, int], ...]:
        """Per axis the samples ``(start, stop)`` within the reach of a window; see :func:`crop_bounds`."""
        axes = zip(self.lengths, self._extents, reach, strict=True)
        return tuple(crop_bounds(k, r / extent, causal=self.causal) for k, extent, r in axes)

    @property
    def _extents(self) -> tuple[float, ...]:
        """Half the way from the first sample to the last: 1 unless the scale leaves a rest."""
        axes = zip(self.lengths, self.steps, self.scale, strict=True)
        return tuple(1.0 if s == 1 or k == 1 else (k - 1) * step / 2 for k, step, s in axes)
