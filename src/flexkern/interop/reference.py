"""Checkpoints of the authors' code (rjbruin/flexconv): their state dict into our FlexNet and FlexTCN."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..generators import GaborNet, Generator, MAGNet, MultiplicativeGenerator
from ..layers import ContinuousConv
from ..models import FlexNet, FlexTCN

UNUSED = "temperature"  # of a mask that the authors never implemented
FILTER_NAMES = {
    "linear.weight": "wave_vector",
    "linear.bias": "phase",
}
"""The authors' names of a filter's parameters, and ours."""
ENVELOPE_NAMES = {
    "gamma": "gamma",
    "mu": "mu",
}
MIXING_NAMES = {
    "weight": "mixing_weight",
    "bias": "mixing_bias",
}


@torch.no_grad()
def load_reference_state(model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Copy the parameters of the authors' network into the same network of ours.

    Multiplicative generators (MAGNet, GaborNet, FourierNet) are supported. Negative mask widths, which the authors'
    code uses by their absolute value, become positive. Widths below half a sample are raised to it.

    Args:
        model: a :class:`FlexNet` or :class:`FlexTCN` with layers of learned size, of the same sizes and with the
            authors' window, for instance ``create_model("flexnet7", window={"continuous": False})``.
        state: the authors' state dict, with its original names.

    Returns:
        ``model``, changed in place.

    Raises:
        ValueError: if an entry is missing, has the wrong shape or is not used; the message names the entry. The model
            then stays as it was.
    """
    unread = {}
    for name, value in state.items():
        if not name.endswith(UNUSED):
            unread[name] = value
    entries = _Entries(unread)
    filled = copy.deepcopy(model)  # so that a state that does not fit leaves the model as it was
    if isinstance(filled, FlexNet):
        _load_flexnet(filled, entries)
    elif isinstance(filled, FlexTCN):
        _load_flextcn(filled, entries)
    else:
        raise ValueError(f"`model` must be a FlexNet or a FlexTCN, got {type(model).__name__}.")
    if unread:
        unused = next(iter(unread))
        raise ValueError(f"the reference state has entries the model has no place for, first {unused!r}.")
    model.load_state_dict(filled.state_dict())
    return model


class _Entries:
    """The entries of a state dict whose names start with a prefix; each is removed when it is used."""

    def __init__(self, values: dict[str, Tensor], prefix: str = "") -> None:
        self.values = values
        self.prefix = prefix

    def below(self, name: str, index: int | None = None) -> "_Entries":
        """Return the entries of a sub-module, or of one of its numbered modules."""
        prefix = f"{self.prefix}{name}."
        if index is not None:
            prefix = f"{prefix}{index}."
        return _Entries(self.values, prefix)

    def take(self, name: str) -> Tensor:
        """Remove an entry and return it."""
        name = self.prefix + name
        if name not in self.values:
            raise ValueError(f"the reference state has no entry {name!r}.")
        return self.values.pop(name)

    def take_or(self, name: str, default: float) -> float:
        """Remove a number and return it; ``default`` if it is missing."""
        value = self.values.pop(self.prefix + name, None)
        return default if value is None else float(value)

    def fill(self, target: Tensor, name: str) -> None:
        """Move an entry into ``target``, whose shape may differ in trailing axes of length 1."""
        value = self.take(name)
        expected = tuple(target.shape)
        shape = tuple(value.shape)
        if _without_trailing_ones(shape) != _without_trailing_ones(expected):
            name = self.prefix + name
            raise ValueError(f"{name!r} has shape {shape}, expected {expected}.")
        target.copy_(value.reshape(target.shape))


def _without_trailing_ones(shape: tuple[int, ...]) -> list[int]:
    """Return a shape without trailing axes of length 1: the authors store pointwise maps as 1x1 convolutions."""
    sizes = list(shape)
    while sizes and sizes[-1] == 1:
        sizes.pop()
    return sizes


