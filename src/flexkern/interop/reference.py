"""Checkpoints of the authors' code (rjbruin/flexconv): their state dict into our FlexNet and FlexTCN."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..generators import GaborNet, Generator, MAGNet, MultiplicativeGenerator
from ..layers import ContinuousConv
from ..models import FlexNet, FlexTCN

UNUSED = "temperature"  # of a mask that the authors never implemented


@torch.no_grad()
def load_reference_state(model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Copy the parameters of the authors' network into the same network of ours.

    Multiplicative generators (MAGNet, GaborNet, FourierNet) are supported. Negative mask widths, which the
    authors' code accepts as their absolute value, become positive; widths below half a sample are raised to it.

    Args:
        model: a :class:`FlexNet` or :class:`FlexTCN` of learned-size layers, of the right sizes and with the
            authors' window, for instance ``create_model("flexnet7", window={"continuous": False})``.
        state: the authors' state dict, original names.

    Raises:
        ValueError: if an entry is missing, has the wrong shape, or is left over; it names the entry.
    """
    rest = {name: value for name, value in state.items() if not name.endswith(UNUSED)}
    filled = copy.deepcopy(model)  # so that a state that does not fit leaves the model as it was
    if isinstance(filled, FlexNet):
        _load_flexnet(filled, rest)
    elif isinstance(filled, FlexTCN):
        _load_flextcn(filled, rest)
    else:
        raise ValueError(f"`model` must be a FlexNet or a FlexTCN, got {type(model).__name__}.")
    if rest:
        raise ValueError(f"the reference state has entries the model has no place for, first {next(iter(rest))!r}.")
    model.load_state_dict(filled.state_dict())
    return model


def _load_flexnet(model: FlexNet, rest: dict[str, Tensor]) -> None:
    _load_conv(model.stem[0], rest, "cconv1.")
    _load_plain(model.stem[1], rest, "norm1.")
    for index, block in enumerate(model.blocks):
        _load_block(block, rest, f"blocks.{index}.")
    _load_plain(model.head, rest, "out_layer.")


def _load_flextcn(model: FlexTCN, rest: dict[str, Tensor]) -> None:
    for index, block in enumerate(model.blocks):
        _load_block(block, rest, f"backbone.{index}.")
    _load_plain(model.head, rest, "finallyr.")


def _load_block(block: nn.Module, rest: dict[str, Tensor], prefix: str) -> None:
    body = block.body
    assert isinstance(body, nn.Sequential)
    for number, position in (("1", 0), ("2", 4)):
        _load_conv(body[position], rest, f"{prefix}cconv{number}.")
        _load_plain(body[position + 1], rest, f"{prefix}norm{number}.")
    if isinstance(block.shortcut, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        _load_plain(block.shortcut, rest, f"{prefix}shortcut.0.")


def _take(rest: dict[str, Tensor], name: str) -> Tensor:
    if name not in rest:
        raise ValueError(f"the reference state has no entry {name!r}.")
    return rest.pop(name)


def _fill(target: Tensor, value: Tensor, name: str) -> None:
    if _without_ones(target.shape) != _without_ones(value.shape):
        raise ValueError(f"{name!r} has shape {tuple(value.shape)}, expected {tuple(target.shape)}.")
    target.copy_(value.reshape(target.shape))


def _without_ones(shape: torch.Size) -> list[int]:
    """A shape without trailing axes of length 1: the authors keep pointwise maps as 1x1 convolutions."""
    sizes = list(shape)
    while sizes and sizes[-1] == 1:
        sizes.pop()
    return sizes


def _load_plain(module: nn.Module, rest: dict[str, Tensor], prefix: str) -> None:
    """Norms and linear maps: the same names, at most other trailing axes of length 1."""
    for name, target in module.state_dict(keep_vars=True).items():
        _fill(target, _take(rest, prefix + name), prefix + name)


def _load_conv(layer: nn.Module, rest: dict[str, Tensor], prefix: str) -> None:
    if not isinstance(layer, ContinuousConv):
        raise ValueError(f"`model` must consist of learned-size layers, got {type(layer).__name__}.")
    if layer.window is not None and layer.window.continuous:
        raise ValueError("`model` must have the authors' window: build it with GaussianWindow(continuous=False).")
    _check_grid(layer, rest, prefix)
    if layer.bias is not None:
        _fill(layer.bias, _take(rest, f"{prefix}bias"), f"{prefix}bias")
    if layer.window is not None:
        mask = _take(rest, f"{prefix}mask_params").to(layer.window.centre.dtype)  # rows: axes; (mean, sigma)
        layer.window.centre.copy_(mask[:, 0])
        layer.window.set_width(mask[:, 1].abs())
    _load_generator(layer.generator, rest, f"{prefix}Kernel.")


def _check_grid(layer: ContinuousConv, rest: dict[str, Tensor], prefix: str) -> None:
    """Horizon and threshold must be those that the state was trained with, or the kernels are others."""
    length = int(_take(rest, f"{prefix}train_length"))  # 0 until the authors' layer has seen an input
    if length and set(layer.kernel_size) != {length}:
        raise ValueError(f"{prefix}train_length is {length}, but the layer's `kernel_size` is {layer.kernel_size}.")
    threshold = float(rest.pop(f"{prefix}mask_threshold", torch.tensor(0.1)))
    if layer.window is not None and abs(threshold - layer.window.threshold) > 1e-6:
        raise ValueError(
            f"{prefix}mask_threshold is {threshold:g}, but the window's `threshold` is {layer.window.threshold:g}."
        )


def _load_generator(generator: Generator, rest: dict[str, Tensor], prefix: str) -> None:
    if not isinstance(generator, MultiplicativeGenerator):
        raise ValueError(f"only multiplicative generators can be imported, got {type(generator).__name__}.")
    for index in range(generator.layers + 1):
        names: dict[str, Tensor] = {"linear.weight": generator.wave_vector, "linear.bias": generator.phase}
        if isinstance(generator, GaborNet | MAGNet):
            names |= {"gamma": generator.gamma, "mu": generator.mu}
        for name, target in names.items():
            _fill(
                target[index],
                _take(rest, f"{prefix}filters.{index}.{name}"),
                f"{prefix}filters.{index}.{name}",
            )
    for index in range(generator.layers):
        for name, target in (("weight", generator.mixing_weight), ("bias", generator.mixing_bias)):
            _fill(target[index], _take(rest, f"{prefix}linear.{index}.{name}"), f"{prefix}linear.{index}.{name}")
    assert generator.readout_bias is not None
    for name, target in (("weight", generator.readout_weight), ("bias", generator.readout_bias)):
        _fill(target, _take(rest, f"{prefix}output_linear.{name}"), f"{prefix}output_linear.{name}")
