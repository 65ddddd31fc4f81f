"""One network at several resolutions: kernels sampled more or less densely, statistics of norms estimated again."""

import copy
import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._support.modes import evaluating

INTERPOLATION: dict[type, str] = {
    nn.Conv1d: "linear",
    nn.Conv2d: "bilinear",
    nn.Conv3d: "trilinear",
}
"""Ordinary convolutions that can be enlarged, and how their weights are interpolated."""
Scale = float | Sequence[float]
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def at_resolution(model: nn.Module, scale: Scale, *, plain: str = "keep") -> nn.Module:
    r"""Return a copy of a model for signals that are sampled ``scale`` times as densely as its present ones.

    Continuous kernels keep their extent in coordinates. They have more or fewer samples, each weighted by the length it
    represents:

    .. math:: \psi'(x_j) = \frac{1}{\prod_a s_a} \psi(x_j), \qquad x_{j+1} - x_j = \frac{2}{s (k - 1)}

    This is Romero et al. 2022, generalised to any scale and to one scale per axis. Parameters and state dict are those
    of ``model``, and going back with ``1 / scale`` loses nothing. Sizes in samples that do not belong to kernels of
    this library (strides, pooling) stay.

    Args:
        model: the model to copy.
        scale: new resolution divided by the old one, for all axes or one per axis.
        plain: treatment of ordinary convolutions. "keep" leaves them alone. "enlarge" interpolates their weights
            linearly to the nearest odd (even) size, and multiplies them by the ratio of the numbers of taps. The
            generators Q of adaptive layers always keep their samples.

    Raises:
        ValueError: if ``scale`` is not positive, some kernel would be smaller than one sample, or "enlarge" meets a
            subclass of torch's convolutions. The message names the layer.

    Example:
        >>> import flexkern
        >>> layer = flexkern.FlexConv2d(1, 4, kernel_size=17, padding="same")
        >>> layer.size, at_resolution(layer, 2.0)(torch.zeros(1, 32, 32)).shape
        ((3, 3), torch.Size([4, 32, 32]))
    """
    if plain not in ("keep", "enlarge"):
        raise ValueError(f"`plain` must be 'keep' or 'enlarge', got {plain!r}.")
    scales = (scale,) if isinstance(scale, int | float) else scale
    if not _all_positive(scales):
        raise ValueError(f"`scale` must be positive, got {scale}.")
    copied = copy.deepcopy(model)
    resampled: dict[nn.Module, nn.Module] = {}  # a layer with two names stays one layer
    for name, module in list(copied.named_modules(remove_duplicate=False)):
        if module not in resampled:
            resampled[module] = _resample_named(name, module, scale, plain)
        replacement = resampled[module]
        if not name:
            copied = replacement
        elif replacement is not module:
            copied.set_submodule(name, replacement)
    return copied


def _all_positive(scales: Sequence[float]) -> bool:
    return all(0 < scale < math.inf for scale in scales)


def _resample_named(name: str, module: nn.Module, scale: Scale, plain: str) -> nn.Module:
    """Resample a module; errors name it."""
    try:
        return _resample(module, scale, plain)
    except ValueError as error:
        message = f"layer {name!r}: {error}" if name else str(error)
        raise ValueError(message) from None


def _resample(module: nn.Module, scale: Scale, plain: str) -> nn.Module:
    """Return the module at another resolution: itself, changed in place, unless an ordinary convolution is enlarged."""
    if callable(getattr(type(module), "resample", None)):
        module.resample(scale)  # type: ignore[operator]
    elif plain == "enlarge" and isinstance(module, tuple(INTERPOLATION)):
        if type(module) not in INTERPOLATION:
            raise ValueError(f"`plain='enlarge'` knows torch's own convolutions only, got {type(module).__name__}.")
        return _enlarge(module, scale)
    return module


@torch.no_grad()
def _enlarge(conv: Any, scale: Scale) -> nn.Module:
    """Return the same layer with another kernel size, and padding to match."""
    axes = len(conv.kernel_size)
    scales = (scale,) * axes if isinstance(scale, int | float) else tuple(scale)
    if len(scales) != axes or not _all_positive(scales):
        raise ValueError(f"`scale` must be positive, one or {axes} numbers, got {scale}.")
    size = tuple(map(_nearest_size, conv.kernel_size, scales))
    enlarged = type(conv)(
        conv.in_channels,
        conv.out_channels,
        size,
        conv.stride,
        _enlarged_padding(conv, size),
        conv.dilation,
        conv.groups,
        bias=conv.bias is not None,
        padding_mode=conv.padding_mode,
        device=conv.weight.device,
        dtype=conv.weight.dtype,
    )
    mode = INTERPOLATION[type(conv)]
    weight = F.interpolate(conv.weight, size, mode=mode, align_corners=True)
    ratio = math.prod(conv.kernel_size) / math.prod(size)
    enlarged.weight.copy_(weight * ratio)
    if conv.bias is not None:
        enlarged.bias.copy_(conv.bias)
    for name, parameter in enlarged.named_parameters():
        original = conv.get_parameter(name)
        parameter.requires_grad_(original.requires_grad)
    return enlarged.train(conv.training)


def _enlarged_padding(conv: Any, size: tuple[int, ...]) -> str | tuple[int, ...]:
    """Return the padding that grows as the kernel does; "same" and "valid" stay."""
    if isinstance(conv.padding, str):
        return conv.padding
    padding = []
    for samples, new, old, dilation in zip(conv.padding, size, conv.kernel_size, conv.dilation, strict=True):
        growth = dilation * (new - old) // 2
        padding.append(max(samples + growth, 0))
    return tuple(padding)


def _nearest_size(size: int, scale: float) -> int:
    """Return the size of the same parity that covers nearly the same extent."""
    odd = size % 2
    half = (size - odd) * scale / 2
    return max(2 * round(half) + odd, 1)


@torch.no_grad()
def refresh_norms(model: nn.Module, batches: Iterable[Tensor]) -> nn.Module:
    """Estimate the statistics of batch norms again from inputs without labels, in place; return the model.

    After a change of resolution the statistics are slightly different. All batches have the same weight, and dropout is
    off. Nothing changes if there are no batches, or if the model raises an error for one of them.

    Example:
        >>> net = nn.Sequential(nn.BatchNorm1d(1))
        >>> refresh_norms(net, [torch.full((4, 1), 3.0)])[0].running_mean.item()
        3.0
    """
    norms = []
    for module in model.modules():
        if isinstance(module, NORMS) and module.running_mean is not None:
            norms.append(module)
    momenta = [norm.momentum for norm in norms]
    states = [copy.deepcopy(norm.state_dict()) for norm in norms]
    try:
        with evaluating(model):
            for index, batch in enumerate(batches):
                for norm in norms:
                    if index == 0:
                        norm.reset_running_stats()
                    norm.train()
                    norm.momentum = None  # the mean over batches
                model(batch)
    except BaseException:
        for norm, state in zip(norms, states, strict=True):
            norm.load_state_dict(state)
        raise
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    return model
