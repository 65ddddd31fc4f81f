"""Rules that keep the variance of a signal when it passes a kernel."""

import math

from torch import Tensor


def kernel_gain(weight: Tensor) -> Tensor:  # weight: (out, in, *K) -> scalar
    r"""Gain of a kernel on white noise: :math:`\sqrt{\sum_{i,x} \psi_{oi}(x)^2}`, root mean square over ``o``.

    With independent inputs of unit variance the outputs have a standard deviation of this gain.

    Example:
        >>> import torch; kernel_gain(torch.full((1, 1, 4), 0.5)).item()
        1.0
    """
    return weight.square().flatten(1).sum(1).mean().sqrt()


def readout_std(features: Tensor, in_channels: int) -> float:  # features: (M, *K)
    r"""Standard deviation of an independent, zero-mean readout that gives the kernel a gain of 1.

    The kernel is :math:`\psi_{oi}(x) = \sum_m R_{oim} F_m(x)`, so its expected energy is
    :math:`C_{in} s^2 \sum_{m,x} F_m(x)^2` and :math:`s = 1 / \sqrt{C_{in} \sum_{m,x} F_m(x)^2}` makes it 1.

    Computed from the features as they are sampled - after window and crop - it is right for any generator, any
    initial size and causal windows. CCNN's rule (``sqrt(1 / (C_in prod K))``; Chang et al. 2020) assumes
    features of unit variance on the whole grid, the FlexConv code corrects nothing.

    Raises:
        ValueError: if the features are all zero, for instance because the atoms lie outside the window.

    Example:
        >>> import torch; readout_std(torch.ones(4, 9), in_channels=1)
        0.16666666666666666
    """
    energy = in_channels * features.double().square().sum().item()
    if not energy > 0:
        raise ValueError("the sampled features are all zero: is the window where the generator's atoms are?")
    return 1 / math.sqrt(energy)