def _load_flexnet(model: FlexNet, entries: _Entries) -> None:
    _load_conv(model.stem[0], entries.below("cconv1"))
    _load_plain(model.stem[1], entries.below("norm1"))
    for index, block in enumerate(model.blocks):
        _load_block(block, entries.below("blocks", index))
    _load_plain(model.head, entries.below("out_layer"))


def _load_flextcn(model: FlexTCN, entries: _Entries) -> None:
    for index, block in enumerate(model.blocks):
        _load_block(block, entries.below("backbone", index))
    _load_plain(model.head, entries.below("finallyr"))


def _load_block(block: nn.Module, entries: _Entries) -> None:
    body = block.body
    assert isinstance(body, nn.Sequential)
    _load_conv(body[0], entries.below("cconv1"))
    _load_plain(body[1], entries.below("norm1"))
    _load_conv(body[4], entries.below("cconv2"))
    _load_plain(body[5], entries.below("norm2"))
    if isinstance(block.shortcut, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        _load_plain(block.shortcut, entries.below("shortcut", 0))


def _load_plain(module: nn.Module, entries: _Entries) -> None:
    """Load a norm or linear map, whose entries have the same names as ours."""
    for name, target in module.state_dict(keep_vars=True).items():
        entries.fill(target, name)


def _load_conv(layer: nn.Module, entries: _Entries) -> None:
    if not isinstance(layer, ContinuousConv):
        raise ValueError(f"`model` must consist of learned-size layers, got {type(layer).__name__}.")
    window = layer.window
    if window is not None and window.continuous:
        raise ValueError("`model` must have the authors' window: build it with GaussianWindow(continuous=False).")
    _check_grid(layer, entries)
    if layer.bias is not None:
        entries.fill(layer.bias, "bias")
    if window is not None:
        mask = entries.take("mask_params").to(window.centre.dtype)  # one row per axis: mean, sigma
        window.centre.copy_(mask[:, 0])
        window.set_width(mask[:, 1].abs())
    _load_generator(layer.generator, entries.below("Kernel"))


def _check_grid(layer: ContinuousConv, entries: _Entries) -> None:
    """Check that kernel size and threshold are those of the training; otherwise the kernels would be others."""
    prefix = entries.prefix
    length = int(entries.take("train_length"))  # 0 until the authors' layer has seen an input
    if length and set(layer.kernel_size) != {length}:
        raise ValueError(f"{prefix}train_length is {length}, but the layer's `kernel_size` is {layer.kernel_size}.")
    threshold = entries.take_or("mask_threshold", 0.1)
    if layer.window is not None and abs(threshold - layer.window.threshold) > 1e-6:
        raise ValueError(
            f"{prefix}mask_threshold is {threshold:g}, but the window's `threshold` is {layer.window.threshold:g}."
        )


def _load_generator(generator: Generator, entries: _Entries) -> None:
    if not isinstance(generator, MultiplicativeGenerator):
        raise ValueError(f"only multiplicative generators can be imported, got {type(generator).__name__}.")
    filter_names = FILTER_NAMES
    if isinstance(generator, GaborNet | MAGNet):
        filter_names = FILTER_NAMES | ENVELOPE_NAMES
    for index in range(generator.layers + 1):
        _load_generator_layer(generator, index, entries.below("filters", index), filter_names)
    for index in range(generator.layers):
        _load_generator_layer(generator, index, entries.below("linear", index), MIXING_NAMES)
    readout_entries = entries.below("output_linear")
    assert generator.readout_bias is not None
    readout_entries.fill(generator.readout_weight, "weight")
    readout_entries.fill(generator.readout_bias, "bias")


def _load_generator_layer(
    generator: MultiplicativeGenerator,
    index: int,
    entries: _Entries,
    names: Mapping[str, str],
) -> None:
    """Load one layer of the generator; our parameters have all layers in one tensor."""
    for theirs, ours in names.items():
        layers: Tensor = getattr(generator, ours)
        entries.fill(layers[index], theirs)
