"""Models by name, from options that can be written in a file."""

import fnmatch
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
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

FLEXNET3: Factors = ((1, 1), (1.5, 1), (2, 1))  # a guess: the published net does not state its factors
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
    """A :class:`FlexNet` of ``layer``; ``options`` (generator, window, init_size, engine) go to the layer."""
    conv = functools.partial(layer, kernel_size=kernel_size, padding="same", **options)
    return FlexNet(in_channels, classes, conv, width=width, factors=factors, dropout=dropout)


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
    """A :class:`FlexTCN` of ``blocks`` blocks of ``layer``; ``options`` go to the layer."""
    conv = functools.partial(layer, kernel_size=kernel_size, causal=True, **options)
    return FlexTCN(in_channels, classes, conv, widths=(width,) * blocks, dropout=dropout)


TINY: dict[str, Any] = {"width": 4, "separable": (True, True), "mirrored": True}

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


def list_models(pattern: str = "*") -> list[str]:
    """Names of all models, or of those that match a shell pattern.

    Example:
        >>> list_models("flextcn?")
        ['flextcn2', 'flextcn4', 'flextcn6']
    """
    return sorted(fnmatch.filter(MODELS, pattern))


def create_model(name: str, **options: Any) -> nn.Module:
    """Build a model by name.

    Options are those of the network's builder (:func:`image_net`, :func:`sequence_net`,
    :func:`~flexkern.models.compact.adaptive_net` ...) and, for the first two, of the convolution. All may be
    plain values: ``generator={"name": "magnet", "hidden": 64}`` and ``window={"per_channel": True}`` are the same
    as the factories ``MAGNet(hidden=64)`` and ``GaussianWindow(per_channel=True)``.

    Raises:
        ValueError: for an unknown name or option; it names the nearest.

    Example:
        >>> model = create_model("flexnet7", in_channels=3, classes=10)
        >>> sum(p.numel() for p in model.parameters())
        671650
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}{did_you_mean(name, MODELS)} Known: {', '.join(list_models())}.")
    known = model_options(name)
    for option in options:
        if option not in known:
            raise ValueError(f"unknown option `{option}` of model {name}{did_you_mean(option, known)}")
    return MODELS[name](**_built_from_plain_values(options))


def model_options(name: str) -> list[str]:
    """Options that :func:`create_model` takes for a model.

    They are the named arguments of the network, and of its convolution those that the network leaves open.

    Example:
        >>> model_options("convtcn")
        ['in_channels', 'classes', 'kernel_size', 'width', 'blocks', 'dropout']
    """
    builder = MODELS[name]
    network = [p for p in inspect.signature(builder.func).parameters if p not in ("layer", "options")]
    convolution = inspect.signature(builder.args[0].__init__).parameters if builder.args else ()
    return network + [name for name in ("generator", "window", "init_size", "engine") if name in convolution]


def _built_from_plain_values(options: dict[str, Any]) -> dict[str, Any]:
    """Descriptions of generator and window replaced by their factories."""
    result = dict(options)
    if isinstance(options.get("generator"), Mapping):
        description = dict(options["generator"])
        result["generator"] = _factory("generator", get_generator(description.pop("name", "magnet")), description)
    if isinstance(options.get("window"), Mapping):
        result["window"] = _factory("window", GaussianWindow, options["window"])
    return result


def _factory(part: str, cls: Callable[..., Any], options: Mapping[str, Any]) -> Callable[..., Any]:
    known = [name for name in inspect.signature(cls.__init__).parameters if name != "self"]
    for option in options:
        if option not in known:
            raise ValueError(f"unknown option `{option}` of the {part}{did_you_mean(option, known)}")
    made: Callable[..., Any] = cls(**options)
    return made
