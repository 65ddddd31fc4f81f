"""Models by name, built from options that can be written in a file."""

import fnmatch
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from .._support.nearest import did_you_mean
from ..generators import get_generator
from ..layers import CKConv1d, CKConv2d, FlexConv1d, FlexConv2d, SeparableFlexConv1d, SeparableFlexConv2d
from ..windows import GaussianWindow
from .blocks import CausalConv1d
from .compact import adaptive_net, plain_net
from .flexnet import FlexNet
from .flextcn import FlexTCN
from .lenet import lenet
from .resnet import resnet18, thin_resnet

Factors = Sequence[tuple[float, int]]

FLEXNET3: Factors = ((1, 1), (1.5, 1), (2, 1))  # our guess: the paper does not give the factors of this network
FLEXNET5: Factors = ((1, 1), (1.5, 2), (2, 2))
FLEXNET7: Factors = ((1, 2), (1.5, 3), (2, 2))


def image_net(
    layer: Callable[..., nn.Module],
    in_channels: int = 3,
    classes: int = 10,
    *,
    kernel_size: int = 33,
    width: int = 24,
    factors: Factors = FLEXNET7,
    dropout: float = 0.2,
    **options: Any,
) -> FlexNet:
    """Build a :class:`FlexNet` of ``layer``.

    Args:
        layer: class of the convolutions, called with ``kernel_size``, ``padding="same"`` and ``options``.
        in_channels: channels of the input.
        classes: number of outputs.
        kernel_size: of every convolution.
        width, factors, dropout: see :class:`FlexNet`.
        options: further options of the layer: generator, window, init_size, engine.

    Example:
        >>> net = image_net(nn.Conv2d, kernel_size=3, width=8, factors=((1, 1),))
        >>> len(net.blocks)
        1
    """
    conv = functools.partial(
        layer,
        kernel_size=kernel_size,
        padding="same",
        **options,
    )
    return FlexNet(
        in_channels,
        classes,
        conv,
        width=width,
        factors=factors,
        dropout=dropout,
    )


def sequence_net(
    layer: Callable[..., nn.Module],
    in_channels: int = 1,
    classes: int = 10,
    *,
    kernel_size: int = 784,
    width: int = 30,
    blocks: int = 2,
    dropout: float = 0.1,
    **options: Any,
) -> FlexTCN:
    """Build a :class:`FlexTCN` of ``layer``.

    Args:
        layer: class of the convolutions, called with ``kernel_size``, ``causal=True`` and ``options``.
        in_channels: channels of the input.
        classes: number of outputs.
        kernel_size: of every convolution.
        width: channels of every block.
        blocks: number of blocks.
        dropout: see :class:`FlexTCN`.
        options: further options of the layer: generator, window, init_size, engine.

    Example:
        >>> net = sequence_net(CausalConv1d, kernel_size=7, width=8, blocks=3)
        >>> len(net.blocks)
        3
    """
    conv = functools.partial(
        layer,
        kernel_size=kernel_size,
        causal=True,
        **options,
    )
    return FlexTCN(
        in_channels,
        classes,
        conv,
        widths=(width,) * blocks,
        dropout=dropout,
    )


TINY: dict[str, Any] = {"width": 4, "separable": (True, True), "mirrored": True}
"""Options of the compact networks of about a thousand parameters."""

Builder = functools.partial[Any]

MODELS: dict[str, Builder] = {
    "flexnet": functools.partial(image_net, FlexConv2d),
    "flexnet3": functools.partial(image_net, FlexConv2d, factors=FLEXNET3),
    "flexnet5": functools.partial(image_net, FlexConv2d, factors=FLEXNET5, width=22),
    "flexnet7": functools.partial(image_net, FlexConv2d, factors=FLEXNET7),
    "separable_flexnet": functools.partial(image_net, SeparableFlexConv2d),
    "ckcnn": functools.partial(image_net, CKConv2d, generator="siren"),
    "convnet": functools.partial(image_net, nn.Conv2d, kernel_size=3),
    "flextcn": functools.partial(sequence_net, FlexConv1d),
    "flextcn2": functools.partial(sequence_net, FlexConv1d, blocks=2),
    "flextcn4": functools.partial(sequence_net, FlexConv1d, blocks=4),
    "flextcn6": functools.partial(sequence_net, FlexConv1d, blocks=6),
    "separable_flextcn": functools.partial(sequence_net, SeparableFlexConv1d),
    "cktcn": functools.partial(sequence_net, CKConv1d, generator="siren"),
    "convtcn": functools.partial(sequence_net, CausalConv1d, kernel_size=7),
    "adaptive_lenet": functools.partial(adaptive_net),
    "adaptive_lenet_1k": functools.partial(adaptive_net, generator_size=1, stages=((8, 9), (9, 9)), **TINY),
    "plain_lenet": functools.partial(plain_net),
    "plain_lenet_wide": functools.partial(plain_net, width=48, stages=((48, 48), (64, 64))),
    "plain_lenet_1k": functools.partial(plain_net, stages=((8, 9), (9, 10)), **TINY),
    "resnet18": functools.partial(resnet18),
    "adaptive_resnet18": functools.partial(resnet18, adaptive="stem"),
    "thin_resnet": functools.partial(thin_resnet),
    "lenet5": functools.partial(lenet),
    "lenet_caffe": functools.partial(lenet, widths=(20, 50), hidden=(500,), padding=0),
}
"""Every model by its name: a network, with the class of its convolutions and the options it presets."""

