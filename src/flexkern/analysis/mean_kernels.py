"""Adaptive models with their kernels replaced by the mean, to measure how much adaptivity contributes."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from .._support.axes import append_axes
from ..engines import convolve, pad
from ..layers import AdaptiveConv, AdaptiveFlexConv, ConvArguments
from .adaptivity import adaptivity

ADAPTIVE = (AdaptiveConv, AdaptiveFlexConv)


@torch.no_grad()
def with_mean_kernels(model: nn.Module, input: Tensor) -> nn.Module:
    """Return a copy of the model whose adaptive convolutions are ordinary ones, of the mean kernels on ``input``.

    The accuracy the copy loses is what adaptivity contributes to a trained model.

    Raises:
        ValueError: if the model has no adaptive convolution.
    """
    twin: Any = copy.deepcopy(model).eval()
    inputs = inputs_of(twin, input)
    if not inputs:
        raise ValueError("`model` has no adaptive convolution; there are no kernels to average.")
    replacements: dict[nn.Module, nn.Module] = {}
    for name, layer_input in inputs.items():
        layer: Any = twin.get_submodule(name)
        replacements[layer] = _with_mean_kernel(layer, layer_input)
    if twin in replacements:
        return replacements[twin]
    for parent in list(twin.modules()):
        for name, child in list(parent._modules.items()):  # includes further places of the same layer
            if child in replacements:
                setattr(parent, name, replacements[child])
    return twin


def _with_mean_kernel(layer: AdaptiveConv | AdaptiveFlexConv, input: Tensor) -> nn.Module:
    if isinstance(layer, AdaptiveFlexConv):
        mixing = layer.mixing(input)
        return MeanMixing(layer, mixing.flatten(3).mean((0, 3)))
    return MeanConv(layer, adaptivity(layer, input).mean)


class MeanMixing(nn.Module):
    """The kernels of an :class:`~flexkern.AdaptiveFlexConv`, mixed by ``weight`` (out, R) at all positions."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, layer: AdaptiveFlexConv, weight: Tensor) -> None:
        super().__init__()
        self.basis = layer.basis
        self.register_buffer("weight", weight)
        self.register_buffer("bias", layer.bias)

    def forward(self, input: Tensor) -> Tensor:
        responses = self.basis(input)
        axes = self.basis.dims
        signal = responses.shape[-axes:]
        mixed = torch.einsum("or,...rp->...op", self.weight, responses.flatten(-axes))
        output = mixed.unflatten(-1, signal)
        if self.bias is None:
            return output
        return output + append_axes(self.bias, axes)


class MeanConv(nn.Module):
    """An ordinary convolution with the arguments of an adaptive one."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, layer: AdaptiveConv, weight: Tensor) -> None:
        super().__init__()
        self.arguments: ConvArguments = layer.arguments
        self.register_buffer("bias", layer.bias)
        fan_in = self.arguments.in_channels // self.arguments.groups
        per_channel = weight.expand(-1, fan_in, *weight.shape[2:])  # channels may share a kernel
        self.register_buffer("weight", per_channel.contiguous())

    def forward(self, input: Tensor) -> Tensor:
        arguments = self.arguments
        return convolve(
            pad(input, arguments.padding, arguments.padding_mode),
            self.weight,
            self.bias,
            stride=arguments.stride,
            dilation=arguments.dilation,
            groups=arguments.groups,
        )


@torch.no_grad()
def inputs_of(model: nn.Module, input: Tensor) -> dict[str, Tensor]:
    """Return the inputs of a model's adaptive convolutions: name of the layer -> (B, in, *S).

    If a layer is called several times, all inputs of the size of the first are concatenated.
    """
    inputs: dict[str, list[Tensor]] = {}

    def watch(name: str, module: nn.Module) -> Any:
        def store(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            inputs.setdefault(name, []).append(arguments[0])

        return module.register_forward_pre_hook(store)

    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, ADAPTIVE):
            hooks.append(watch(name, module))
    try:
        model(input)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: _concatenate_alike(calls) for name, calls in inputs.items()}


def _concatenate_alike(inputs: list[Tensor]) -> Tensor:
    """Concatenate the inputs of the same shape as the first."""
    shape = inputs[0].shape
    return torch.cat([tensor for tensor in inputs if tensor.shape == shape])
