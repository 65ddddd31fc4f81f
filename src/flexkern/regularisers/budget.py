"""A limit on the cost of learned sizes: a differentiable penalty on the products they need."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .._support.modes import Watcher, watch_once
from ..functional import window_extent
from ..layers import ContinuousConv
from ..windows import GaussianWindow


def size_budget(model: nn.Module, macs: float, positions: Mapping[str, int]) -> Tensor:
    r"""Return the squared logarithm of the expected cost of learned sizes over a budget; 0 within the budget.

    .. math:: \max\Big(\ln \frac{C}{B},\ 0\Big)^2, \qquad
              C = \sum_l P_l\, O_l \frac{I_l}{g_l} \prod_a \frac{2 r_{la}}{\Delta_{la}}

    with the extent :math:`r` of each window to either side of 0 (if causal, :math:`r` replaces :math:`2 r`), the
    distance :math:`\Delta` of samples, and :math:`P` output positions. :math:`C` are the multiply-accumulates of direct
    convolution, interpolated between whole sizes. Add the result to the loss with a weight of about 1 to trade accuracy
    for cost. Within the budget its gradient is zero, too. This penalty is ours.

    Args:
        model: a model with layers of learned size.
        macs: the budget ``B`` per sample, for all layers of learned size together.
        positions: output positions per layer and sample, as :func:`output_positions` counts them once.

    Raises:
        ValueError: if the budget is not positive, no size is being learned (frozen ones are not), or ``positions``
            lacks a layer.

    Example:
        >>> import flexkern
        >>> layer = flexkern.FlexConv2d(1, 4, kernel_size=33, padding="same")
        >>> counts = output_positions(layer, (1, 28, 28))
        >>> bool(size_budget(layer, 1e4, counts) > 0), size_budget(layer, 1e6, counts).item()
        (True, 0.0)
    """
    if not macs > 0:
        raise ValueError(f"`macs` must be positive, got {macs}.")
    excess = (expected_macs(model, positions) / macs).log()
    return excess.clamp_min(0).square()


def expected_macs(model: nn.Module, positions: Mapping[str, int]) -> Tensor:  # ()
    """Return the multiply-accumulates per sample of all layers of learned size, as a smooth function of their widths.

    Raises:
        ValueError: if no size is being learned, or ``positions`` lacks a layer.

    Example:
        >>> import flexkern
        >>> layer = flexkern.FlexConv2d(1, 4, kernel_size=33, padding="same")
        >>> round(expected_macs(layer, {"": 784}).item() / (784 * 4), 1)
        26.5
    """
    layers = learned_layers(model)
    if not layers:
        raise ValueError("`model` has no layer whose size is learned; use a FlexConv, or call `unfreeze_sizes`.")
    missing = [name for name in layers if not positions.get(name)]
    if missing:
        raise ValueError(
            f"`positions` has none for {missing[0]!r}: count them for this model by `output_positions`; "
            "a layer that is never called has no cost, freeze its size."
        )
    costs = []
    for name, layer in layers.items():
        products = positions[name] * layer.out_channels * layer.in_channels // layer.groups
        costs.append(products * _expected_samples(layer.window))
    return torch.stack(costs).sum()


def output_positions(model: nn.Module, shape: Sequence[int]) -> dict[str, int]:
    """Return the output positions of every layer of learned size for one sample, by name.

    The positions of a layer that is called several times are added up.

    Args:
        model: a model with layers of learned size.
        shape: shape of the sample, (channels, *signal).
    """
    layers = learned_layers(model)
    counts = dict.fromkeys(layers, 0)

    def counter(name: str) -> Watcher:
        def count(_: nn.Module, __: Any, output: Tensor) -> None:
            counts[name] += math.prod(output.shape[2:])

        return count

    watchers = {layer: counter(name) for name, layer in layers.items()}
    watch_once(model, shape, watchers)
    return counts


def learned_layers(model: nn.Module) -> dict[str, Any]:
    """Return the layers whose size is being learned, by name."""
    layers = {}
    for name, module in model.named_modules():
        if not isinstance(module, ContinuousConv) or module.window is None:
            continue
        if module.window.log_width.requires_grad:
            layers[name] = module
    return layers


def _expected_samples(window: GaussianWindow) -> Tensor:  # ()
    """Return the product over axes of the window's extent in samples, at most the whole kernel's.

    The limit does not change gradients, so that windows wider than the whole kernel still learn to shrink.
    """
    extent = window_extent(window.centre, window.width, window.threshold, causal=window.causal)
    if window.per_channel:
        extent = extent.amax(0)
    sides = 1 if window.causal else 2
    grid = window.grid
    counts = []
    for axis, axis_extent in enumerate(extent.unbind(-1)):
        if grid.trained_lengths[axis] == 1:
            count = torch.ones_like(axis_extent)
        else:
            count = sides * axis_extent / grid.steps[axis]
        surplus = (count - window.lengths[axis]).clamp_min(0)
        counts.append(count - surplus.detach())
    return torch.stack(counts).prod()
