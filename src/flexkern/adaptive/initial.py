"""Initial values and standard deviations that keep the variance and start near an ordinary convolution."""

import itertools
import math

import torch
from torch import Tensor

from .spec import AdaptiveSpec

ADAPTIVE_SHARE = 0.1
"""Fraction of the initial kernels' energy that varies with the input; the rest is an ordinary convolution."""
LARGEST_KERNEL = 0.95
"""Bound of initial kernel values that tanh has to reach."""
SIMILARITY = 0.25
"""Initial slope of the Gaussian squash: a difference of 4 standard deviations reduces a tap to 1/e."""


def kernel_std(fan_in: int) -> float:
    """Return the deviation of kernel values that keeps the variance of white noise: ``1 / sqrt(fan_in)``.

    Example:
        >>> kernel_std(4)
        0.5
    """
    return 1 / math.sqrt(fan_in)


def linear_bound(fan_in: int) -> float:
    r"""Return the bound of uniform kernel values that have all energy except :data:`ADAPTIVE_SHARE`.

    It is at most :data:`LARGEST_KERNEL`, because tanh cannot reach more.
    """
    linear_share = 1 - ADAPTIVE_SHARE
    bound = math.sqrt(3 * linear_share) * kernel_std(fan_in)
    return min(bound, LARGEST_KERNEL)


def adaptive_std(fan_in: int, generator_inputs: int) -> float:
    """Return the deviation of Q where kernels have a linear part; generator inputs have unit variance."""
    return math.sqrt(ADAPTIVE_SHARE / fan_in / generator_inputs)


def adaptive_only_std(spec: AdaptiveSpec, fan_in: int) -> float:
    r"""Return the deviation of Q where kernels have no linear part.

    With :math:`v` the variance of :math:`z`, :math:`E[\tanh^2 z] \approx v / (1 + 2 v)`, to two orders; without
    a squash it is :math:`v`. Where the generator sees the same sample that its kernel value is applied to,
    :math:`E[x^4] = 3` counts instead of 1.
    """
    generator_inputs = spec.generator_in_channels * math.prod(spec.generator)
    overlap = _kernel_overlap(spec)
    loss = 2 if spec.squash == "tanh" else 0
    inputs = max(fan_in - loss, 2)
    mean_power = 1 + 2 * overlap / generator_inputs
    variance = 1 / inputs / mean_power / generator_inputs
    return math.sqrt(variance)


def _kernel_overlap(spec: AdaptiveSpec) -> float:
    """Return the fraction of the kernel's taps that the generator's window covers."""
    taps = 1
    for window in spec.windows:
        start = max(window.kernel.start, window.generator.start)
        stop = min(window.kernel.stop, window.generator.stop)
        taps *= max(stop - start, 0)
    return taps / spec.taps


def gain_std(spec: AdaptiveSpec, fan_in: int) -> float:
    r"""Return the deviation of gains that compensates for the loss in :math:`e^{-z^2}` of :func:`similarity`.

    For normal z of variance v, which has the covariance :math:`-c` with the sample, :math:`E[e^{-2 z^2} x^2] =
    (1 + 4 v)^{-1/2} (1 - 4 c^2 / (1 + 4 v))`.
    """
    channels = spec.generator_in_channels if spec.sharing == "shared" else 1
    generator_inputs = spec.generator_in_channels * math.prod(spec.generator)
    random_variance = adaptive_std(fan_in, generator_inputs) ** 2 * generator_inputs
    rows = similarity(spec).flatten(1)
    slopes = rows.square().sum(1).tolist()
    total = 0.0
    for slope in slopes:
        variance = channels * slope + random_variance
        spread = 1 + 4 * variance
        covariance = SIMILARITY**2 if slope > 0 else 0.0
        loss = 4 * channels * covariance / spread
        total += spread**-0.5 * (1 - loss)
    mean_power = total / len(slopes)
    return kernel_std(fan_in) / math.sqrt(mean_power)


def similarity(spec: AdaptiveSpec) -> Tensor:  # (taps, *generator)
    r"""Return Q for which :math:`z_u = s (x_u - x_\mathrm{centre})`, the difference from the kernel's middle sample.

    Taps outside the generator's window cannot be compared, and their rows are zero.
    """
    # On the CPU, because its values are set one by one, also for layers on other devices.
    weight = torch.zeros(*spec.kernel, *spec.generator, device="cpu")
    middle = tuple((size - 1) // 2 for size in spec.kernel)
    centre = _in_generator(middle, spec)
    axes = [range(size) for size in spec.kernel]
    for tap in itertools.product(*axes):
        sample = _in_generator(tap, spec)
        if sample is None or centre is None:
            continue
        weight[tap + sample] += SIMILARITY
        weight[tap + centre] -= SIMILARITY
    return weight.flatten(0, len(axes) - 1)


def _in_generator(tap: tuple[int, ...], spec: AdaptiveSpec) -> tuple[int, ...] | None:
    """Return the place of a kernel's tap in the generator's window; None if it lies outside."""
    place = []
    for index, window, size in zip(tap, spec.windows, spec.generator, strict=True):
        start = window.generator.start - window.kernel.start
        sample = index - start
        if not 0 <= sample < size:
            return None
        place.append(sample)
    return tuple(place)
