"""The Gaussian window over positions, and the samples that it keeps.

Widths (standard deviations), centres and extents are in the unit of the [-1, 1] coordinate; bounds are sample indices.
Notation: ``D`` axes, ``C`` channels, ``*K`` the samples of all axes.
"""

import math

import torch
from torch import Tensor


def gaussian_window(
    positions: Tensor,
    centre: Tensor,
    width: Tensor,
) -> Tensor:
    r"""Return an axis-aligned Gaussian window of height 1 (Romero et al. 2022).

    .. math:: w(x) = \prod_a \exp\left(-\tfrac12 \left(\frac{x_a - \mu_a}{\sigma_a}\right)^2\right)

    Args:
        positions: shape ``(D, *K)``.
        centre: :math:`\mu` of shape ``(D,)``, or ``(C, D)`` for one window per channel.
        width: :math:`\sigma` of the same shape.

    Returns:
        Values of shape ``(*K)``, or ``(C, *K)`` for one window per channel.

    Example:
        >>> gaussian_window(torch.tensor([[-1.0, 0.0, 1.0]]), torch.zeros(1), torch.ones(1)).tolist()
        [0.6065306663513184, 1.0, 0.6065306663513184]
    """
    squares = _relative_offsets(positions, centre, width).square()
    window = torch.exp(-0.5 * squares.sum(dim=-2))
    return window.unflatten(-1, positions.shape[1:])


def continuous_window(
    positions: Tensor,
    centre: Tensor,
    width: Tensor,
    threshold: float,
) -> Tensor:
    r"""Return a Gaussian window lowered by the crop threshold, so that it reaches zero at the border of the crop.

    .. math:: w(x) = \prod_a \frac{\max(g_a(x_a) - \tau, 0)}{1 - \tau},
              \qquad g_a(x) = \exp\left(-\tfrac12 ((x - \mu_a) / \sigma_a)^2\right)

    Deviation from Romero et al. 2022: their window still has the height :math:`\tau` = 0.1 where it is cut, so the
    output jumps whenever the learned size changes by a sample. This window is ours. It is continuous in the width, and
    cropping it loses nothing.

    Args:
        positions: shape ``(D, *K)``.
        centre: :math:`\mu` of shape ``(D,)``, or ``(C, D)`` for one window per channel.
        width: :math:`\sigma` of the same shape.
        threshold: :math:`\tau`, between 0 and 1.

    Returns:
        Values of shape ``(*K)``, or ``(C, *K)`` for one window per channel.

    Example:
        >>> continuous_window(torch.tensor([[0.0, 5.0]]), torch.zeros(1), torch.ones(1), 0.1).tolist()
        [1.0, 0.0]
    """
    squares = _relative_offsets(positions, centre, width).square()
    gaussians = torch.exp(-0.5 * squares)
    lowered = (gaussians - threshold).clamp_min(0) / (1 - threshold)
    return lowered.prod(dim=-2).unflatten(-1, positions.shape[1:])


def _relative_offsets(positions: Tensor, centre: Tensor, width: Tensor) -> Tensor:  # (D, P) or (C, D, P)
    """Return the offsets from the centre in widths."""
    offsets = positions.flatten(1) - centre[..., None]
    return offsets / width[..., None]


def radius_per_width(threshold: float) -> float:
    """Return the radius, in widths, at which a Gaussian falls to ``threshold``: ``sqrt(-2 ln threshold)``.

    Raises:
        ValueError: if ``threshold`` is not between 0 and 1 (both excluded).

    Example:
        >>> round(radius_per_width(0.1), 3)
        2.146
    """
    if not 0 < threshold < 1:
        raise ValueError(f"`threshold` must lie between 0 and 1, got {threshold}.")
    return math.sqrt(-2 * math.log(threshold))


def support_radius(width: Tensor, threshold: float) -> Tensor:
    """Return the distance from the centre at which the window falls to ``threshold``.

    Args:
        width: widths of any shape.
        threshold: relative height, between 0 and 1.

    Returns:
        Distances in the shape and unit of ``width``.

    Raises:
        ValueError: if ``threshold`` is not between 0 and 1 (both excluded).

    Example:
        >>> round(support_radius(torch.tensor(0.075), 0.1).item(), 3)
        0.161
    """
    return width * radius_per_width(threshold)


def window_extent(
    centre: Tensor,
    width: Tensor,
    threshold: float,
    *,
    causal: bool = False,
) -> Tensor:
    """Return the extent of the window's support per axis, the input of :func:`crop_bounds`.

    The extent is measured from 0 to either side, or back from +1 if ``causal``. A centred crop stays symmetric about 0
    for any centre, as in Romero et al. 2022, so a shifted window only widens it: ``|centre| + radius``. A causal crop
    removes old samples only: ``1 - (centre - radius)``. The radius is :func:`support_radius`.

    Args:
        centre: shape ``(..., D)``.
        width: shape ``(..., D)``.
        threshold: relative height at which the support ends, between 0 and 1.
        causal: whether +1 is the most recent sample.

    Returns:
        Extents of shape ``(..., D)``.

    Raises:
        ValueError: if ``threshold`` is not between 0 and 1 (both excluded).

    Example:
        >>> extent = window_extent(torch.tensor([-0.1]), torch.tensor([0.075]), 0.1)
        >>> round(extent.item(), 3)
        0.261
    """
    radius = support_radius(width, threshold)
    if causal:
        return 1 - (centre - radius)
    return centre.abs() + radius


def crop_bounds(length: int, extent: float, *, causal: bool = False) -> tuple[int, int]:
    """Return the samples ``(start, stop)`` of an axis of ``length`` samples that lie within the window's support.

    A centred crop keeps the samples with ``|x| < extent``, and all of them if ``extent >= 1``. A causal crop keeps the
    samples with ``x > 1 - extent``, and all of them if ``extent >= 2``. At least one sample is kept; on an even centred
    axis, which has no sample at 0, at least two.

    Deviation: in the authors' code, a causal window beyond the most recent sample (``extent <= 0``) turns cropping off.
    Here it keeps that one sample.

    Args:
        length: samples of the axis.
        extent: see :func:`window_extent`.
        causal: whether +1 is the most recent sample.

    Raises:
        ValueError: if ``extent`` is NaN.

    Example:
        >>> crop_bounds(33, 0.161)
        (14, 19)
        >>> crop_bounds(784, 0.161, causal=True)
        (720, 784)
    """
    if math.isnan(extent):
        raise ValueError(
            "the extent of a window must be a number, got NaN: its width or centre is NaN; "
            "a lower learning rate of the sizes may help."
        )
    whole = 2.0 if causal else 1.0
    if extent >= whole:
        return 0, length
    # First index with x_i > 1 - extent (causal) or x_i > -extent (centred).
    steps = (length - 1) * (whole - extent) / 2
    first = math.floor(steps) + 1
    if causal:
        return min(first, length - 1), length
    start = min(first, (length - 1) // 2)
    return start, length - start
