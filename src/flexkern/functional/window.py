"""The Gaussian window over positions, and the samples it keeps.

Units: widths (standard deviations) and centres are in the coordinate of the grid, whose extent is [-1, 1];
bounds are sample indices.
"""

import math

import torch
from torch import Tensor


def gaussian_window(
    positions: Tensor,  # shape: (D, *K)
    centre: Tensor,  # shape: (D,) or (C, D)
    width: Tensor,  # shape: (D,) or (C, D)
) -> Tensor:  # shape: (*K) or (C, *K)
    r"""Axis-aligned Gaussian of peak 1.

    .. math:: w(x) = \prod_a \exp\left(-\tfrac12 \left(\frac{x_a - \mu_a}{\sigma_a}\right)^2\right)

    Romero et al. 2022. One row of ``centre`` and ``width`` per channel gives one window per channel.

    Example:
        >>> gaussian_window(torch.tensor([[-1.0, 0.0, 1.0]]), torch.zeros(1), torch.ones(1)).tolist()
        [0.6065306663513184, 1.0, 0.6065306663513184]
    """
    return torch.exp(-0.5 * _scaled(positions, centre, width).square().sum(dim=-2)).unflatten(-1, positions.shape[1:])


def continuous_window(
    positions: Tensor,  # shape: (D, *K)
    centre: Tensor,  # shape: (D,) or (C, D)
    width: Tensor,  # shape: (D,) or (C, D)
    threshold: float,
) -> Tensor:  # shape: (*K) or (C, *K)
    r"""Gaussian window lowered by the crop threshold, so that it reaches zero at the border of the crop.

    .. math:: w(x) = \prod_a \frac{\max(g_a(x_a) - \tau, 0)}{1 - \tau},
              \qquad g_a(x) = \exp\left(-\tfrac12 ((x - \mu_a) / \sigma_a)^2\right)

    The paper cuts a window that is still :math:`\tau` = 0.1 high, so the output jumps whenever the learned
    size changes by one sample. This one is continuous in the width, and cropping it loses nothing.
    Deviation from Romero et al. 2022: it is ours.

    Example:
        >>> continuous_window(torch.tensor([[0.0, 5.0]]), torch.zeros(1), torch.ones(1), 0.1).tolist()
        [1.0, 0.0]
    """
    per_axis = torch.exp(-0.5 * _scaled(positions, centre, width).square())
    lowered = (per_axis - threshold).clamp_min(0) / (1 - threshold)
    return lowered.prod(dim=-2).unflatten(-1, positions.shape[1:])


def _scaled(positions: Tensor, centre: Tensor, width: Tensor) -> Tensor:  # shape: (D, P) or (C, D, P)
    return (positions.flatten(1) - centre[..., None]) / width[..., None]


def radius_per_width(threshold: float) -> float:
    """Radius, in widths, at which a Gaussian falls to ``threshold``: ``sqrt(-2 ln threshold)`` (2.146 for 0.1).

    Raises:
        ValueError: if ``threshold`` is not between 0 and 1 (both excluded).
    """
    if not 0 < threshold < 1:
        raise ValueError(f"`threshold` must lie between 0 and 1, got {threshold}.")
    return math.sqrt(-2 * math.log(threshold))


def support_radius(width: Tensor, threshold: float) -> Tensor:
    """Distance from the centre at which the window falls to ``threshold``; same shape and unit as ``width``.

    Example:
        >>> round(support_radius(torch.tensor(0.075), 0.1).item(), 3)
        0.161
    """
    return width * radius_per_width(threshold)


def window_reach(
    centre: Tensor,  # shape: (..., D)
    width: Tensor,  # shape: (..., D)
    threshold: float,
    *,
    causal: bool = False,
) -> Tensor:  # shape: (..., D)
    """How far the support reaches: from 0 to either side, or back from +1 if ``causal``. Input of :func:`crop_bounds`.

    A centred crop stays symmetric about 0 whatever the centre (as in the paper), so a shifted window only
    widens it: ``reach = |centre| + radius``. A causal crop cuts the old end only: ``reach = 1 - (centre - radius)``.
    """
    radius = support_radius(width, threshold)
    return 1 - (centre - radius) if causal else centre.abs() + radius


def crop_bounds(length: int, reach: float, *, causal: bool = False) -> tuple[int, int]:
    """Samples ``(start, stop)`` of an axis of ``length`` samples that the window's support keeps.

    Centred: the samples with ``|x| < reach``; all of them if ``reach >= 1``. Causal: those with ``x > 1 - reach``;
    all if ``reach >= 2``. Never fewer than one (two on an even centred axis, which has no sample at 0).

    Deviation from the authors' code: there, a causal window that lies beyond the most recent sample
    (``reach <= 0``) switches cropping off; here it keeps that one sample.

    Example:
        >>> crop_bounds(33, 0.161)
        (14, 19)
        >>> crop_bounds(784, 0.161, causal=True)
        (720, 784)
    """
    if math.isnan(reach):
        raise ValueError("a window's width or centre is NaN; a lower learning rate of the sizes may help.")
    whole = 2.0 if causal else 1.0
    if reach >= whole:
        return 0, length
    # The first index with x_i > bound, where bound = 1 - reach (causal) or -reach.
    first = math.floor((length - 1) * (whole - reach) / 2) + 1
    if causal:
        return min(first, length - 1), length
    start = min(first, (length - 1) // 2)
    return start, length - start
