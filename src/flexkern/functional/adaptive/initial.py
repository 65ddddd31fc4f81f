"""Standard deviations and starting values that keep the variance and begin near an ordinary convolution."""

import math

import torch
from torch import Tensor

from .form import AdaptiveForm

ADAPTIVE_SHARE = 0.1
"""Of the energy of the first kernels, what varies with the input; the rest is an ordinary convolution."""
LARGEST_KERNEL = 0.95
"""Bound of a starting value that tanh has to reach."""
SIMILARITY = 0.25
"""Starting slope of the Gaussian squash: differences of 4 standard deviations turn a tap down to 1/e."""


def kernel_std(fan_in: int) -> float:
    """What keeps the variance of white noise: ``1 / sqrt(fan_in)``.

    Example:
        >>> kernel_std(4)
        0.5
    """
    return 1 / math.sqrt(fan_in)


def linear_bound(fan_in: int) -> float:
    r"""Bound of uniform kernels that carry all energy but :data:`ADAPTIVE_SHARE`; less where tanh cannot reach it."""
    return min(math.sqrt(3 * (1 - ADAPTIVE_SHARE)) * kernel_std(fan_in), LARGEST_KERNEL)


def adaptive_std(fan_in: int, seen: int, *, alone: bool) -> float:
    r"""Deviation of Q for ``seen`` inputs of unit variance.

    Beside a linear part the variance of :math:`z` is ``ADAPTIVE_SHARE / fan_in``. Alone it is :math:`v` such that
    :math:`E[\tanh^2 z] \approx v / (1 + 2 v) = 1 / \mathrm{fan\_in}`, the first two orders; a half at most.
    """
    variance = 1 / max(fan_in - 2, 2) if alone else ADAPTIVE_SHARE / fan_in
    return math.sqrt(variance / seen)


def similarity(form: AdaptiveForm) -> Tensor:  # (rows per output and kernel: taps, *generator)
    r"""Q for which :math:`z_u = s (x_u - x_\mathrm{centre})`: how much a sample differs from the middle of the kernel.

    Taps outside the generator's window cannot be compared; their row is zero.
    """
    rows = torch.zeros(*form.kernel, *form.generator)
    starts = [w.generator.start - w.kernel.start for w in form.windows]
    centre = [(k - 1) // 2 - start for k, start in zip(form.kernel, starts, strict=True)]
    if not all(0 <= c < q for c, q in zip(centre, form.generator, strict=True)):
        return rows.flatten(0, len(form.kernel) - 1)
    for tap in torch.cartesian_prod(*map(torch.arange, form.kernel)).view(-1, len(form.kernel)).tolist():
        here = [t - start for t, start in zip(tap, starts, strict=True)]
        if all(0 <= h < q for h, q in zip(here, form.generator, strict=True)):
            rows[tuple(tap + here)] += SIMILARITY
            rows[tuple(tap + centre)] -= SIMILARITY
    return rows.flatten(0, len(form.kernel) - 1)
