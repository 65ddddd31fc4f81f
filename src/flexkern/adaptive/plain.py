"""The adaptive convolution in a few tensor operations: what exporters and compilers see, and gradients of gradients."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from .._support.axes import CONVOLUTIONS, last_axes
from .._support.tracing import exporting
from .spec import AdaptiveSpec, not_zero


def plain_adaptive_conv(
    padded: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    spec: AdaptiveSpec,
    *,
    gain: Tensor | None = None,
    scale: Tensor | None = None,
) -> Tensor:  # (B, in, *padded) -> (B, out, *S)
    """The definition of :func:`adaptive_conv`: the generator is one convolution of constant weights, then products.

    Example:
        >>> import torch
        >>> from flexkern.adaptive import AdaptiveSpec
        >>> spec = AdaptiveSpec(2, 4, (3,), (3,), (1,), (1,), 1, "pair", "tanh")
        >>> plain_adaptive_conv(torch.ones(1, 2, 8), torch.zeros(24, 1, 3), torch.zeros(24), spec).shape
        torch.Size([1, 4, 6])
    """
    size = spec.output_size(padded.shape)
    found = spec.squashed(generated(padded, weight, bias, spec))
    sums = _over_window(found * applied_values(padded, spec, size).flatten(4)[:, :, None], gain)
    # What holds for a whole kernel is applied to its sum: there are fewer of these than of values.
    if spec.normalize:
        sums = sums / not_zero(_over_window(found.abs(), None if gain is None else gain.abs()))
    if scale is not None:
        sums = sums * scale[..., None]
    return _add_up(sums, spec, size)


def _over_window(values: Tensor, weights: Tensor | None) -> Tensor:
    """Weighted sums of (B, banks, outputs, applied, taps, positions) over taps."""
    if not exporting():
        return (values if weights is None else values * weights[..., None]).sum(-2)
    if weights is None:
        weights = values.new_ones(values.shape[-2])
    return (weights[..., None, :] @ values).squeeze(-2)  # runtimes multiply matrices faster than they add rows


def _add_up(sums: Tensor, spec: AdaptiveSpec, size: tuple[int, ...]) -> Tensor:
    """Sums over windows (B, banks, outputs, applied, positions), over all channels: (B, out, *S)."""
    parts = sums.flatten(2, 3) if spec.kernels_per_output == 1 else sums.sum(3)
    if spec.per_group > 1:
        parts = parts.view(parts.shape[0], spec.groups, spec.per_group, spec.outputs, parts.shape[-1]).sum(2)
    return parts.reshape(parts.shape[0], spec.out_channels, *size)


def adaptive_kernels(
    padded: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    spec: AdaptiveSpec,
    *,
    gain: Tensor | None = None,
    scale: Tensor | None = None,
) -> Tensor:  # (B, in, *padded) -> (B, out, in / groups or 1, *kernel, *S)
    """The kernels of all positions, as an ordinary weight that varies over batch and positions."""
    size = spec.output_size(padded.shape)
    kernels = spec.kernels(generated(padded, weight, bias, spec), gain, scale)
    ordered = spec.as_weight(kernels.flatten(1, 4).movedim(1, 0))
    return ordered.movedim(-2, 0).unflatten(-1, size)


def generated(padded: Tensor, weight: Tensor, bias: Tensor | None, spec: AdaptiveSpec) -> Tensor:
    """What the generator says, (B, banks, outputs, applied, taps, positions)."""
    convolve = CONVOLUTIONS[len(spec.kernel)]
    z = convolve(
        generator_view(padded, spec), weight, bias, spec.stride, 0, spec.dilation, groups=spec.generator_groups
    )
    return z.flatten(2).unflatten(1, (spec.generator_groups, spec.outputs, spec.kernels_per_output, spec.taps))


def applied_values(padded: Tensor, spec: AdaptiveSpec, size: tuple[int, ...]) -> Tensor:
    """What kernels are multiplied with: (B, banks, applied, taps, *S), summed over channels that share a kernel."""
    if spec.sharing == "shared":
        padded = padded.unflatten(1, (spec.generator_groups, spec.generator_in_channels)).sum(2)
    if exporting():
        return _windows(padded, spec).unflatten(1, (spec.generator_groups, spec.kernels_per_output, spec.taps))
    shifts = itertools.product(*(range(w.kernel.start, w.kernel.stop) for w in spec.windows))
    shifted = [padded[spec.index_of(taps, size)] for taps in shifts]
    return torch.stack(shifted, 2).unflatten(1, (spec.generator_groups, spec.kernels_per_output))


def _windows(padded: Tensor, spec: AdaptiveSpec) -> Tensor:
    """The same by one convolution, which runtimes do faster than many slices: (B, channels * taps, *S)."""
    channels, axes = padded.shape[1], len(spec.kernel)
    picks = torch.eye(spec.taps, dtype=padded.dtype, device=padded.device).view(spec.taps, 1, *spec.kernel)
    seen = _view(padded, spec, [w.kernel for w in spec.windows])
    weight = picks.repeat(channels, 1, *(1,) * axes)
    return CONVOLUTIONS[axes](seen, weight, None, spec.stride, 0, spec.dilation, groups=channels)


def generator_view(padded: Tensor, spec: AdaptiveSpec) -> Tensor:
    """The part of the padded signal that the generator's window meets."""
    return _view(padded, spec, [w.generator for w in spec.windows])


def _view(padded: Tensor, spec: AdaptiveSpec, parts: Sequence[slice]) -> Tensor:
    """What a part of the windows meets."""
    axes = zip(padded.shape[2:], spec.windows, parts, spec.dilation, strict=True)
    return padded[last_axes(slice(part.start * d, n - (w.size - part.stop) * d) for n, w, part, d in axes)]
