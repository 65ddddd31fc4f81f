"""Adaptive models with their kernels replaced by the mean: what is left then says how much adaptivity mattered."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from ..engines import convolve, pad
from ..layers import AdaptiveConv, AdaptiveFlexConv, ConvArguments
from .adaptivity import adaptivity

ADAPTIVE = (AdaptiveConv, AdaptiveFlexConv)


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
    means = {id(layer): _mean(layer, found[name]) for name, layer in layers.items()}
    if "" in layers:
        return means[id(twin)]
    for parent in list(twin.modules()):
        for name, child in list(parent._modules.items()):  # a layer may stand in several places
            if id(child) in means:
                setattr(parent, name, means[id(child)])
    return twin


def _mean(layer: AdaptiveConv | AdaptiveFlexConv, input: Tensor) -> nn.Module:
    if isinstance(layer, AdaptiveFlexConv):
        return MeanMixing(layer, layer.mixing(input).flatten(3).mean((0, 3)))
    return MeanConv(layer, adaptivity(layer, input).mean)


class MeanMixing(nn.Module):
    """The kernels of an :class:`~flexkern.AdaptiveFlexConv`, mixed alike at all positions by ``weight`` (out, R)."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, layer: AdaptiveFlexConv, weight: Tensor) -> None:
        super().__init__()
        self.basis = layer.basis
        self.register_buffer("weight", weight)
        self.register_buffer("bias", layer.bias)

    def forward(self, input: Tensor) -> Tensor:
        responses = self.basis(input)
        channels = -1 - self.basis.dims
        mixed = torch.einsum("or,...rp->...op", self.weight, responses.flatten(channels + 1))
        output = mixed.unflatten(-1, responses.shape[channels + 1 :])
        return output if self.bias is None else output + self.bias.view(-1, *(1,) * self.basis.dims)


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

    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, ADAPTIVE)]
    hooks = [watch(name, module) for name, module in layers]
    try:
        model(input)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: torch.cat([one for one in given if one.shape == given[0].shape]) for name, given in found.items()}
