"""The algorithm of the FlexConv authors' code in plain operations: what it computes, not how fast it could be.

Sequences: FFTs of the unrounded length L + K - 1 and a complex ``einsum``; images and volumes: always torch's direct
convolution. Kernels are dense, out x in, generated over the cropped grid in every forward pass. The original omits the
length of the inverse transform and is wrong where L + K - 1 is odd; here the length is passed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexkern.engines import ConvProblem
from flexkern.functional import make_grid
from flexkern.layers import FlexConv
from flexkern.models import ChannelsLast

from .problems import Point


def sequence_convolution(x: Tensor, kernel: Tensor, padding: tuple[int, int], *, depthwise: bool = False) -> Tensor:
    """Convolve (B, in, L) and (out, in, K) to (B, out, L + left + right - K + 1) by FFTs of the padded length."""
    left, right = padding
    outputs = x.shape[-1] + left + right - kernel.shape[-1] + 1
    if kernel.shape[-1] % 2 == 0:  # the authors make every kernel odd by a zero at its old end
        kernel, left = F.pad(kernel, (1, 0)), left + 1
    x = F.pad(x, (left, right))
    length = x.shape[-1]
    signal = torch.fft.rfft(x, dim=-1)
    taps = torch.fft.rfft(F.pad(kernel, (0, length - kernel.shape[-1])), dim=-1).conj()
    product = signal * taps[:, 0] if depthwise else torch.einsum("bif,oif->bof", signal, taps)
    return torch.fft.irfft(product, n=length, dim=-1)[..., :outputs]


def convolution(problem: ConvProblem) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the call for a sequence; :func:`refuse` refuses other problems."""
    return lambda x, weight: sequence_convolution(x, weight, problem.padding[0], depthwise=problem.depthwise)


def refuse(point: Point) -> str | None:
    """Return why a point is left out: with two and three axes the authors call torch."""
    return "the same as torch" if len(point.problem.signal) > 1 else None


class AuthorsConv(nn.Module):
    """A FlexConv (1-D causal, or 2-D of odd horizon, no stride) that computes as the authors do."""

    def __init__(self, layer: FlexConv) -> None:
        super().__init__()
        if layer.dims > 2 or layer.groups > 1 or set(layer.stride) != {1}:
            raise ValueError("the authors' layer has one or two axes, one group and no stride.")
        self.layer = layer

    def kernel(self) -> Tensor:  # shape: (out, in, *size)
        """Return generator times window over the cropped grid."""
        layer, dtype = self.layer, self.layer.generator.readout_weight.dtype
        positions = make_grid(layer.kernel_size, bounds=layer.bounds, causal=layer.dims == 1, dtype=dtype)
        assert layer.window is not None
        return (layer.generator(positions) * layer.window(positions)).unflatten(0, (layer.out_channels, -1))

    def forward(self, x: Tensor) -> Tensor:  # (B, in, *S) -> (B, out, *S)
        kernel, bias = self.kernel(), self.layer.bias
        if self.layer.dims == 2:
            return F.conv2d(x, kernel, bias, padding=[k // 2 for k in kernel.shape[2:]])
        output = sequence_convolution(x, kernel, (kernel.shape[-1] - 1, 0))
        return output if bias is None else output + bias[:, None]


def authors_model(model: nn.Module) -> nn.Module:
    """Return a copy of the model with the same parameters whose FlexConv layers compute as the authors do.

    Images stay contiguous: converting them to channels last is part of our engines.
    """
    copied = copy.deepcopy(model)
    for name in [name for name, module in copied.named_modules() if isinstance(module, ChannelsLast)]:
        copied.set_submodule(name, nn.Identity())
    layers = [name for name, module in copied.named_modules() if isinstance(module, FlexConv)]
    for name in layers:
        layer = copied.get_submodule(name)
        assert isinstance(layer, FlexConv)
        copied.set_submodule(name, AuthorsConv(layer))
    return copied
