"""The adaptive convolution in a few tensor operations, for exporters, compilers and gradients of gradients."""

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
    """Return :func:`adaptive_conv` by its definition: one convolution of constant weights, then products.

    Example:
        >>> import torch
        >>> from flexkern.adaptive import AdaptiveSpec
        >>> spec = AdaptiveSpec(2, 4, (3,), (3,), (1,), (1,), 1, "pair", "tanh")
        >>> plain_adaptive_conv(torch.ones(1, 2, 8), torch.zeros(24, 1, 3), torch.zeros(24), spec).shape
        torch.Size([1, 4, 6])
    """
    size = spec.output_size(padded.shape)
    kernels = spec.apply_squash(_generate(padded, weight, bias, spec))
    values = _kernel_inputs(padded, spec, size).flatten(4)
    sums = _sum_over_taps(kernels * values[:, :, None], gain)
    # Norm and scale are applied to the sums of whole kernels, which are fewer than the kernel values.
    if spec.normalize:
        magnitudes = None if gain is None else gain.abs()
        norms = _sum_over_taps(kernels.abs(), magnitudes)
        sums = sums / not_zero(norms)
    if scale is not None:
        sums = sums * scale[..., None]
    return _sum_over_channels(sums, spec, size)


def _sum_over_taps(values: Tensor, weights: Tensor | None) -> Tensor:
    """Return weighted sums over taps.

    Args:
        values: (B, generator_groups, outputs, kernels_per_output, taps, positions).
        weights: (generator_groups, outputs, kernels_per_output, taps), or None for ones.
    """
    if exporting():  # runtimes multiply matrices faster than they add rows
        if weights is None:
            weights = values.new_ones(values.shape[-2])
        sums = weights[..., None, :] @ values
        return sums.squeeze(-2)
    if weights is not None:
        values = values * weights[..., None]
    return values.sum(-2)


def _sum_over_channels(
    sums: Tensor,
    spec: AdaptiveSpec,
    size: tuple[int, ...],
) -> Tensor:
    """Sum (B, generator_groups, outputs, kernels_per_output, positions) over input channels: (B, out, *S)."""
    sums = sums.flatten(2, 3) if spec.kernels_per_output == 1 else sums.sum(3)
    batch, _, _, positions = sums.shape
    if spec.per_group > 1:
        grouped = sums.view(batch, spec.groups, spec.per_group, spec.outputs, positions)
        sums = grouped.sum(2)
    return sums.reshape(batch, spec.out_channels, *size)


def adaptive_kernels(
    padded: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    spec: AdaptiveSpec,
    *,
    gain: Tensor | None = None,
    scale: Tensor | None = None,
) -> Tensor:  # (B, in, *padded) -> (B, out, in / groups or 1, *kernel, *S)
    """Return the kernels of all positions, as an ordinary weight for every sample and position."""
    size = spec.output_size(padded.shape)
    z = _generate(padded, weight, bias, spec)
    kernels = spec.kernels(z, gain, scale)
    values = kernels.flatten(1, 4).movedim(1, 0)  # (generator outputs, B, positions)
    weights = spec.as_weight(values)
    return weights.movedim(-2, 0).unflatten(-1, size)


def _generate(
    padded: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    spec: AdaptiveSpec,
) -> Tensor:
    """Return the generator's output (B, generator_groups, outputs, kernels_per_output, taps, positions)."""
    convolve = CONVOLUTIONS[len(spec.kernel)]
    z = convolve(
        generator_view(padded, spec),
        weight,
        bias,
        spec.stride,
        0,
        spec.dilation,
        groups=spec.generator_groups,
    )
    channels = (spec.generator_groups, spec.outputs, spec.kernels_per_output, spec.taps)
    return z.flatten(2).unflatten(1, channels)


def _kernel_inputs(padded: Tensor, spec: AdaptiveSpec, size: tuple[int, ...]) -> Tensor:
    """Return the values that kernels are applied to: (B, generator_groups, kernels_per_output, taps, *S).

    Channels that share a kernel are summed.
    """
    kernels = (spec.generator_groups, spec.kernels_per_output)
    if spec.sharing == "shared":
        grouped = padded.unflatten(1, (spec.generator_groups, spec.generator_in_channels))
        padded = grouped.sum(2)
    if exporting():
        windows = _unfold_by_convolution(padded, spec)
        return windows.unflatten(1, (*kernels, spec.taps))
    shifted = []
    for taps in spec.kernel_taps():
        index = spec.index_of(taps, size)
        shifted.append(padded[index])
    return torch.stack(shifted, 2).unflatten(1, kernels)


def _unfold_by_convolution(padded: Tensor, spec: AdaptiveSpec) -> Tensor:
    """Return the kernel's windows (B, channels * taps, *S) by one convolution, faster in runtimes than many slices."""
    channels = padded.shape[1]
    axes = len(spec.kernel)
    identity = torch.eye(spec.taps, dtype=padded.dtype, device=padded.device)
    picks = identity.view(spec.taps, 1, *spec.kernel)
    covered = _view(padded, spec, spec.kernel_slices)
    weight = picks.repeat(channels, 1, *(1,) * axes)
    convolve = CONVOLUTIONS[axes]
    return convolve(
        covered,
        weight,
        None,
        spec.stride,
        0,
        spec.dilation,
        groups=channels,
    )


def generator_view(padded: Tensor, spec: AdaptiveSpec) -> Tensor:
    """Return the part of the padded signal that the generator's window covers."""
    return _view(padded, spec, spec.generator_slices)


def _view(padded: Tensor, spec: AdaptiveSpec, parts: Sequence[slice]) -> Tensor:
    """Return the part of the padded signal that these parts of the common window cover, one per axis."""
    signal = padded.shape[2:]
    slices = []
    for samples, size, part, dilation in zip(signal, spec.window_size, parts, spec.dilation, strict=True):
        before = part.start * dilation
        after = (size - part.stop) * dilation
        slices.append(slice(before, samples - after))
    return padded[last_axes(slices)]
