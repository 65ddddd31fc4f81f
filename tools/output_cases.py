"""The computations that ``outputs.py`` compares: layers, convolutions, models, shipped weights, analysis, recipes.

Every function here yields pairs of a name and a value, which is a tensor or plain data. Only public names are used, and
modules that moved are looked for at their new place first, so that the same file serves versions before and after.
"""

import csv
import functools
import importlib
import inspect
import itertools
import json
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import flexkern
from flexkern.analysis import adaptivity, count_cost, energy_above_nyquist, with_mean_kernels
from flexkern.engines import FactoredWeight, convolve
from flexkern.models import model_options

Entries = Iterator[tuple[str, Any]]
Case = tuple[str, Callable[[], nn.Module], tuple[int, ...]]
"""A name, what builds the layer, and the shape of its input."""

SIGNALS = {1: (24,), 2: (12, 10), 3: (7, 6, 8)}
"""Input samples per axis, by number of axes."""
KERNELS = {1: (9,), 2: (9, 7), 3: (5, 3, 5)}
SQUARES = {1: 9, 2: 7, 3: 5}
ENGINES = ("direct", "fft", "dft", "overlap_save")
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")
GENERATORS = tuple(sorted(flexkern.GENERATORS))
LARGE_ADAPTIVE = {1: (5, 4, 4000), 2: (5, 4, 48, 40), 3: (2, 4, 12, 12, 14)}
"""Inputs whose kernels are computed in several blocks, by number of axes."""
SHARINGS = ("pair", "shared", "full", "depthwise")
SQUASHES = ("tanh", "hardtanh", "gaussian", "softmax")

RECIPE_LIMITS = {"mnist": 2000, "cifar10": 600}
"""Training images that a recipe of larger data is limited to; a fifth as many are kept for its test."""
RECIPE_CHANGES: dict[str, dict[str, Any]] = {"cifar10-adaptive-resnet18": {"train_share": 0.25}}
"""Further changes that keep one epoch of a recipe short."""


def import_moved(*names: str) -> Any:
    """Import the first of several modules that exists: the new place, then the old one."""
    for name in names[:-1]:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
    return importlib.import_module(names[-1])


def import_training(module: str) -> Any:
    """Import a module of the training package."""
    return import_moved(f"flexkern.app.training{module}", f"flexkern.training{module}")


def option_of(function: Callable[..., Any], *names: str) -> str:
    """Return the first of several names that is a parameter of ``function``: the new name, then the old one."""
    parameters = inspect.signature(function).parameters
    return next(name for name in names if name in parameters)


def seed_from(name: str) -> None:
    """Seed torch by a name, so that a new case leaves the others as they are."""
    torch.manual_seed(zlib.crc32(name.encode()))


# Layers


def layer_entries() -> Entries:
    """Yield what every case of every layer family computes."""
    families = (flex_cases, continuous_cases, separable_cases, adaptive_cases, adaptive_flex_cases)
    for cases in families:
        for name, build, shape in cases():
            yield from run_layer(f"layers/{name}", build, shape)


def run_layer(name: str, build: Callable[[], nn.Module], shape: tuple[int, ...]) -> Entries:
    """Yield state, outputs and gradients of a new layer, then its outputs after a step, frozen and resampled."""
    seed_from(name)
    layer = build()
    dtype = next(layer.parameters()).dtype
    yield f"{name}/attributes", {attribute: read_attribute(layer, attribute) for attribute in ATTRIBUTES}
    yield from state_entries(f"{name}/state", layer)
    signal = torch.randn(shape, dtype=dtype)
    if name.endswith("channels_last"):
        signal = signal.to(memory_format=torch.channels_last)
    yield from gradient_entries(f"{name}/training", layer, signal)
    take_step(layer)
    yield f"{name}/stepped/sizes", flexkern.sizes(layer)
    yield f"{name}/stepped/output", layer(signal)
    layer.eval()
    with torch.no_grad():
        yield f"{name}/eval/output", layer(signal)
        yield f"{name}/eval/again", layer(signal)
        yield from resampled_entries(f"{name}/resampled", layer, signal)
        flexkern.freeze_sizes(layer)
        yield f"{name}/frozen/output", layer(signal)
    flexkern.unfreeze_sizes(layer)
    seed_from(f"{name}/reset")
    layer.reset_parameters()
    yield from state_entries(f"{name}/reset", layer)


