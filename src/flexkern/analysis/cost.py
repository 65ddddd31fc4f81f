"""What one forward pass costs, counted: multiplications and evaluations of nonlinear functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from .._support.modes import watch_once
from ..layers import AdaptiveConv, AdaptiveFlexConv, ContinuousConv, Pointwise

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.Softmax, nn.Hardtanh)


@dataclass(frozen=True)
class Cost:
    """Per sample: multiply-accumulates, evaluations of activation functions; and numbers in parameters."""

    macs: int
    activations: int
    parameters: int


def count_cost(model: nn.Module, shape: Sequence[int]) -> Cost:
    """Counts convolutions, linear maps, adaptive convolutions and activation modules of one forward pass.

    An adaptive convolution costs the generator's products, one activation per kernel value (none without squash), and
    the products with the input; a convolution of learned size those of an ordinary one of its size now. Norms, pooling
    and additions are left out. ``shape`` is that of one sample, (channels, *signal).

    Example:
        >>> count_cost(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU()), (1, 8, 8))
        Cost(macs=2304, activations=256, parameters=40)
    """
    totals = [0, 0]

    def count(module: nn.Module, inputs: Any, output: Tensor) -> None:
        macs, activations = _cost_of(module, output)
        totals[0] += macs
        totals[1] += activations

    counted = (AdaptiveConv, AdaptiveFlexConv, ContinuousConv, Pointwise, *CONVOLUTIONS, nn.Linear, *ACTIVATIONS)
    watch_once(model, shape, {module: count for module in model.modules() if isinstance(module, counted)})
    return Cost(totals[0], totals[1], sum(parameter.numel() for parameter in model.parameters()))


def _cost_of(module: nn.Module, output: Tensor) -> tuple[int, int]:
    if isinstance(module, AdaptiveConv):
        spec = module.spec
        values = spec.generator_groups * spec.generator_out_channels * math.prod(output.shape[2:])
        squashed = 0 if isinstance(spec.squash, nn.Identity) else values
        return values * (spec.generator_in_channels * math.prod(spec.generator) + 1), squashed
    if isinstance(module, AdaptiveFlexConv):  # its FlexConv is counted by itself
        values = output.numel() * module.rank
        return values * (module.mixing_weight[0].numel() + 1), values
    if isinstance(module, (ContinuousConv, *CONVOLUTIONS)):
        size = module.size if isinstance(module, ContinuousConv) else module.kernel_size
        return output.numel() * module.in_channels // module.groups * math.prod(size), 0
    if isinstance(module, Pointwise):
        return output.numel() * module.weight.shape[1], 0
    if isinstance(module, nn.Linear):
        return output.numel() * module.in_features, 0
    return 0, output.numel()
