"""The FFT engine: one product per frequency, at transform lengths that are fast.

Legend: ``B`` batch, ``G`` groups, ``I`` and ``O`` channels per group, ``M`` features, ``F`` frequencies.
"""

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..precision import autocast_off
from .direct import direct
from .plan import ConvProblem, Plan
from .weight import FactoredWeight, Weight


def fft(input: Tensor, weight: Weight, plan: Plan) -> Tensor:
    r"""Cross-correlation by the convolution theorem: :math:`\hat y_o = \sum_i \hat x_i \overline{\hat w_{oi}}`.

    Half precisions are computed in float32; float32 and float64 stay what they are. Circular wrap-around only
    ever touches samples that are cropped away (see :attr:`ConvProblem.transform`).
    """
    problem, lengths = plan.problem, plan.transform
    if problem.batch == 0:
        return direct(input, weight, plan)  # the FFT library refuses to transform nothing
    axes = tuple(range(-len(lengths), 0))
    working = torch.promote_types(input.dtype, torch.float32)
    with autocast_off(input):
        signal = torch.fft.rfftn(_cut(input, problem).to(working), s=lengths, dim=axes)
        kernel = weight_spectrum(weight, problem, lengths).conj()
        product = mix_channels(signal, kernel, problem.groups)
        full = torch.fft.irfftn(product, s=lengths, dim=axes)
    taken = tuple(
        slice(0, (out - 1) * stride + 1, stride)
        for out, stride in zip(problem.output_size, problem.stride, strict=True)
    )
    return full[_last_axes(taken)].to(input.dtype)


def _cut(input: Tensor, problem: ConvProblem) -> Tensor:
    """Negative padding cuts samples off in front; at the end the output's length does it."""
    return input[_last_axes(slice(max(-left, 0), None) for left, _ in problem.padding)]


def _last_axes(slices: Iterable[slice]) -> Any:
    """An index of the last axes only."""
    return (..., *slices)


def weight_spectrum(weight: Weight, problem: ConvProblem, lengths: tuple[int, ...]) -> Tensor:  # (out, I, *F)
    """Spectra of all kernels; from M transforms where the weight is factored and M is smaller than out x in."""
    if isinstance(weight, FactoredWeight):
        readout, features = weight
        if readout.shape[2] < readout.shape[0] * readout.shape[1]:
            spectra = _kernel_spectrum(features, problem, lengths)  # (M, *F)
            return (readout.to(spectra.dtype) @ spectra.flatten(1)).unflatten(-1, spectra.shape[1:])
        weight = weight.dense()
    return _kernel_spectrum(weight, problem, lengths)


def _kernel_spectrum(kernel: Tensor, problem: ConvProblem, lengths: tuple[int, ...]) -> Tensor:
    """Transform of kernels (..., *K), dilated and shifted such that output 0 is the first one wanted."""
    kernel = kernel.to(torch.promote_types(kernel.dtype, torch.float32))
    axes = tuple(range(-len(lengths), 0))
    spread = kernel.new_zeros(*kernel.shape[: -len(lengths)], *problem.extent)
    spread[_last_axes(slice(None, None, step) for step in problem.dilation)] = kernel
    margin = [n - k for n, k in zip(lengths, problem.extent, strict=True)]
    padded = F.pad(spread, [side for extra in reversed(margin) for side in (0, extra)])
    shifts = tuple(-max(left, 0) for left, _ in problem.padding)
    return torch.fft.rfftn(torch.roll(padded, shifts, axes), dim=axes)


def mix_channels(
    signal: Tensor,  # shape: (B, G I, *F)
    kernel: Tensor,  # shape: (G O, I, *F)
    groups: int,
) -> Tensor:  # shape: (B, G O, *F)
    """Sum over input channels: a pointwise product for one channel per group, else a matrix product per frequency."""
    if kernel.shape[1] == 1:
        repeats = kernel.shape[0] // groups
        return (signal.repeat_interleave(repeats, 1) if repeats > 1 else signal) * kernel[:, 0]
    frequencies = signal.shape[2:]
    signal_fgbi = signal.flatten(2).unflatten(1, (groups, -1)).permute(3, 1, 0, 2)
    kernel_fgio = kernel.flatten(2).unflatten(0, (groups, -1)).permute(3, 0, 2, 1)
    mixed_fgbo = signal_fgbi @ kernel_fgio
    return mixed_fgbo.permute(2, 1, 3, 0).flatten(1, 2).unflatten(-1, frequencies)
