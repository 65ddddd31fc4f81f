"""How much the kernels of an adaptive convolution depend on the input."""

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..engines import convolve, pad
from ..layers.adaptive import AdaptiveConv
from ..layers.arguments import ConvArguments

PART = 16
"""Inputs whose kernels are held at a time."""


@dataclass(frozen=True)
class Adaptivity:
    """Of one layer on some inputs.

    Attributes:
        mean: the mean kernel over inputs and positions, (out, in / groups or 1, *kernel).
        share: energy of the deviations from the mean over the energy of all kernels: 0 for an ordinary
            convolution, 1 where the mean kernel is zero.
        map: mean square deviation at every position of every input, (B, *S).
    """

    mean: Tensor
    share: float
    map: Tensor


@torch.no_grad()
def adaptivity(layer: AdaptiveConv, input: Tensor) -> Adaptivity:
    """Measures a layer on the input that it gets, (B, in, *S).

    Example:
        >>> from flexkern import AdaptiveConv2d
        >>> found = adaptivity(AdaptiveConv2d(1, 4, 3), torch.randn(8, 1, 12, 12))
        >>> 0 < found.share < 0.5, found.map.shape
        (True, torch.Size([8, 10, 10]))
    """
    parts = input.split(PART)  # the kernels of all positions are large
    totals = [layer.kernels(part).double().flatten(3 + layer.dims).sum((0, -1)) for part in parts]
    count = len(input) * math.prod(layer.form.output_size(layer.padded(input[:1]).shape))
    mean = torch.stack(totals).sum(0) / count
    shown = mean.to(input.dtype).view(*mean.shape, *(1,) * layer.dims)
    maps, energy = [], 0.0
    for part in parts:
        kernels = layer.kernels(part)
        energy += float(kernels.double().square().sum())
        maps.append((kernels - shown).square().mean(tuple(range(1, 3 + layer.dims))))
    found = torch.cat(maps)
    share = float(found.double().sum()) * mean.numel() / energy if energy else 0.0
    return Adaptivity(mean.to(input.dtype), share, found)


@torch.no_grad()
def with_mean_kernels(model: nn.Module, input: Tensor) -> nn.Module:
    """A copy of the model whose adaptive convolutions are ordinary ones, of the mean kernels on ``input``.

    What such a model still can do says how much adaptivity mattered once it was learned.

    Raises:
        ValueError: the model has no adaptive convolution.
    """
    twin: Any = copy.deepcopy(model).eval()
    found = inputs_of(twin, input)
    if not found:
        raise ValueError("the model has no adaptive convolution.")
    layers: dict[str, Any] = {name: twin.get_submodule(name) for name in found}
    means = {id(layer): MeanConv(layer, adaptivity(layer, found[name]).mean) for name, layer in layers.items()}
    if "" in layers:
        return means[id(twin)]
    for parent in list(twin.modules()):
        for name, child in list(parent._modules.items()):  # a layer may stand in several places
            if id(child) in means:
                setattr(parent, name, means[id(child)])
    return twin


class MeanConv(nn.Module):
    """An ordinary convolution with the arguments of an adaptive one."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, layer: AdaptiveConv, weight: Tensor) -> None:
        super().__init__()
        self.arguments: ConvArguments = layer.arguments
        self.register_buffer("bias", layer.bias)
        fan_in = self.arguments.in_channels // self.arguments.groups
        self.register_buffer("weight", weight.expand(-1, fan_in, *weight.shape[2:]).contiguous())

    def forward(self, input: Tensor) -> Tensor:
        a = self.arguments
        padded = pad(input, a.padding, a.padding_mode)
        return convolve(padded, self.weight, self.bias, stride=a.stride, dilation=a.dilation, groups=a.groups)


@torch.no_grad()
def inputs_of(model: nn.Module, input: Tensor) -> dict[str, Tensor]:
    """What the adaptive convolutions of a model are given: name of the layer -> (B, in, *S).

    Of a layer that is called several times, all inputs of the first size.
    """
    found: dict[str, list[Tensor]] = {}

    def watch(name: str, module: nn.Module) -> Any:
        return module.register_forward_pre_hook(lambda _, given: found.setdefault(name, []).append(given[0]))

    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, AdaptiveConv)]
    hooks = [watch(name, module) for name, module in layers]
    try:
        model(input)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: torch.cat([one for one in given if one.shape == given[0].shape]) for name, given in found.items()}