LAYER_OPTIONS = ("generator", "window", "init_size", "engine")
"""Options of a convolution that :func:`create_model` passes on."""


def list_models(pattern: str = "*") -> list[str]:
    """Return the names of all models, or of those that match a shell pattern, sorted.

    Args:
        pattern: shell pattern with ``*``, ``?`` and ``[...]``.

    Example:
        >>> list_models("flextcn?")
        ['flextcn2', 'flextcn4', 'flextcn6']
    """
    return sorted(fnmatch.filter(MODELS, pattern))


def create_model(name: str, **options: Any) -> nn.Module:
    """Build a model by name.

    All options may be plain values: ``generator={"name": "magnet", "hidden": 64}`` equals the factory
    ``MAGNet(hidden=64)``, and ``window={"per_channel": True}`` equals ``GaussianWindow(per_channel=True)``.

    Args:
        name: one of :func:`list_models`.
        options: options of the network's builder (:func:`image_net`, :func:`sequence_net`,
            :func:`~flexkern.models.compact.adaptive_net` ...) and, for the first two, of the convolution;
            :func:`model_options` lists them.

    Raises:
        ValueError: for an unknown name or option; the message suggests the nearest.

    Example:
        >>> model = create_model("flexnet7", in_channels=3, classes=10)
        >>> sum(p.numel() for p in model.parameters())
        671650
    """
    if name not in MODELS:
        hint = did_you_mean(name, MODELS)
        raise ValueError(f"unknown model {name!r}{hint} Known: {', '.join(list_models())}.")
    _check_options(options, model_options(name), f"model {name}")
    return MODELS[name](**_with_factories(options))


def model_options(name: str) -> list[str]:
    """Return the names of the options that :func:`create_model` takes for a model.

    They are the arguments of the network, and those of its convolution that the network does not set.

    Args:
        name: one of :func:`list_models`.

    Example:
        >>> model_options("convtcn")
        ['in_channels', 'classes', 'kernel_size', 'width', 'blocks', 'dropout']
    """
    builder = MODELS[name]
    arguments = inspect.signature(builder.func).parameters
    options = [argument for argument in arguments if argument not in ("layer", "options")]
    if builder.args:  # image_net and sequence_net, with the class of their convolutions
        layer_arguments = inspect.signature(builder.args[0].__init__).parameters
        options += [option for option in LAYER_OPTIONS if option in layer_arguments]
    return options


def _with_factories(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with factories in place of the plain descriptions of generator and window."""
    result = dict(options)
    generator = options.get("generator")
    if isinstance(generator, Mapping):
        description = dict(generator)
        cls = get_generator(description.pop("name", "magnet"))
        result["generator"] = _factory("generator", cls, description)
    window = options.get("window")
    if isinstance(window, Mapping):
        result["window"] = _factory("window", GaussianWindow, window)
    return result


def _factory(kind: str, cls: Callable[..., Any], options: Mapping[str, Any]) -> Callable[..., Any]:
    """Return the factory ``cls(**options)`` of a generator or window."""
    arguments = inspect.signature(cls.__init__).parameters
    known = [argument for argument in arguments if argument != "self"]
    _check_options(options, known, f"the {kind}")
    factory: Callable[..., Any] = cls(**options)
    return factory


def _check_options(options: Iterable[str], known: Sequence[str], owner: str) -> None:
    """Raise a ValueError for the first option that is not known; the message suggests the nearest."""
    for option in options:
        if option not in known:
            raise ValueError(f"unknown option `{option}` of {owner}{did_you_mean(option, known)}")
