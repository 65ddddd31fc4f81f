"""Positions at which a kernel is sampled: grids in [-1, 1]^N.

Legend: ``k`` samples per axis, ``D`` axes, ``*K`` the lengths of all axes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .window import crop_bounds


def axis_grid(
    length: int,
    *,
    start: int = 0,
    stop: int | None = None,
    causal: bool = False,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:  # shape: (stop - start,)
    r"""Positions ``start .. stop-1`` of a regular grid of ``length`` samples on [-1, 1].

    .. math:: x_i = -1 + 2 i / (k - 1), \qquad i = 0 .. k-1

    Both ends are included. A single sample sits at 0, or at +1 on a causal axis, where +1 is the most
    recent sample. The step is ``2 / (k - 1)`` (:func:`pitch`). Convention of FlexConv (Romero et al.
    2022); the one-sample case is ours.

    Raises:
        ValueError: if ``length`` is not positive or the slice is empty or outside the grid.

    Example:
        >>> axis_grid(5).tolist()
        [-1.0, -0.5, 0.0, 0.5, 1.0]
        >>> axis_grid(5, start=3).tolist()
        [0.5, 1.0]
    """
    stop = length if stop is None else stop
    if length <= 0:
        raise ValueError(f"`length` must be positive, got {length}.")
    if not 0 <= start < stop <= length:
        raise ValueError(f"`start`, `stop` must satisfy 0 <= start < stop <= {length}, got {start}, {stop}.")
    if length == 1:
        return torch.full((1,), float(causal), device=device, dtype=dtype)
    # Twice the index minus (k-1) is an exact integer, so the grid is exactly symmetric about zero.
    index = torch.arange(2 * start - (length - 1), 2 * stop - (length - 1), 2, device=device)
    return index.to(dtype or torch.get_default_dtype()) / (length - 1)


def make_grid(
    lengths: Sequence[int],
    *,
    bounds: Sequence[tuple[int, int]] | None = None,
    causal: bool = False,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:  # shape: (D, *K)
    """Positions of a regular grid with ``lengths[a]`` samples on axis ``a``, cropped to ``bounds``.

    Row ``a`` of the result holds coordinate ``a`` ('ij' indexing: row 0 belongs to the first spatial axis).

    Args:
        lengths: samples per axis of the whole grid, each positive.
        bounds: per axis the samples ``(start, stop)`` to keep; all by default.
        causal: see :func:`axis_grid`.

    Example:
        >>> make_grid((3, 2)).shape
        torch.Size([2, 3, 2])
    """
    spans = [(0, k) for k in lengths] if bounds is None else bounds
    axes = [
        axis_grid(k, start=a, stop=b, causal=causal, device=device, dtype=dtype)
        for k, (a, b) in zip(lengths, spans, strict=True)
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def pitch(length: int) -> float:
    """Distance of two neighbouring samples, ``2 / (k - 1)``; the whole extent 2 for a single sample."""
    return 2.0 / max(length - 1, 1)


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

    trained_lengths: tuple[int, ...]
    causal: bool = False
    scale: tuple[float, ...] = ()
    lengths: tuple[int, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", self.scale or (1.0,) * len(self.trained_lengths))
        axes = zip(self.trained_lengths, self.scale, strict=True)
        lengths = tuple(k if s == 1 else _count(k, s, causal=self.causal) for k, s in axes)
        object.__setattr__(self, "lengths", lengths)

    @property
    def steps(self) -> tuple[float, ...]:
        """Distance of two neighbouring samples per axis."""
        return tuple(pitch(k) / s for k, s in zip(self.trained_lengths, self.scale, strict=True))

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
        return 1 / math.prod([s for k, s in zip(self.trained_lengths, self.scale, strict=True) if k > 1])

    def at(self, scale: float | Sequence[float]) -> "Grid":
        """The grid of a signal sampled ``scale`` times as densely as the one that this grid is for.

        Raises:
            ValueError: if a scale is not positive or leaves no sample of the kernel.
        """
        factors = (scale,) * len(self.trained_lengths) if isinstance(scale, int | float) else tuple(scale)
        if len(factors) != len(self.trained_lengths) or not all(0 < f < math.inf for f in factors):
            raise ValueError(f"`scale` must be positive, one or {len(self.trained_lengths)} numbers, got {scale}.")
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
            return make_grid(self.trained_lengths, bounds=bounds, causal=self.causal, device=device, dtype=dtype)
        spans = bounds or [(0, k) for k in self.lengths]
        axes = [
            resample_axis(k, s, causal=self.causal, device=device, dtype=dtype)[slice(*span)]
            for k, s, span in zip(self.trained_lengths, self.scale, spans, strict=True)
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
