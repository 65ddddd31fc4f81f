"""Positions at which a kernel is sampled, at the resolution of training and at any other.

A kernel of ``k`` samples on an axis lies on a regular grid over [-1, 1] (:func:`axis_grid`). On a signal sampled
``scale`` times as densely, the same kernel is sampled ``scale`` times as densely (:func:`resample_axis`).
:class:`Grid` combines both for all axes: it gives the positions, the crop, the Nyquist frequency and the
Riemann weight.

Notation: ``D`` axes, ``k`` samples on one axis, ``*K`` the samples of all axes. Positions are in the unit of the
[-1, 1] coordinate. With ``causal=True``, +1 is the most recent sample.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .window import crop_bounds

TOLERANCE = 1e-9
"""Relative rounding error up to which a sample on the border of [-1, 1] still belongs to the grid."""


def pitch(length: int) -> float:
    """Return the distance between two neighbouring samples of an axis: ``2 / (k - 1)``, or 2 for a single sample.

    Example:
        >>> pitch(5)
        0.5
    """
    return 2.0 / max(length - 1, 1)


def axis_grid(
    length: int,
    *,
    start: int = 0,
    stop: int | None = None,
    causal: bool = False,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    r"""Return positions ``start .. stop - 1`` of a regular grid of ``length`` samples on [-1, 1].

    .. math:: x_i = -1 + 2 i / (k - 1), \qquad i = 0 .. k - 1

    Both ends are included, and the grid is exactly symmetric about 0. The spacing is :func:`pitch`. This is the
    convention of Romero et al. 2022. The grid of a single sample is ours: it lies at 0, or at +1 on a causal axis.

    Args:
        length: samples ``k`` of the whole grid.
        start, stop: samples to return; all by default.
        causal: whether +1 is the most recent sample. This matters for ``length=1`` only.
        device, dtype: of the result.

    Returns:
        Positions of shape ``(stop - start,)``.

    Raises:
        ValueError: if ``length`` is not positive, or if the slice is empty or outside the grid.

    Example:
        >>> axis_grid(5).tolist()
        [-1.0, -0.5, 0.0, 0.5, 1.0]
        >>> axis_grid(5, start=3).tolist()
        [0.5, 1.0]
    """
    if stop is None:
        stop = length
    if length <= 0:
        raise ValueError(f"`length` must be positive, got {length}.")
    if not 0 <= start < stop <= length:
        raise ValueError(f"`start`, `stop` must satisfy 0 <= start < stop <= {length}, got {start}, {stop}.")
    if length == 1:
        return torch.full((1,), float(causal), device=device, dtype=dtype)
    # Twice the index minus (k - 1) is an exact integer, which makes the grid exactly symmetric about 0.
    steps = length - 1
    first = 2 * start - steps
    end = 2 * stop - steps
    numerator = torch.arange(first, end, 2, device=device)
    return numerator.to(dtype or torch.get_default_dtype()) / steps


def make_grid(
    lengths: Sequence[int],
    *,
    bounds: Sequence[tuple[int, int]] | None = None,
    causal: bool = False,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Return the positions of a regular grid of ``lengths[a]`` samples on axis ``a``, cropped to ``bounds``.

    Row ``a`` of the result is coordinate ``a``: 'ij' indexing, row 0 belongs to the first spatial axis.

    Args:
        lengths: samples per axis of the whole grid, each positive.
        bounds: samples ``(start, stop)`` to keep, per axis; all by default.
        causal: see :func:`axis_grid`.
        device, dtype: of the result.

    Returns:
        Positions of shape ``(D, *K)``.

    Raises:
        ValueError: if a length is not positive, or if ``bounds`` does not fit ``lengths``.

    Example:
        >>> make_grid((3, 2)).shape
        torch.Size([2, 3, 2])
    """
    axes = []
    for length, (start, stop) in zip(lengths, _bounds_or_all(bounds, lengths), strict=True):
        axis = axis_grid(
            length,
            start=start,
            stop=stop,
            causal=causal,
            device=device,
            dtype=dtype,
        )
        axes.append(axis)
    coordinates = torch.meshgrid(*axes, indexing="ij")
    return torch.stack(coordinates)


