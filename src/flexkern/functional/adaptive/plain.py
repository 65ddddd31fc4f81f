"""The adaptive convolution in a few tensor operations: what exporters and compilers see, and gradients of gradients."""

import itertools

import torch
from torch import Tensor

from ...axes import CONVOLUTIONS, last_axes
from .form import AdaptiveForm


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
    kernels = _kernels(padded, weight, bias, form, gain=gain, scale=scale)
    return multiply(kernels, applied_values(padded, form, size).flatten(4), form, size)


def multiply(kernels: Tensor, values: Tensor, form: AdaptiveForm, size: tuple[int, ...]) -> Tensor:
    """Kernels (B, banks, outputs, applied, taps, positions) times values (B, banks, applied, taps, positions)."""
    products = kernels * values[:, :, None]
    single = form.applied * form.taps == 1
    parts = products.flatten(2, 4) if single else products.sum((3, 4))  # (B, banks, outputs, positions)
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
    kernels = _kernels(padded, weight, bias, form, gain=gain, scale=scale)
    ordered = form.as_weight(kernels.flatten(1, 4).movedim(1, 0))
    return ordered.movedim(-2, 0).unflatten(-1, size)


def _kernels(
    padded: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    form: AdaptiveForm,
    *,
    gain: Tensor | None,
    scale: Tensor | None,
) -> Tensor:  # (B, banks, outputs, applied, taps, positions)
    return form.kernels(generated(padded, weight, bias, form), gain, scale)


def generated(padded: Tensor, weight: Tensor, bias: Tensor | None, form: AdaptiveForm) -> Tensor:
    """What the generator says, (B, banks, outputs, applied, taps, positions)."""
    convolve = CONVOLUTIONS[len(form.kernel)]
    z = convolve(generator_view(padded, form), weight, bias, form.stride, 0, form.dilation, groups=form.banks)
    return z.flatten(2).unflatten(1, (form.banks, form.outputs, form.applied, form.taps))


def applied_values(padded: Tensor, form: AdaptiveForm, size: tuple[int, ...]) -> Tensor:
    """What kernels are multiplied with: (B, banks, applied, taps, *S), summed over channels that share a kernel."""
    if form.sharing == "shared":
        padded = padded.unflatten(1, (form.banks, form.seen)).sum(2)
    shifts = itertools.product(*(range(w.kernel.start, w.kernel.stop) for w in form.windows))
    shifted = [padded[form.index_of(taps, size)] for taps in shifts]
    return torch.stack(shifted, 2).unflatten(1, (form.banks, form.applied))


def generator_view(padded: Tensor, form: AdaptiveForm) -> Tensor:
    """The part of the padded signal that the generator's window meets."""
    axes = zip(padded.shape[2:], form.windows, form.dilation, strict=True)
    return padded[last_axes(slice(w.generator.start * d, n - (w.size - w.generator.stop) * d) for n, w, d in axes)]
