"""Kernels that differ from position to position, applied."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from flexkern.engines import Padding, pad
from flexkern.layers import ConvArguments


def apply_kernels(values: Tensor, kernels: Tensor, bias: Tensor | None, a: ConvArguments) -> Tensor:
    """One kernel per position and group, ``y_{g,c}(p) = b + sum_u K_{g,c,u}(p) x_{g,c}(s p + d u)``.

    One tap at a time on views of the signal, so no unfolded signal is made, nor kept for backward.

    Args:
        values: (B, G * C, H, W), C channels per group.
        kernels: (B, G, O, taps, H', W'); one of C and O is 1, and broadcast.
        bias: (G * max(C, O),) or None.
    """
    dtype = torch.promote_types(values.dtype, torch.float32)  # half precision loses too much in a sum over the taps
    extended = pad(values, a.padding, a.padding_mode).to(dtype).unflatten(1, (kernels.shape[1], -1))
    axes = list(zip(kernels.shape[-2:], a.stride, a.dilation, strict=True))
    total = extended.new_zeros(())
    taps = itertools.product(*map(range, a.kernel_size))
    for tap, kernel in zip(taps, kernels.to(dtype).unbind(3), strict=True):
        rows, columns = (slice(t * d, t * d + (n - 1) * s + 1, s) for t, (n, s, d) in zip(tap, axes, strict=True))
        total = torch.addcmul(total, kernel, extended[..., rows, columns])
    output = total.flatten(1, 2)
    if bias is not None:
        output = output + bias.view(-1, 1, 1)
    return output.to(values.dtype)


def output_size(signal: Sequence[int], a: ConvArguments) -> tuple[int, ...]:
    """Output samples per axis of an input (..., H, W)."""
    axes = zip(signal[-2:], a.padding, a.kernel_size, a.stride, a.dilation, strict=True)
    return tuple((n + left + right - d * (k - 1) - 1) // s + 1 for n, (left, right), k, s, d in axes)


def centred(signal: Tensor, a: ConvArguments) -> Tensor:
    """The signal extended or cut such that sample ``stride * i`` lies in the middle of the window of output ``i``.

    The middle of an even number of samples is the one where padding "same" changes nothing.
    """
    return pad(signal, _centring(a), a.padding_mode)


def _centring(a: ConvArguments) -> Padding:
    spans = (d * (k - 1) for k, d in zip(a.kernel_size, a.dilation, strict=True))
    return tuple(
        (left - span // 2, right - (span - span // 2)) for (left, right), span in zip(a.padding, spans, strict=True)
    )
