"""A sampled kernel that is still a product of two factors."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from .._support.tracing import compiling, transforming


class FactoredWeight(NamedTuple):
    r"""Weight :math:`W_{oi}(x) = \sum_m R_{oim} F_m(x)`, kept as readout and windowed features.

    Few features serve all out x in kernels, so an engine that works on the factors (M transforms instead of
    out x in) may be much cheaper than one that needs the product.

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
        return (*self.readout.shape[:2], *self.features.shape[1:])

    def dense(self) -> Tensor:
        """The product, as ``torch.nn.functional.conv*d`` takes it."""
        return (self.readout @ self.features.flatten(1)).unflatten(-1, self.features.shape[1:])


Weight = Tensor | FactoredWeight


def factors(weight: Weight) -> tuple[Tensor, ...]:
    """The tensors that make up a weight: readout and features, or the weight itself."""
    return tuple(weight) if isinstance(weight, FactoredWeight) else (weight,)


def from_factors(held: Sequence[Tensor]) -> Weight:
    """The inverse of :func:`factors`."""
    return held[0] if len(held) == 1 else FactoredWeight(*held)


def gradients_of_factors(gradient: Tensor, weight: Weight) -> tuple[Tensor, ...]:
    """Gradients of readout and features from that of their product (out, in / groups, *K); of a tensor, itself."""
    if not isinstance(weight, FactoredWeight):
        return (gradient,)
    readout, features = (factor.to(gradient.dtype) for factor in weight)
    flat = gradient.flatten(2)
    of_features = readout.flatten(0, 1).t() @ flat.flatten(0, 1)
    return flat @ features.flatten(1).t(), of_features.view(features.shape)


def dense(weight: Weight) -> Tensor:
    """The weight as one tensor (out, in / groups, *K)."""
    return weight.dense() if isinstance(weight, FactoredWeight) else weight


def check_finite(weight: Weight) -> None:
    """A ValueError for infinities and NaN, of which a transform would spread one over all outputs.

    Only where looking costs next to nothing: an accelerator would have to wait, and compilers and function transforms
    see no values.
    """
    if compiling() or transforming():
        return
    for part in factors(weight):
        looked_at = part.device.type == "cpu" and type(part) in (Tensor, nn.Parameter)  # others may hold no values
        if looked_at and not math.isfinite(part.detach().sum().item()) and not part.isfinite().all():
            raise ValueError(f"`weight` must be finite, got {int((~part.isfinite()).sum())} infinite or NaN values.")
