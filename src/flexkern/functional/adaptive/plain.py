"""The adaptive convolution in a few tensor operations: what exporters and compilers see, and gradients of gradients."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from ...axes import CONVOLUTIONS, last_axes
from ...tracing import exporting
from .form import AdaptiveForm, not_zero


def plain_adaptive_conv(
    padded: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    form: AdaptiveForm,
    *,
    gain: Tensor | None = None,
    scale: Tensor | None = None,
) -> Tensor:  # (B, in, *padded) -> (B, out, *S)
    """The definition of :func:`adaptive_conv`: the generator is one convolution of constant weights, then products.

    Example:
        >>> import torch
        >>> from flexkern.functional.adaptive import AdaptiveForm
        >>> form = AdaptiveForm(2, 4, (3,), (3,), (1,), (1,), 1, "pair", "tanh")
        >>> plain_adaptive_conv(torch.ones(1, 2, 8), torch.zeros(24, 1, 3), torch.zeros(24), form).shape
        torch.Size([1, 4, 6])
    """
    size = form.output_size(padded.shape)
    found = form.squashed(generated(padded, weight, bias, form))
    sums = _over_window(found * applied_values(padded, form, size).flatten(4)[:, :, None], gain)
    # What holds for a whole kernel is applied to its sum: there are fewer of these than of values.
    if form.normalize:
        sums = sums / not_zero(_over_window(found.abs(), None if gain is None else gain.abs()))
    if scale is not None:
        sums = sums * scale[..., None]
    return _add_up(sums, form, size)


def _over_window(values: Tensor, weights: Tensor | None) -> Tensor:
    """Weighted sums of (B, banks, outputs, applied, taps, positions) over taps."""
    if not exporting():
        return (values if weights is None else values * weights[..., None]).sum(-2)
    if weights is None:
        weights = values.new_ones(values.shape[-2])
    return (weights[..., None, :] @ values).squeeze(-2)  # runtimes multiply matrices faster than they add rows


def _add_up(sums: Tensor, form: AdaptiveForm, size: tuple[int, ...]) -> Tensor:
    """Sums over windows (B, banks, outputs, applied, positions), over all channels: (B, out, *S)."""
    parts = sums.flatten(2, 3) if form.applied == 1 else sums.sum(3)
    if form.per_group > 1:
        parts = parts.view(parts.shape[0], form.groups, form.per_group, form.outputs, parts.shape[-1]).sum(2)
    return parts.reshape(parts.shape[0], form.out_channels, *size)


def adaptive_kernels(
    padded: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    form: AdaptiveForm,
    *,
    gain: Tensor | None = None,
    scale: Tensor | None = None,
) -> Tensor:  # (B, in, *padded) -> (B, out, in / groups or 1, *kernel, *S)
    """The kernels of all positions, as an ordinary weight that varies over batch and positions."""
    size = form.output_size(padded.shape)
    kernels = form.kernels(generated(padded, weight, bias, form), gain, scale)
    ordered = form.as_weight(kernels.flatten(1, 4).movedim(1, 0))
    return ordered.movedim(-2, 0).unflatten(-1, size)


def generated(padded: Tensor, weight: Tensor, bias: Tensor | None, form: AdaptiveForm) -> Tensor:
    """What the generator says, (B, banks, outputs, applied, taps, positions)."""
    convolve = CONVOLUTIONS[len(form.kernel)]
    z = convolve(generator_view(padded, form), weight, bias, form.stride, 0, form.dilation, groups=form.banks)
    return z.flatten(2).unflatten(1, (form.banks, form.outputs, form.applied, form.taps))


def applied_values(padded: Tensor, form: AdaptiveForm, size: tuple[int, ...]) -> Tensor:
    """What kernels are multiplied with: (B, banks, applied, taps, *S), summed over channels that share a kernel."""
    if form.sharing == "shared":
        padded = padded.unflatten(1, (form.banks, form.seen)).sum(2)
    if exporting():
        return _windows(padded, form).unflatten(1, (form.banks, form.applied, form.taps))
    shifts = itertools.product(*(range(w.kernel.start, w.kernel.stop) for w in form.windows))
    shifted = [padded[form.index_of(taps, size)] for taps in shifts]
    return torch.stack(shifted, 2).unflatten(1, (form.banks, form.applied))


def _windows(padded: Tensor, form: AdaptiveForm) -> Tensor:
    """The same by one convolution, which runtimes do faster than many slices: (B, channels * taps, *S)."""
    channels, axes = padded.shape[1], len(form.kernel)
    picks = torch.eye(form.taps, dtype=padded.dtype, device=padded.device).view(form.taps, 1, *form.kernel)
    seen = _view(padded, form, [w.kernel for w in form.windows])
    weight = picks.repeat(channels, 1, *(1,) * axes)
    return CONVOLUTIONS[axes](seen, weight, None, form.stride, 0, form.dilation, groups=channels)


def generator_view(padded: Tensor, form: AdaptiveForm) -> Tensor:
    """The part of the padded signal that the generator's window meets."""
    return _view(padded, form, [w.generator for w in form.windows])


def _view(padded: Tensor, form: AdaptiveForm, parts: Sequence[slice]) -> Tensor:
    """What a part of the windows meets."""
    axes = zip(padded.shape[2:], form.windows, parts, form.dilation, strict=True)
    return padded[last_axes(slice(part.start * d, n - (w.size - part.stop) * d) for n, w, part, d in axes)]