def _bounds_or_all(
    bounds: Sequence[tuple[int, int]] | None,
    lengths: Sequence[int],
) -> Sequence[tuple[int, int]]:
    if bounds is None:
        return [(0, length) for length in lengths]
    if len(bounds) != len(lengths):
        raise ValueError(f"`bounds` must have {len(lengths)} entries (start, stop), one per axis, got {bounds}.")
    return bounds


def resample_axis(
    length: int,
    scale: float,
    *,
    causal: bool = False,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Return the positions of a kernel of ``length`` samples on a signal sampled ``scale`` times as densely.

    The spacing is exactly ``pitch(length) / scale``. The grid takes as many samples as fit into [-1, 1]: symmetric
    about 0, or counted back from +1 if ``causal``. An odd grid keeps its sample at 0. A kernel of 17 samples
    therefore has 33 samples at twice the resolution, as in Romero et al. 2022, who use integer scales only.

    Args:
        length: samples ``k`` at the resolution of training.
        scale: new sampling rate over that of training.
        causal: whether +1 is the most recent sample.
        device, dtype: of the result.

    Returns:
        Positions of shape ``(k',)``, with ``k' = k`` for ``scale=1``.

    Raises:
        ValueError: if ``scale`` is not positive, or so small that an even kernel has no sample left.

    Example:
        >>> resample_axis(5, 2.0).tolist()
        [-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0]
    """
    count = _resampled_length(length, scale, causal=causal)
    step = pitch(length) / scale
    dtype = dtype or torch.get_default_dtype()
    if causal:
        steps_back = torch.arange(count - 1, -1, -1, device=device, dtype=dtype)
        return 1 - step * steps_back
    index = torch.arange(count, device=device, dtype=dtype)
    middle = (count - 1) / 2
    return step * (index - middle)


def _resampled_length(length: int, scale: float, *, causal: bool) -> int:
    """Return the number of samples of :func:`resample_axis`."""
    if not scale > 0:
        raise ValueError(f"`scale` must be positive, got {scale}.")
    if length == 1:
        return 1
    step = pitch(length) / scale
    if causal:
        steps_back = math.floor(2 / step + TOLERANCE)
        return steps_back + 1
    if length % 2:
        steps_aside = math.floor(1 / step + TOLERANCE)
        return 2 * steps_aside + 1
    if step / 2 > 1 + TOLERANCE:
        raise ValueError(f"`scale` {scale:g} leaves no sample of a kernel of {length}.")
    samples_aside = math.floor(1 / step + 0.5 + TOLERANCE)
    return 2 * samples_aside


@dataclass(frozen=True)
class Grid:
    """Grid of a kernel, which may be sampled at another resolution than the one it was trained at.

    Args:
        trained_lengths: samples per axis at the resolution of training, where they span [-1, 1].
        causal: whether +1 is the most recent sample; see :func:`axis_grid`.
        scale: current sampling rate over that of training, per axis; 1 by default.

    Attributes:
        lengths: samples per axis at the current resolution.

    Raises:
        ValueError: if a scale is not positive or leaves no sample.

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
        if not self.scale:
            object.__setattr__(self, "scale", (1.0,) * len(self.trained_lengths))
        lengths = []
        for length, scale in zip(self.trained_lengths, self.scale, strict=True):
            if scale != 1:
                length = _resampled_length(length, scale, causal=self.causal)
            lengths.append(length)
        object.__setattr__(self, "lengths", tuple(lengths))

    @property
    def steps(self) -> tuple[float, ...]:
        """Distance between two neighbouring samples, per axis."""
        axes = zip(self.trained_lengths, self.scale, strict=True)
        return tuple(pitch(length) / scale for length, scale in axes)

    @property
    def nyquist(self) -> tuple[float, ...]:
        """Highest frequency per axis, in Hz per unit coordinate: ``scale * (k - 1) / 4``.

        The value for an axis of a single sample has no meaning.
        """
        return tuple(1 / (2 * step) for step in self.steps)

    @property
    def weight(self) -> float:
        """Riemann weight of a sample, relative to the resolution of training: ``1 / prod(scale)``.

        Multiplied by this weight, a kernel of more samples has the same sum as before. Romero et al. 2022 use it with
        one scale for all axes. An axis of a single sample does not count: it has one sample at any resolution.
        """
        axes = zip(self.trained_lengths, self.scale, strict=True)
        # torch.compile traces the product of a list, not that of a generator expression.
        scales = [scale for length, scale in axes if length > 1]
        return 1 / math.prod(scales)

    def at(self, scale: float | Sequence[float]) -> "Grid":
        """Return the grid for a signal sampled ``scale`` times as densely as the signal of this grid.

        Scaling there and back returns an equal grid.

        Args:
            scale: one factor for all axes, or one per axis.

        Raises:
            ValueError: if a scale is not positive or leaves no sample of the kernel.

        Example:
            >>> Grid((17, 9)).at((2.0, 1.0)).lengths
            (33, 9)
        """
        dims = len(self.trained_lengths)
        factors = (scale,) * dims if isinstance(scale, int | float) else tuple(scale)
        valid = all(0 < factor < math.inf for factor in factors)
        if len(factors) != dims or not valid:
            raise ValueError(f"`scale` must be positive, one or {dims} numbers, got {scale}.")
        scales = []
        for current, factor in zip(self.scale, factors, strict=True):
            product = current * factor
            if math.isclose(product, 1, rel_tol=1e-9):  # the way back must not fail by a rounding error
                product = 1.0
            scales.append(product)
        return replace(self, scale=tuple(scales))

    def positions(
        self,
        bounds: Sequence[tuple[int, int]] | None = None,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Return the positions of all samples, or of those within ``bounds``.

        Args:
            bounds: samples ``(start, stop)`` to keep, per axis; all by default.
            device, dtype: of the result.

        Returns:
            Positions of shape ``(D, *K)``.

        Raises:
            ValueError: if ``bounds`` does not have one entry per axis.

        Example:
            >>> Grid((5,)).at(0.5).positions(((1, 3),)).tolist()
            [[0.0, 1.0]]
        """
        if all(scale == 1 for scale in self.scale):
            return make_grid(
                self.trained_lengths,
                bounds=bounds,
                causal=self.causal,
                device=device,
                dtype=dtype,
            )
        axes = []
        crops = _bounds_or_all(bounds, self.lengths)
        for length, scale, (start, stop) in zip(self.trained_lengths, self.scale, crops, strict=True):
            axis = resample_axis(
                length,
                scale,
                causal=self.causal,
                device=device,
                dtype=dtype,
            )
            axes.append(axis[start:stop])
        coordinates = torch.meshgrid(*axes, indexing="ij")
        return torch.stack(coordinates)

    def bounds(self, extent: Sequence[float]) -> tuple[tuple[int, int], ...]:
        """Return the samples ``(start, stop)`` per axis that lie within the extent of a window.

        Args:
            extent: per axis the result of :func:`window_extent`, as Python numbers.

        Raises:
            ValueError: if an extent is NaN.

        Example:
            >>> Grid((33,)).bounds((0.161,))
            ((14, 19),)
        """
        bounds = []
        for length, half_range, distance in zip(self.lengths, self._half_ranges(), extent, strict=True):
            # `crop_bounds` expects samples from -1 to 1; at some scales they do not reach both ends.
            crop = crop_bounds(length, distance / half_range, causal=self.causal)
            bounds.append(crop)
        return tuple(bounds)

    def _half_ranges(self) -> list[float]:
        """Return half the distance from the first to the last sample per axis: 1 at the resolution of training."""
        half_ranges = []
        for length, step, scale in zip(self.lengths, self.steps, self.scale, strict=True):
            half_range = (length - 1) * step / 2
            if scale == 1 or length == 1:
                half_range = 1.0
            half_ranges.append(half_range)
        return half_ranges
