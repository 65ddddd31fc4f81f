"""Positions at which a kernel is sampled: grids in [-1, 1]^N.

Legend: ``k`` samples per axis, ``D`` axes, ``*K`` the lengths of all axes.
"""

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