ATTRIBUTES = ("in_channels", "out_channels", "kernel_size", "bounds", "size")


def read_attribute(layer: nn.Module, attribute: str) -> Any:
    """Return an attribute of a layer, None where the family has none."""
    return getattr(layer, attribute, None)


def state_entries(name: str, module: nn.Module) -> Entries:
    """Yield the keys of a state dict, in order, and its values."""
    state = module.state_dict()
    yield f"{name}/keys", list(state)
    yield f"{name}/learned", [key for key, parameter in module.named_parameters() if parameter.requires_grad]
    for key, value in state.items():
        yield f"{name}/{key}", value


def gradient_entries(name: str, layer: nn.Module, signal: Tensor) -> Entries:
    """Yield the output of a layer in training, the gradients of a weighted sum, and gradients of those."""
    signal = signal.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    parameters = dict(layer.named_parameters())
    output = layer(signal)
    yield f"{name}/output", output
    weights = torch.randn(output.shape, dtype=output.dtype)
    total = (output * weights).sum()
    (input_gradient,) = torch.autograd.grad(total, signal, create_graph=True)
    total.backward(retain_graph=True)
    yield f"{name}/gradient of input", signal.grad
    for key, parameter in parameters.items():
        yield f"{name}/gradient of {key}", parameter.grad
    if not input_gradient.requires_grad:
        return
    penalty = input_gradient.square().sum()
    second = torch.autograd.grad(penalty, [signal, *parameters.values()], allow_unused=True)
    for key, gradient in zip(["input", *parameters], second, strict=True):
        yield f"{name}/second gradient of {key}", gradient


def take_step(layer: nn.Module) -> None:
    """Make a small step of an optimiser with the gradients at hand, one by which sizes grow."""
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.01)
    for parameter in layer.parameters():
        if parameter.grad is not None:
            parameter.grad /= 1 + parameter.grad.norm()
    for parameter in flexkern.size_parameters(layer):
        parameter.grad = torch.full_like(parameter, -20.0)
    optimiser.step()
    optimiser.zero_grad()


def resampled_entries(name: str, layer: nn.Module, signal: Tensor) -> Entries:
    """Yield the output for a signal of twice the resolution, and what is not possible."""
    axes = range(signal.dim() - layer.dims, signal.dim())
    finer = signal
    for axis in axes:
        finer = finer.repeat_interleave(2, axis)
    for scale, scaled in ((2.0, finer), (1.5, finer)):
        try:
            copy = flexkern.at_resolution(layer, scale)
            yield f"{name}/{scale}/sizes", flexkern.sizes(copy)
            yield f"{name}/{scale}/output", copy(scaled)
        except ValueError as error:
            yield f"{name}/{scale}/refused", type(error).__name__


def case(name: str, layer: Callable[..., nn.Module], *arguments: Any, shape: Sequence[int], **options: Any) -> Case:
    """Return a case; the layer is built later."""
    return name, functools.partial(layer, *arguments, **options), tuple(shape)


def layers_of(family: str) -> dict[int, Callable[..., nn.Module]]:
    """Return the layers of a family by number of axes."""
    layers = {}
    for dims in SIGNALS:
        layer = getattr(flexkern, f"{family}{dims}d", None)
        if layer is not None:
            layers[dims] = layer
    return layers


def flex_cases() -> Iterator[Case]:
    """Yield cases of FlexConv in all dimensions."""
    window = flexkern.GaussianWindow
    for dims, layer in layers_of("FlexConv").items():
        yield from common_cases(f"FlexConv{dims}d", layer, dims)
        yield from size_cases(f"FlexConv{dims}d", layer, dims)
        options = {
            "per_channel": window(per_channel=True),
            "not continuous": window(continuous=False),
            "per_channel, not continuous": window(per_channel=True, continuous=False),
            "threshold": window(threshold=0.01, width=0.6),
            "centre": window(centre=0.25, learn_centre=False),
            "fixed width": window(learn_width=(False, *(True,) * (dims - 1))),
            "nothing learned": window(learn_width=False, learn_centre=False),
        }
        for name, factory in options.items():
            yield case(
                f"FlexConv{dims}d/window {name}",
                layer,
                *(3, 4, KERNELS[dims]),
                shape=(2, 3, *SIGNALS[dims]),
                padding="same",
                window=factory,
            )


