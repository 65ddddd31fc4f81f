"""A sampled kernel that is still a product of two factors."""

from typing import NamedTuple

from torch import Tensor


class FactoredWeight(NamedTuple):
    r"""Weight :math:`W_{oi}(x) = \sum_m R_{oim} F_m(x)`, kept as readout and windowed features.

    Few features serve all out x in kernels, so an engine that works on the factors (M transforms instead of
    out x in) may be much cheaper than one that needs the product.
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


def gradients_of_factors(gradient: Tensor, weight: FactoredWeight) -> tuple[Tensor, Tensor]:
    """Gradients of readout and features from that of their product (out, in / groups, *K)."""
    readout, features = (factor.to(gradient.dtype) for factor in weight)
    flat = gradient.flatten(2)
    of_features = readout.flatten(0, 1).t() @ flat.flatten(0, 1)
    return flat @ features.flatten(1).t(), of_features.view(features.shape)


def dense(weight: Weight) -> Tensor:
    """The weight as one tensor (out, in / groups, *K)."""
    return weight.dense() if isinstance(weight, FactoredWeight) else weight
