"""Rules that preserve the variance of a signal that passes through a kernel."""

import math

from torch import Tensor


def kernel_gain(weight: Tensor) -> Tensor:
    r"""Return the gain of a kernel on white noise: :math:`\sqrt{\mathrm{mean}_o \sum_{i,x} \psi_{oi}(x)^2}`.

    For independent inputs of variance 1, this is the standard deviation of the outputs.

    Args:
        weight: kernels :math:`\psi` of shape ``(out, in, *K)``.

    Returns:
        The gain, shape ``()``.

    Example:
        >>> import torch
        >>> kernel_gain(torch.full((1, 1, 4), 0.5)).item()
        1.0
    """
    energies = weight.square().flatten(1).sum(1)
    return energies.mean().sqrt()


def readout_std(features: Tensor, in_channels: int) -> float:
    r"""Return the standard deviation of an independent, zero-mean readout that gives the kernel a gain of 1.

    The kernel is :math:`\psi_{oi}(x) = \sum_m R_{oim} F_m(x)`. Its expected energy is
    :math:`C_{in} s^2 \sum_{m,x} F_m(x)^2`, which is 1 for :math:`s = 1 / \sqrt{C_{in} \sum_{m,x} F_m(x)^2}`.

    The rule uses the features as they are sampled, after window and crop. It therefore applies to any generator, any
    initial size and causal windows. Deviations: the rule of CCNN, ``sqrt(1 / (C_in prod K))`` (after Chang et al.
    2020), assumes features of variance 1 on the whole grid; the code of FlexConv does not correct the variance.

    Args:
        features: sampled features of shape ``(M, *K)``.
        in_channels: input channels :math:`C_{in}` that each output channel sums over.

    Raises:
        ValueError: if all features are zero, for instance because the atoms lie outside the window.

    Example:
        >>> import torch
        >>> readout_std(torch.ones(4, 9), in_channels=1)
        0.16666666666666666
    """
    energy = in_channels * features.double().square().sum().item()
    if not energy > 0:
        raise ValueError(
            "`features` must not be all zero within the window: move the window to the atoms of the generator, "
            "or widen it."
        )
    return 1 / math.sqrt(energy)