def continuous_cases() -> Iterator[Case]:
    """Yield cases of CKConv in all dimensions."""
    for dims, layer in layers_of("CKConv").items():
        yield from common_cases(f"CKConv{dims}d", layer, dims)


def common_cases(name: str, layer: Callable[..., nn.Module], dims: int) -> Iterator[Case]:
    """Yield cases of the arguments that layers with a continuous kernel share."""
    kernel, signal = KERNELS[dims], SIGNALS[dims]
    shape = (2, 4, *signal)
    same = functools.partial(case, shape=shape, padding="same")
    yield case(f"{name}/default", layer, 4, 6, kernel, shape=shape)
    yield case(f"{name}/int kernel", layer, 4, 6, SQUARES[dims], shape=shape, padding=2)
    if dims < 3:
        yield case(f"{name}/long kernel", layer, 4, 6, 33, shape=shape, padding=16)
    yield case(f"{name}/one sample", layer, 4, 6, 1, shape=shape)
    yield case(f"{name}/unbatched", layer, 4, 6, kernel, shape=shape[1:], padding="same")
    yield same(f"{name}/even kernel", layer, 4, 6, tuple(k - 1 for k in kernel))
    yield same(f"{name}/no bias", layer, 4, 6, kernel, bias=False)
    yield same(f"{name}/double", layer, 4, 6, kernel, dtype=torch.float64)
    yield same(f"{name}/groups", layer, 4, 6, kernel, groups=2)
    yield same(f"{name}/depthwise", layer, 4, 4, kernel, groups=4)
    yield same(f"{name}/dilation", layer, 4, 6, tuple(k // 2 for k in kernel), dilation=2)
    yield case(f"{name}/stride", layer, 4, 6, kernel, stride=2, padding=1, shape=shape)
    if dims == 2:
        yield same(f"{name}/channels_last", layer, 4, 6, kernel)
    for mode in PADDING_MODES:
        yield same(f"{name}/padding_mode {mode}", layer, 4, 6, kernel, padding_mode=mode)
        yield case(f"{name}/padding_mode {mode}, 2", layer, 4, 6, kernel, shape=shape, padding=2, padding_mode=mode)
    for generator in GENERATORS:
        yield same(f"{name}/generator {generator}", layer, 4, 6, kernel, generator=generator)
    for engine in ENGINES:
        yield from engine_cases(f"{name}/engine {engine}", functools.partial(layer, engine=engine), dims)
    if dims == 1:
        yield from causal_cases(name, layer)


def engine_cases(name: str, layer: Callable[..., nn.Module], dims: int) -> Iterator[Case]:
    """Yield cases of one engine: dense, strided and dilated, grouped, depthwise."""
    kernel = KERNELS[dims]
    shape = (3, 4, *SIGNALS[dims])
    yield case(f"{name}, dense", layer, 4, 6, kernel, shape=shape, padding="same")
    yield case(f"{name}, strided", layer, 4, 6, kernel, shape=shape, stride=2, padding=3, dilation=1)
    yield case(f"{name}, dilated", layer, 4, 6, tuple(k // 2 for k in kernel), shape=shape, dilation=2)
    yield case(f"{name}, groups", layer, 4, 6, kernel, shape=shape, padding="same", groups=2)
    yield case(f"{name}, depthwise", layer, 4, 4, kernel, shape=shape, padding="same", groups=4)
    yield case(f"{name}, siren", layer, 4, 6, kernel, shape=shape, padding="same", generator="siren")
    yield case(f"{name}, points", layer, 4, 6, kernel, shape=shape, padding="same", generator="points")


def causal_cases(name: str, layer: Callable[..., nn.Module]) -> Iterator[Case]:
    """Yield cases of causal layers."""
    shape = (2, 3, 40)
    yield case(f"{name}/causal", layer, 3, 4, 33, shape=shape, causal=True)
    yield case(f"{name}/causal, even", layer, 3, 4, 40, shape=shape, causal=True)
    yield case(f"{name}/causal, stride and dilation", layer, 3, 4, 9, shape=shape, causal=True, stride=2, dilation=3)
    yield case(f"{name}/causal, replicate", layer, 3, 4, 17, shape=shape, causal=True, padding_mode="replicate")
    for engine in ENGINES:
        yield case(f"{name}/causal, {engine}", layer, 3, 4, 33, shape=shape, causal=True, engine=engine)
    for generator in GENERATORS:
        yield case(f"{name}/causal, {generator}", layer, 3, 4, 33, shape=shape, causal=True, generator=generator)


def size_cases(name: str, layer: Callable[..., nn.Module], dims: int) -> Iterator[Case]:
    """Yield cases of initial sizes, at which an engine other than the direct one may pay."""
    shape = (2, 3, *SIGNALS[dims])
    yield case(f"{name}/init_size", layer, 3, 4, SQUARES[dims], shape=shape, padding="same", init_size=5)
    yield case(f"{name}/whole", layer, 3, 4, SQUARES[dims], shape=shape, padding="same", init_size=SQUARES[dims])
    if dims < 3:
        large = (2, 16, *(64,) * dims)
        yield case(f"{name}/large", layer, 16, 16, 33, shape=large, padding="same", init_size=31)


def separable_cases() -> Iterator[Case]:
    """Yield cases of SeparableFlexConv in all dimensions."""
    for dims, layer in layers_of("SeparableFlexConv").items():
        name, kernel = f"SeparableFlexConv{dims}d", KERNELS[dims]
        shape = (2, 4, *SIGNALS[dims])
        same = functools.partial(case, shape=shape, padding="same")
        yield case(f"{name}/default", layer, 4, 6, kernel, shape=shape)
        yield case(f"{name}/unbatched", layer, 4, 6, kernel, shape=shape[1:], padding="same")
        yield case(f"{name}/stride", layer, 4, 6, kernel, stride=2, padding=2, shape=shape)
        yield same(f"{name}/no bias", layer, 4, 6, kernel, bias=False)
        yield same(f"{name}/double", layer, 4, 6, kernel, dtype=torch.float64)
        yield same(f"{name}/dilation", layer, 4, 6, tuple(k // 2 for k in kernel), dilation=2)
        yield same(f"{name}/window", layer, 4, 6, kernel, window=flexkern.GaussianWindow(per_channel=True))
        yield from size_cases(name, layer, dims)
        for mode in PADDING_MODES:
            yield same(f"{name}/padding_mode {mode}", layer, 4, 6, kernel, padding_mode=mode)
        for engine in ENGINES:
            yield same(f"{name}/engine {engine}", layer, 4, 6, kernel, engine=engine)
        for generator in GENERATORS:
            yield same(f"{name}/generator {generator}", layer, 4, 6, kernel, generator=generator)
        if dims == 1:
            yield case(f"{name}/causal", layer, 4, 6, 17, shape=shape, causal=True)


def adaptive_cases() -> Iterator[Case]:
    """Yield cases of AdaptiveConv in all dimensions."""
    for dims, layer in layers_of("AdaptiveConv").items():
        name, shape = f"AdaptiveConv{dims}d", (2, 4, *SIGNALS[dims])
        same = functools.partial(case, shape=shape, padding="same")
        for sharing, squash, normalize in itertools.product(SHARINGS, (*SQUASHES, torch.sin), (False, True)):
            squash_name = squash if isinstance(squash, str) else "custom"
            label = f"{name}/{sharing}, {squash_name}, normalize={normalize}"
            yield same(label, layer, 4, 4, 3, sharing=sharing, squash=squash, normalize=normalize)
        for sharing in SHARINGS:
            groups = 1 if sharing == "depthwise" else 2
            variant = functools.partial(layer, sharing=sharing)
            label = f"{name}/{sharing}"
            yield case(f"{label}, default", variant, 4, 4, 3, shape=shape)
            yield same(f"{label}, unbatched", variant, 4, 4, 3, shape=shape[1:])
            yield same(f"{label}, groups", variant, 4, 4, 3, groups=groups)
            yield same(f"{label}, stored", variant, 4, 4, 3, remat=False)
            yield same(f"{label}, no biases", variant, 4, 4, 3, bias=False, bias_generator=False)
            yield same(f"{label}, small generator", variant, 4, 4, 3, generator_size=1)
            yield same(f"{label}, large generator", variant, 4, 4, 2, generator_size=5)
            yield same(f"{label}, double", variant, 4, 4, 3, dtype=torch.float64)
            yield same(f"{label}, dilation", variant, 4, 4, 3, dilation=2)
            yield case(f"{label}, stride", variant, 4, 4, (3, 2, 3)[:dims], shape=shape, stride=2, padding=1)
            for mode in PADDING_MODES:
                yield same(f"{label}, padding_mode {mode}", variant, 4, 4, 3, padding_mode=mode)
        yield case(f"{name}/several blocks", layer, 4, 8, 3, shape=LARGE_ADAPTIVE[dims])
    yield case("AdaptiveConv2d/several samples at a time", flexkern.AdaptiveConv2d, 2, 2, 9, shape=(3, 2, 60, 60))


def adaptive_flex_cases() -> Iterator[Case]:
    """Yield cases of AdaptiveFlexConv."""
    for dims, layer in layers_of("AdaptiveFlexConv").items():
        mixing = option_of(layer, "mixing_size", "generator_size")
        name, kernel = f"AdaptiveFlexConv{dims}d", KERNELS[dims]
        shape = (2, 3, *SIGNALS[dims])
        same = functools.partial(case, shape=shape, padding="same")
        yield case(f"{name}/default", layer, 3, 4, kernel, shape=shape)
        yield case(f"{name}/unbatched", layer, 3, 4, kernel, shape=shape[1:], padding="same")
        # With one sample of mixing, oneDNN 3.12 writes beyond a buffer: channels last, fewer than 8 channels, AVX2.
        yield case(f"{name}/stride", layer, 3, 4, kernel, stride=2, padding=2, shape=shape, **{mixing: 3})
        yield same(f"{name}/no bias", layer, 3, 4, kernel, bias=False)
        yield same(f"{name}/double", layer, 3, 4, kernel, dtype=torch.float64)
        yield same(f"{name}/dilation", layer, 3, 4, tuple(k // 2 for k in kernel), dilation=2)
        yield same(f"{name}/window", layer, 3, 4, kernel, window=flexkern.GaussianWindow(continuous=False))
        yield from size_cases(name, layer, dims)
        for rank, squash in itertools.product((1, 3), ("tanh", "hardtanh", "softmax")):
            yield same(f"{name}/rank {rank}, {squash}", layer, 3, 4, kernel, rank=rank, squash=squash)
        for size in (2, 3):
            yield same(f"{name}/mixing {size}", layer, 3, 4, kernel, **{mixing: size})
        for mode in PADDING_MODES:
            yield same(f"{name}/padding_mode {mode}", layer, 3, 4, kernel, padding_mode=mode, **{mixing: 3})
        for engine in ENGINES:
            yield same(f"{name}/engine {engine}", layer, 3, 4, kernel, engine=engine)
        for generator in GENERATORS:
            yield same(f"{name}/generator {generator}", layer, 3, 4, kernel, generator=generator)
        if dims == 1:
            yield case(f"{name}/causal", layer, 3, 4, 17, shape=shape, causal=True, **{mixing: 3})


# Convolutions


def convolution_entries() -> Entries:
    """Yield what the engines compute from a signal and a dense or factored weight."""
    geometries = {
        "plain": {},
        "padded": {"padding": ((3, 1), (0, 2), (1, 1))},
        "cut off": {"padding": ((-1, 2), (1, -2), (0, -1))},
        "strided": {"stride": (2, 1, 2), "padding": ((1, 1), (2, 2), (0, 0))},
        "dilated": {"dilation": (2, 3, 1)},
    }
    dtypes = (torch.float32, torch.float64)
    for dims, engine, dtype in itertools.product(SIGNALS, (*ENGINES, "auto"), dtypes):
        for geometry, settings in geometries.items():
            per_axis = {key: value[:dims] for key, value in settings.items()}
            for kind, groups in (("dense", 1), ("dense", 2), ("depthwise", 6), ("factored", 1), ("factored", 2)):
                name = f"convolve/{dims}d {engine} {str(dtype)[6:]} {geometry} {kind} groups={groups}"
                seed_from(name)
                weight = make_weight(kind, groups, KERNELS[dims], dtype)
                yield from run_convolution(name, weight, dims, engine=engine, groups=groups, **per_axis)


def make_weight(kind: str, groups: int, kernel: tuple[int, ...], dtype: torch.dtype) -> list[Tensor]:
    """Return the weight of a convolution of 6 channels as a list: itself, or its readout and features."""
    smaller = tuple(max(k // 2, 1) for k in kernel)
    fan_in = 6 // groups
    if kind == "factored":
        return [torch.randn(6, fan_in, 5, dtype=dtype), torch.randn(5, *smaller, dtype=dtype)]
    return [torch.randn(6, fan_in, *smaller, dtype=dtype)]


def run_convolution(name: str, factors: list[Tensor], dims: int, **options: Any) -> Entries:
    """Yield output and gradients of a convolution, without and with gradients recorded."""
    dtype = factors[0].dtype
    tensors = [torch.randn(3, 6, *SIGNALS[dims], dtype=dtype), *factors, torch.randn(6, dtype=dtype)]

    def compute() -> Tensor:
        signal, *weights, bias = tensors
        weight = FactoredWeight(*weights) if len(weights) == 2 else weights[0]
        return convolve(signal, weight, bias, **options)

    yield f"{name}/output", compute()
    for tensor in tensors:
        tensor.requires_grad_()
    output = compute()
    yield f"{name}/output with gradients", output
    gradients = torch.autograd.grad((output * torch.randn_like(output)).sum(), tensors)
    for index, gradient in enumerate(gradients):
        yield f"{name}/gradient {index}", gradient


# Models


def model_entries() -> Entries:
    """Yield what every model computes with small options, and the state of its default."""
    yield "models/names", flexkern.list_models()
    for name in flexkern.list_models():
        yield f"models/{name}/options", model_options(name)
        with torch.device("meta"):
            default = flexkern.create_model(name)
        yield f"models/{name}/default", {key: list(value.shape) for key, value in default.state_dict().items()}
        options, shape = small_options(name)
        yield from run_model(f"models/{name}", name, options, shape)
    for label, name, options in MODEL_VARIANTS:
        small, shape = small_options(name)
        yield from run_model(f"models/{label}", name, {**small, **options}, shape)


MODEL_VARIANTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("flexnet, siren", "flexnet", {"generator": {"name": "siren", "hidden": 16}}),
    ("flexnet, per channel", "flexnet", {"window": {"per_channel": True}}),
    ("flexnet, fft", "flexnet", {"engine": "fft", "init_size": 7}),
    ("flextcn, overlap_save", "flextcn", {"engine": "overlap_save", "init_size": 15}),
    ("thin_resnet, adaptive", "thin_resnet", {"adaptive": "everywhere"}),
    ("adaptive_lenet, gaussian", "adaptive_lenet", {"squash": "gaussian"}),
    ("adaptive_lenet, frozen", "adaptive_lenet", {"frozen": True}),
)


def small_options(name: str) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Return options that make a model small, and the shape of an input of two samples."""
    options = model_options(name)
    if "blocks" in options:
        return {"kernel_size": 7 if name == "convtcn" else 31, "width": 6, "in_channels": 2}, (2, 2, 40)
    if "factors" in options:
        return {"kernel_size": 3 if name == "convnet" else 13, "width": 6}, (2, 3, 16, 16)
    if "lenet" in name:
        return {}, (2, 1, 28, 28)
    return {}, (2, 3, 32, 32)


def run_model(label: str, name: str, options: Mapping[str, Any], shape: tuple[int, ...]) -> Entries:
    """Yield state, outputs and gradients of a model, and its outputs at twice the resolution."""
    seed_from(label)
    model = flexkern.create_model(name, **options)
    yield from state_entries(f"{label}/state", model)
    signal = torch.randn(shape)
    output = model(signal)
    yield f"{label}/training/output", output
    output.logsumexp(1).sum().backward()
    for key, parameter in model.named_parameters():
        yield f"{label}/training/gradient of {key}", parameter.grad
    for key, buffer in model.named_buffers():
        yield f"{label}/training/buffer {key}", buffer
    yield f"{label}/sizes", flexkern.sizes(model)
    model.eval()
    with torch.no_grad():
        yield f"{label}/eval/output", model(signal)
        if flexkern.sizes(model):
            finer = signal.repeat_interleave(2, -1)
            if signal.dim() == 4:
                finer = finer.repeat_interleave(2, -2)
            copy = flexkern.refresh_norms(flexkern.at_resolution(model, 2.0), [finer])
            yield f"{label}/resampled/output", copy(finer)


# Shipped weights


def weight_entries() -> Entries:
    """Yield tensors and outputs of every weights file that comes with the package."""
    weights = import_training(".weights")
    names = sorted(weights.shipped_weights())
    yield "weights/names", names
    for name in names:
        path = weights.find_weights(name)
        model, info = weights.load_weights(path)
        yield f"weights/{name}/info", [info.model, info.options, info.in_channels, info.class_names, info.shape]
        yield from state_entries(f"weights/{name}/state", model)
        yield f"weights/{name}/sizes", flexkern.sizes(model)
        seed_from(name)
        with torch.no_grad():
            yield f"weights/{name}/output", model(torch.randn(8, info.in_channels, *info.shape))


# Analysis and regularisers


def analysis_entries() -> Entries:
    """Yield penalties with their gradients, and reports on models and layers."""
    models = {
        "flexnet": ("flexnet", {"kernel_size": 13, "width": 6, "factors": [[1, 1], [1.5, 1]]}, (3, 16, 16)),
        "gabornet": ("flexnet", {"kernel_size": 13, "width": 6, "generator": "gabornet"}, (3, 16, 16)),
        "flextcn": ("flextcn", {"kernel_size": 31, "width": 6, "in_channels": 2}, (2, 40)),
        "separable": ("separable_flexnet", {"kernel_size": 13, "width": 6}, (3, 16, 16)),
        "ckcnn": ("ckcnn", {"kernel_size": 7, "width": 4}, (3, 16, 16)),
        "adaptive": ("adaptive_lenet", {}, (1, 28, 28)),
        "thin_resnet": ("thin_resnet", {}, (3, 32, 32)),
    }
    for label, (name, options, shape) in models.items():
        seed_from(f"analysis/{label}")
        model = flexkern.create_model(name, **options)
        yield from penalty_entries(f"analysis/{label}", model, shape)
        yield from report_entries(f"analysis/{label}", model, shape)
    yield from adaptivity_entries()
    seed_from("resize")
    image = torch.randn(2, 3, 12, 15)
    yield "functional/resize", flexkern.functional.resize_bandlimited(image, (9, 20))


def penalty_entries(label: str, model: nn.Module, shape: tuple[int, ...]) -> Entries:
    """Yield the alias penalty in all its forms and the size budget, where a model has one."""
    penalty = flexkern.alias_penalty
    for method, bound in itertools.product(("together", "summed"), ("atom", "separate")):
        for settings in ({}, {"window": False}, {"resolution": 5}):
            name = f"{label}/alias penalty {method} {bound} {settings}"
            compute = functools.partial(penalty, model, method=method, bound=bound, **settings)
            yield from term_entries(name, compute, model)
    positions = flexkern.output_positions(model, shape)
    yield f"{label}/output positions", positions
    for macs in (1e3, 1e9):
        name = f"{label}/size budget {macs:g}"
        compute = functools.partial(flexkern.size_budget, model, macs, positions)
        yield from term_entries(name, compute, model)
    if positions:
        budget = import_moved("flexkern.regularisers", "flexkern.analysis")
        yield f"{label}/expected macs", budget.expected_macs(model, positions)


def term_entries(name: str, compute: Callable[[], Tensor], model: nn.Module) -> Entries:
    """Yield a term of a loss and its gradients, or the type of the error."""
    try:
        value = compute()
    except ValueError as error:
        yield f"{name}/refused", type(error).__name__
        return
    yield f"{name}/value", value
    model.zero_grad()
    value.backward()
    for key, parameter in model.named_parameters():
        if parameter.grad is not None:
            yield f"{name}/gradient of {key}", parameter.grad
    model.zero_grad()


def report_entries(label: str, model: nn.Module, shape: tuple[int, ...]) -> Entries:
    """Yield the cost of a model and the frequencies of its layers."""
    cost = count_cost(model, shape)
    yield f"{label}/cost", [cost.macs, cost.activations, cost.parameters]
    try:
        report = flexkern.alias_report(model)
    except ValueError as error:
        yield f"{label}/alias report/refused", type(error).__name__
        return
    for name, layer in report.items():
        values = [layer.nyquist, layer.generator, layer.window, layer.energy_above, layer.bound]
        yield f"{label}/alias report/{name}", values


def adaptivity_entries() -> Entries:
    """Yield how adaptive layers are, what is left with mean kernels, and the frequencies of single layers."""
    layers = {
        "computed": functools.partial(flexkern.AdaptiveConv2d, 3, 6, 3, padding="same"),
        "full": functools.partial(flexkern.AdaptiveConv2d, 3, 6, 3, padding="same", sharing="full"),
        "mixed": functools.partial(flexkern.AdaptiveFlexConv2d, 3, 6, 9, padding="same"),
    }
    for label, build in layers.items():
        seed_from(f"adaptivity/{label}")
        layer = build()
        signal = torch.randn(3, 3, 12, 12)
        measured = adaptivity(layer, signal)
        yield f"adaptivity/{label}/mean", measured.mean
        yield f"adaptivity/{label}/share", measured.share
        yield f"adaptivity/{label}/map", measured.map
        yield f"adaptivity/{label}/mean kernels", with_mean_kernels(layer, signal)(signal)
    seed_from("energy")
    for generator in GENERATORS:
        layer = flexkern.FlexConv1d(2, 3, 17, causal=True, generator=generator)
        yield f"energy above nyquist/{generator}", energy_above_nyquist(layer)


# Recipes


def recipe_entries(data_dir: Path, runs: Path, recipe_dir: Path | None) -> Entries:
    """Yield what one epoch of every recipe, shipped or in ``recipe_dir``, leaves in its run folder below ``runs``."""
    training = import_training("")
    names = training.list_recipes()
    yield "recipes/names", names
    recipes = [training.load_recipe(name) for name in names]
    if recipe_dir is not None:
        recipes = [training.load_recipe(path) for path in sorted(recipe_dir.glob("*.yaml"))]
    for recipe in recipes:
        name = recipe.name
        yield f"recipes/{name}/recipe", recipe.to_dict()
        with tempfile.TemporaryDirectory() as folder:
            changes = {"epochs": 1, "threads": 1, "accelerator": "cpu", "out": str(runs / name)}
            changes.update(RECIPE_CHANGES.get(name, {}))
            if recipe.data.name in RECIPE_LIMITS:
                changes["dir"] = str(write_limited(recipe.data.name, data_dir, Path(folder)))
            record = training.fit(training.override(recipe, changes), progress=False)
        yield from run_entries(f"recipes/{name}", runs / name, record)


def write_limited(name: str, data_dir: Path, folder: Path) -> Path:
    """Write the first images of a data set into a folder; return the file."""
    import numpy as np

    limits = {"train": RECIPE_LIMITS[name], "test": RECIPE_LIMITS[name] // 5}
    limited = {}
    with np.load(data_dir / f"{name}.npz") as arrays:
        for part, count in limits.items():
            limited[f"y_{part}"] = arrays[f"y_{part}"][:count]
            if f"jpeg_{part}" in arrays:
                offsets = arrays[f"offsets_{part}"][: count + 1]
                limited[f"offsets_{part}"] = offsets
                limited[f"jpeg_{part}"] = arrays[f"jpeg_{part}"][: offsets[-1]]
            else:
                limited[f"x_{part}"] = arrays[f"x_{part}"][:count]
    path = folder / f"{name}.npz"
    np.savez(path, **limited)
    return path


def run_entries(label: str, folder: Path, record: Any) -> Entries:
    """Yield results, weights, checkpoint and tables of a finished run."""
    weights = import_training(".weights")
    for key in ("accuracy", "validation_accuracy", "best_epoch", "epochs", "parameters", "layers"):
        yield f"{label}/record/{key}", getattr(record, key)
    yield f"{label}/record/keys", sorted(json.loads((folder / "record.json").read_text()))
    yield f"{label}/files", sorted(path.name for path in folder.iterdir() if "events" not in path.name)
    tensors, _ = weights.read_weights(folder / "weights.safetensors")
    for key, value in tensors.items():
        yield f"{label}/weights/{key}", value
    checkpoint = torch.load(folder / "last.ckpt", map_location="cpu", weights_only=True)
    yield f"{label}/checkpoint/keys", sorted(checkpoint)
    for key, value in checkpoint["state_dict"].items():
        yield f"{label}/checkpoint/{key}", value
    for table in ("metrics", "sizes"):
        path = folder / f"{table}.csv"
        if path.is_file():
            yield f"{label}/{table}", read_table(path)


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table without the times."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row.pop("seconds", None)
    return rows
