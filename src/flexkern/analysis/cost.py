"""The cost of one forward pass: multiplications and evaluations of nonlinear functions, counted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from .._support.modes import watch_once
from ..layers import AdaptiveConv, AdaptiveFlexConv, ContinuousConv, Pointwise

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
ACTIVATIONS = (
    nn.ReLU,
    nn.ReLU6,
    nn.Tanh,
    nn.Sigmoid,
    nn.GELU,
    nn.SiLU,
    nn.Softmax,
    nn.Hardtanh,
)
COUNTED = (
    AdaptiveConv,
    AdaptiveFlexConv,
    ContinuousConv,
    Pointwise,
    *CONVOLUTIONS,
    nn.Linear,
    *ACTIVATIONS,
)


@dataclass(frozen=True)
class Cost:
    """Multiply-accumulates and evaluations of activation functions per sample, and the number of parameters."""

    macs: int
    activations: int
    parameters: int


def count_cost(model: nn.Module, shape: Sequence[int]) -> Cost:
    """Count the operations of one forward pass in convolutions, linear maps and activation modules.

    An adaptive convolution costs the products of its generator, one activation per kernel value (none without a
    squash), and the products with the input. A convolution of learned size costs as much as an ordinary one of its
    current size. Norms, pooling and additions are not counted.

    Args:
        model: the model to count.
        shape: shape of one sample, (channels, *signal).

    Example:
        >>> count_cost(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU()), (1, 8, 8))
        Cost(macs=2304, activations=256, parameters=40)
    """
    total_macs = 0
    total_activations = 0

    def count(module: nn.Module, inputs: Any, output: Tensor) -> None:
        nonlocal total_macs, total_activations
        macs, activations = _cost_of(module, output)
        total_macs += macs
        total_activations += activations

    counted = [module for module in model.modules() if isinstance(module, COUNTED)]
    watch_once(model, shape, dict.fromkeys(counted, count))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Cost(total_macs, total_activations, parameters)


def _cost_of(module: nn.Module, output: Tensor) -> tuple[int, int]:
    """Return the multiply-accumulates and activations of one call."""
    if isinstance(module, AdaptiveConv):
        return _adaptive_cost(module, output)
    if isinstance(module, AdaptiveFlexConv):  # its basis is counted as a layer of its own
        mixing = output.numel() * module.rank
        products = module.mixing_weight[0].numel() + 1
        return mixing * products, mixing
    if isinstance(module, ContinuousConv):
        fan_in = module.in_channels // module.groups
        return output.numel() * fan_in * math.prod(module.size), 0
    if isinstance(module, CONVOLUTIONS):
        fan_in = module.in_channels // module.groups
        return output.numel() * fan_in * math.prod(module.kernel_size), 0
    if isinstance(module, Pointwise):
        return output.numel() * module.weight.shape[1], 0
    if isinstance(module, nn.Linear):
        return output.numel() * module.in_features, 0
    return 0, output.numel()


def _adaptive_cost(layer: AdaptiveConv, output: Tensor) -> tuple[int, int]:
    spec = layer.spec
    positions = math.prod(output.shape[2:])
    channels = spec.generator_groups * spec.generator_out_channels
    kernel_values = channels * positions
    generator_products = spec.generator_in_channels * math.prod(spec.generator)
    squashed = 0 if isinstance(spec.squash, nn.Identity) else kernel_values
    return kernel_values * (generator_products + 1), squashed
