"""Positions at which a kernel is sampled: grids in [-1, 1]^N.

Legend: ``k`` samples per axis, ``D`` axes, ``*K`` the lengths of all axes.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


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
    if not scale > 0:
        raise ValueError(f"`scale` must be positive, got {scale}.")
    step = pitch(length) / scale
    tolerance = 1e-9  # a sample that falls on the border up to rounding belongs to the kernel
    if causal:
        count = math.floor(2 / step + tolerance) + 1 if length > 1 else 1
        return 1 - step * torch.arange(count - 1, -1, -1, device=device, dtype=dtype or torch.get_default_dtype())
    offset = 0.5 if length % 2 == 0 else 0.0
    if offset * step > 1 + tolerance:
        raise ValueError(f"`scale` {scale:g} leaves no sample of a kernel of {length}.")
    half = math.floor(1 / step - offset + tolerance) if length > 1 else 0
    index = torch.arange(-half - 2 * offset, half + 1, device=device, dtype=dtype or torch.get_default_dtype())
    return step * (index + offset)
