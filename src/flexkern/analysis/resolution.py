"""One network at many resolutions: kernels sampled more or less densely, statistics of norms estimated anew."""

import copy
import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._support.modes import evaluating

PLAIN: dict[type, str] = {nn.Conv1d: "linear", nn.Conv2d: "bilinear", nn.Conv3d: "trilinear"}
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def at_resolution(model: nn.Module, scale: float | Sequence[float], *, plain: str = "keep") -> nn.Module:
    r"""A copy of a model for signals that are sampled ``scale`` times as densely as those it serves now.

    Continuous kernels cover what they covered, with more or fewer samples, each weighted by the length it stands for:

    .. math:: \psi'(x_j) = \frac{1}{\prod_a s_a} \psi(x_j), \qquad x_{j+1} - x_j = \frac{2}{s (k - 1)}

    Romero et al. 2022, for any scale and one per axis. Parameters and state dicts are those of ``model``, and going
    back with ``1 / scale`` loses nothing. Sizes in samples that are not kernels of ours (strides, pooling) stay.

    Args:
        scale: new over old resolution, for all axes or one per axis.
        plain: what becomes of ordinary convolutions: "keep" leaves them alone; "enlarge" interpolates their weights
            linearly to the nearest odd (even) size, times the ratio of the numbers of taps. So does the generator Q of
            adaptive layers stay as it is, in samples.

    Raises:
        ValueError: for a scale that is not positive or at which some kernel is smaller than one sample, and for
            subclasses of torch's convolutions that "enlarge" does not know; it names the layer.

    Example:
        >>> import flexkern
        >>> layer = flexkern.FlexConv2d(1, 4, kernel_size=17, padding="same")
        >>> layer.size, at_resolution(layer, 2.0)(torch.zeros(1, 32, 32)).shape
        ((3, 3), torch.Size([4, 32, 32]))
    """
    if plain not in ("keep", "enlarge"):
        raise ValueError(f"`plain` must be 'keep' or 'enlarge', got {plain!r}.")
    if not all(0 < s < math.inf for s in ((scale,) if isinstance(scale, int | float) else scale)):
        raise ValueError(f"`scale` must be positive, got {scale}.")
    made = copy.deepcopy(model)
    changed: dict[nn.Module, nn.Module] = {}  # a layer under two names stays one
    for name, module in list(made.named_modules(remove_duplicate=False)):
        if module not in changed:
            try:
                changed[module] = _changed(module, scale, plain)
            except ValueError as error:
                raise ValueError(f"layer {name!r}: {error}" if name else str(error)) from None
        if not name:
            made = changed[module]
        elif changed[module] is not module:
            made.set_submodule(name, changed[module])
    return made


def _changed(module: nn.Module, scale: float | Sequence[float], plain: str) -> nn.Module:
    """The module at another resolution; itself unless it is an ordinary convolution that is enlarged."""
    if callable(getattr(type(module), "resample", None)):
        module.resample(scale)  # type: ignore[operator]
    elif plain == "enlarge" and isinstance(module, tuple(PLAIN)):
        if type(module) not in PLAIN:
            raise ValueError(f"`plain='enlarge'` knows torch's own convolutions only, got {type(module).__name__}.")
        return _enlarged(module, scale)
    return module


@torch.no_grad()
def _enlarged(conv: Any, scale: float | Sequence[float]) -> nn.Module:
    """The same layer with another size of kernel; padding grows by as much."""
    old = conv.kernel_size
    scales = (scale,) * len(old) if isinstance(scale, int | float) else tuple(scale)
    if len(scales) != len(old) or not all(0 < s < math.inf for s in scales):
        raise ValueError(f"`scale` must be positive, one or {len(old)} numbers, got {scale}.")
    size, padding = tuple(map(_nearest_size, old, scales)), conv.padding
    if not isinstance(padding, str):
        axes = zip(padding, size, old, conv.dilation, strict=True)
        padding = tuple(max(p + d * (new - k) // 2, 0) for p, new, k, d in axes)
    weight = F.interpolate(conv.weight, size, mode=PLAIN[type(conv)], align_corners=True)
    made = type(conv)(
        *(conv.in_channels, conv.out_channels, size, conv.stride, padding, conv.dilation, conv.groups),
        bias=conv.bias is not None,
        padding_mode=conv.padding_mode,
        device=weight.device,
        dtype=weight.dtype,
    )
    made.weight.copy_(weight * (math.prod(old) / math.prod(size)))
    if conv.bias is not None:
        made.bias.copy_(conv.bias)
    for name, parameter in made.named_parameters():
        parameter.requires_grad_(conv.get_parameter(name).requires_grad)
    return made.train(conv.training)


def _nearest_size(size: int, scale: float) -> int:
    """The size of the same parity that covers nearly the same extent."""
    odd = size % 2
    return max(2 * round((size - odd) * scale / 2) + odd, 1)


@torch.no_grad()
def refresh_norms(model: nn.Module, batches: Iterable[Tensor]) -> nn.Module:
    """Estimate the statistics of batch norms anew from inputs without labels, in place; returns the model.

    After a change of resolution the statistics are nearly, not quite, those of before. All batches count alike;
    dropout stays off. Without batches nothing changes, nor does it if the model refuses one.

    Example:
        >>> net = nn.Sequential(nn.BatchNorm1d(1))
        >>> refresh_norms(net, [torch.full((4, 1), 3.0)])[0].running_mean.item()
        3.0
    """
    norms = [module for module in model.modules() if isinstance(module, NORMS) and module.running_mean is not None]
    momenta, before = [norm.momentum for norm in norms], [copy.deepcopy(norm.state_dict()) for norm in norms]
    try:
        with evaluating(model):
            for index, batch in enumerate(batches):
                for norm in norms:
                    if not index:
                        norm.reset_running_stats()
                    norm.train()
                    norm.momentum = None  # the mean over batches
                model(batch)
    except BaseException:
        for norm, state in zip(norms, before, strict=True):
            norm.load_state_dict(state)
        raise
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    return model
