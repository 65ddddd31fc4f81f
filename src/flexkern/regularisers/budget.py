"""What learned sizes may cost: a differentiable penalty on the products they need."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .._support.modes import watch_once
from ..functional import window_extent
from ..layers import ContinuousConv
from ..windows import GaussianWindow


def size_budget(model: nn.Module, macs: float, positions: Mapping[str, int]) -> Tensor:
    r"""Squared logarithm of the expected cost of learned sizes over a budget, where it is above.

    .. math:: \max\Big(\ln \frac{C}{B},\ 0\Big)^2, \qquad
              C = \sum_l P_l\, O_l \frac{I_l}{g_l} \prod_a \frac{2 r_{la}}{\Delta_{la}}

    with the reach :math:`r` of each window (half of it if causal), the distance :math:`\Delta` of samples, and
    :math:`P` output positions: the multiply-accumulates of direct convolution for sizes between whole samples. Add it
    to the loss, times a weight of about 1, to trade accuracy for cost; within the budget it is zero, and its gradient.
    Ours.

    Args:
        macs: the budget ``B`` per sample, for all layers of learned size together.
        positions: output positions per layer and sample, as :func:`output_positions` counts them once.

    Raises:
        ValueError: for a budget that is not positive, a model without sizes that are learned now (frozen ones are
            not), or ``positions`` of another model.

    Example:
        >>> import flexkern
        >>> layer = flexkern.FlexConv2d(1, 4, kernel_size=33, padding="same")
        >>> counts = output_positions(layer, (1, 28, 28))
        >>> bool(size_budget(layer, 1e4, counts) > 0), size_budget(layer, 1e6, counts).item()
        (True, 0.0)
    """
    if not macs > 0:
        raise ValueError(f"`macs` must be positive, got {macs}.")
    return (expected_macs(model, positions) / macs).log().clamp_min(0).square()


def expected_macs(model: nn.Module, positions: Mapping[str, int]) -> Tensor:  # ()
    """Multiply-accumulates per sample of all layers of learned size, as a smooth function of their widths.

    Example:
        >>> import flexkern
        >>> layer = flexkern.FlexConv2d(1, 4, kernel_size=33, padding="same")
        >>> round(expected_macs(layer, {"": 784}).item() / (784 * 4), 1)
        26.5
    """
    layers = learned_layers(model)
    if not layers:
        raise ValueError("`model` has no layer whose size is learned.")
    if missing := [name for name in layers if not positions.get(name)]:
        raise ValueError(
            f"`positions` has none for {missing[0]!r}: count them for this model by `output_positions`; "
            "a layer that is never called has no cost, freeze its size."
        )
    costs = [
        positions[name] * layer.out_channels * layer.in_channels // layer.groups * _expected_samples(layer.window)
        for name, layer in layers.items()
    ]
    return torch.stack(costs).sum()


def output_positions(model: nn.Module, shape: Sequence[int]) -> dict[str, int]:
    """Output positions of every layer of learned size for one sample of ``shape`` (channels, *signal), by name.

    A layer that is used several times counts as often.
    """
    layers = learned_layers(model)
    counts = dict.fromkeys(layers, 0)

    def counter(name: str) -> Any:
        def count(_: nn.Module, __: Any, output: Tensor) -> None:
            counts[name] += math.prod(output.shape[2:])

        return count

    watch_once(model, shape, {layer: counter(name) for name, layer in layers.items()})
    return counts


def learned_layers(model: nn.Module) -> dict[str, Any]:
    """Layers whose size is learned now, by name."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, ContinuousConv) and module.window is not None and module.window.log_width.requires_grad
    }


def _expected_samples(window: GaussianWindow) -> Tensor:  # ()
    """Product over axes of the reach in samples; at most the horizon, but wider windows still learn to shrink."""
    reach = window_extent(window.centre, window.width, window.threshold, causal=window.causal)
    reach = reach.amax(0) if window.per_channel else reach
    sides = 1 if window.causal else 2
    counts = [
        sides * r / step if length > 1 else torch.ones_like(r)
        for r, step, length in zip(reach.unbind(-1), window.grid.steps, window.grid.trained_lengths, strict=True)
    ]
    kept = [n - (n - length).clamp_min(0).detach() for n, length in zip(counts, window.lengths, strict=True)]
    return torch.stack(kept).prod()
