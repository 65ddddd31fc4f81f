"""Weights of convolutions: dense, or the product of two factors."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from .._support.tracing import compiling, transforming


class FactoredWeight(NamedTuple):
    r"""Weight :math:`W_{oi}(x) = \sum_m R_{oim} F_m(x)`, stored as readout and windowed features.

    All ``out * in`` kernels share a few features. An engine that transforms the M features instead of ``out * in``
    kernels may be much cheaper than one that needs the product.

    Example:
        >>> import torch
        >>> FactoredWeight(torch.ones(8, 3, 2), torch.ones(2, 5, 5)).dense().shape
        torch.Size([8, 3, 5, 5])
    """

    readout: Tensor  # (out, in / groups, M)
    features: Tensor  # (M, *K)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the product, (out, in / groups, *K)."""
        channels = self.readout.shape[:2]
        kernel = self.features.shape[1:]
        return (*channels, *kernel)

    def dense(self) -> Tensor:
        """Return the product, as ``torch.nn.functional.conv*d`` takes it."""
        product = self.readout @ self.features.flatten(1)
        return product.unflatten(-1, self.features.shape[1:])


Weight = Tensor | FactoredWeight


def factors(weight: Weight) -> tuple[Tensor, ...]:
    """Return the tensors of a weight: readout and features, or the dense weight alone."""
    if isinstance(weight, FactoredWeight):
        return tuple(weight)
    return (weight,)


def from_factors(tensors: Sequence[Tensor]) -> Weight:
    """Return the weight of one or two tensors; the inverse of :func:`factors`."""
    if len(tensors) == 1:
        return tensors[0]
    return FactoredWeight(*tensors)


def dense(weight: Weight) -> Tensor:
    """Return the weight as one tensor (out, in / groups, *K)."""
    if isinstance(weight, FactoredWeight):
        return weight.dense()
    return weight


def gradients_of_factors(gradient: Tensor, weight: Weight) -> tuple[Tensor, ...]:
    """Return the gradients of the tensors of ``weight`` from that of the dense weight (out, in / groups, *K)."""
    if not isinstance(weight, FactoredWeight):
        return (gradient,)
    readout = weight.readout.to(gradient.dtype)
    features = weight.features.to(gradient.dtype)
    flat_readout = readout.flatten(0, 1)
    flat_features = features.flatten(1)
    flat_gradient = gradient.flatten(2)
    features_gradient = flat_readout.t() @ flat_gradient.flatten(0, 1)
    readout_gradient = flat_gradient @ flat_features.t()
    return readout_gradient, features_gradient.view(features.shape)


def check_finite(weight: Weight) -> None:
    """Raise a ValueError for infinities and NaN, which a transform would spread over all outputs.

    Only values on the CPU are checked: reading those of an accelerator would wait for it. Compilers and function
    transforms see no values.
    """
    tensors = factors(weight)
    if compiling() or transforming():
        return
    for tensor in tensors:
        if tensor.device.type != "cpu" or type(tensor) not in (Tensor, nn.Parameter):
            continue  # subclasses may have no values
        total = tensor.detach().sum().item()  # not finite if any value is not
        if not math.isfinite(total) and not tensor.isfinite().all():
            count = int((~tensor.isfinite()).sum())
            raise ValueError(f"`weight` must be finite, got {count} infinite or NaN values.")
