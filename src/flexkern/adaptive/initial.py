"""Standard deviations and starting values that keep the variance and begin near an ordinary convolution."""

import itertools
import math

import torch
from torch import Tensor

from .spec import AdaptiveSpec

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


def adaptive_std(fan_in: int, seen: int) -> float:
    """Deviation of Q for ``seen`` inputs of unit variance, beside a linear part."""
    return math.sqrt(ADAPTIVE_SHARE / fan_in / seen)


def lone_std(spec: AdaptiveSpec, fan_in: int) -> float:
    r"""Deviation of Q where kernels have no linear part.

    With :math:`v` the variance of :math:`z`, :math:`E[\tanh^2 z] \approx v / (1 + 2 v)`, to two orders; without
    a squash it is :math:`v`. Where the generator sees the very sample that its kernel value is applied to,
    :math:`E[x^4] = 3` counts instead of 1.
    """
    seen = spec.generator_in_channels * math.prod(spec.generator)
    inside = [min(w.kernel.stop, w.generator.stop) - max(w.kernel.start, w.generator.start) for w in spec.windows]
    overlap = math.prod(max(n, 0) for n in inside) / spec.taps
    lost = 2 if spec.squash == "tanh" else 0
    return math.sqrt(1 / max(fan_in - lost, 2) / (1 + 2 * overlap / seen) / seen)


def gain_std(spec: AdaptiveSpec, fan_in: int) -> float:
    r"""Deviation of gains that makes up for what :math:`e^{-z^2}` takes away when z starts as :func:`similarity`.

    For normal z of variance v, which has the covariance :math:`-c` with the sample, :math:`E[e^{-2 z^2} x^2] =
    (1 + 4 v)^{-1/2} (1 - 4 c^2 / (1 + 4 v))`.
    """
    sharing = spec.generator_in_channels if spec.sharing == "shared" else 1
    slopes = similarity(spec).flatten(1).square().sum(1)
    seen = spec.generator_in_channels * math.prod(spec.generator)
    total = 0.0
    for slope in slopes.tolist():
        spread = 1 + 4 * (sharing * slope + adaptive_std(fan_in, seen) ** 2 * seen)
        covariance = SIMILARITY**2 if slope > 0 else 0.0
        total += spread**-0.5 * (1 - 4 * sharing * covariance / spread)
    return kernel_std(fan_in) / math.sqrt(total / len(slopes))


def similarity(spec: AdaptiveSpec) -> Tensor:  # (taps, *generator)
    r"""Q for which :math:`z_u = s (x_u - x_\mathrm{centre})`: how much a sample differs from the middle of the kernel.

    Taps outside the generator's window cannot be compared; their row is zero.
    """
    rows = torch.zeros(*spec.kernel, *spec.generator, device="cpu")  # counted out, also for layers made elsewhere
    starts = [w.generator.start - w.kernel.start for w in spec.windows]
    centre = tuple((k - 1) // 2 - start for k, start in zip(spec.kernel, starts, strict=True))
    if _inside(centre, spec.generator):
        for tap in itertools.product(*map(range, spec.kernel)):
            here = tuple(t - start for t, start in zip(tap, starts, strict=True))
            if _inside(here, spec.generator):
                rows[tap + here] += SIMILARITY
                rows[tap + centre] -= SIMILARITY
    return rows.flatten(0, len(spec.kernel) - 1)


def _inside(place: tuple[int, ...], size: tuple[int, ...]) -> bool:
    return all(0 <= p < n for p, n in zip(place, size, strict=True))
