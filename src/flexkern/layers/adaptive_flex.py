"""Convolutions whose kernels follow the input and learn their size."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from .._support.nearest import did_you_mean
from .._support.precision import autocast_off
from ..adaptive import SQUASHES, adaptive_std, linear_bound
from ..engines import Padding, Plan, convolve, pad
from ..generators import Generator
from ..windows import Bounds, GaussianWindow
from .arguments import ConvArguments, check_extension, check_input, per_axis
from .conv_nd import ConvNd
from .flexconv import FlexConv, FlexConv1d, FlexConv2d
from .saturation import is_saturated, may_look, tell_if_saturated

_RANK_SQUASHES = ("tanh", "hardtanh", "softmax")


class AdaptiveFlexConv(ConvNd):
    r"""Kernels of learned size, mixed anew at every position as the input says.

    .. math:: y_o(p) = b_o + \sum_r g_{or}(p) \, (\psi_r * x)(p), \qquad
        g_{or}(p) = \mathrm{squash}\Big(\beta_{or} + \sum_{c,a} Q_{orc}(a) \, x_c(p + a)\Big)

    The kernel at p is :math:`\sum_r g_{or}(p) \psi_r`, where the ``rank`` kernels :math:`\psi_r` are those of a
    :class:`~flexkern.layers.flexconv.FlexConv`: readout times windowed features of one generator, of any size at a
    fixed number of parameters, by any engine. With Q = 0 it is a FlexConv of rank ``rank``. The layer is ours; it
    joins FlexConv (Romero et al. 2022) and Adaptive Convolutional Kernels (Zamora Esquivel et al. 2019), and
    factors the kernel as dynamic filter atoms do (Wang et al. 2021). The mixing of all positions is held, ``rank``
    times the output; kernels never are. At another resolution (:func:`flexkern.at_resolution`) Q keeps its samples, so
    only with ``mixing_size=1`` it is the same operator there.

    Args:
        in_channels, out_channels, stride, padding, dilation, bias, padding_mode, device, dtype, generator, window,
            causal, init_size, engine: as :class:`~flexkern.layers.flexconv.FlexConv`; ``groups`` must be 1.
        kernel_size: the horizon, the largest size the kernels may take.
        rank: number of kernels that are mixed.
        mixing_size: samples per axis that Q sees, in the middle of the horizon (causal: at its end).
        squash: "tanh" or "hardtanh", or "softmax" over the rank.

    Parameters: those of a FlexConv of ``rank`` outputs without bias, and ``out * rank * (in * q + 1) + out``, with
    ``q`` the samples that Q sees.

    Raises:
        ValueError: as FlexConv, and for ``groups`` other than 1, an unknown squash or sizes that are not positive.

    Example:
        >>> layer = AdaptiveFlexConv2d(3, 8, kernel_size=33, padding="same", rank=4)
        >>> layer(torch.randn(2, 3, 32, 32)).shape, layer.size
        (torch.Size([2, 8, 32, 32]), (5, 5))
    """

    basis_class: ClassVar[type[FlexConv]]
    bias: nn.Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: str | int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        rank: int = 4,
        mixing_size: int | Sequence[int] = 1,
        squash: str = "tanh",
        generator: str | Callable[..., Generator] = "magnet",
        window: Callable[..., GaussianWindow] | None = None,
        causal: bool = False,
        init_size: int | Sequence[int] | None = None,
        engine: str = "auto",
    ) -> None:
        if groups != 1:
            raise ValueError(f"`groups` must be 1 for an adaptive convolution of learned size, got {groups}.")
        per_axis("rank", rank, 1, least=1)
        if squash not in _RANK_SQUASHES:
            known = ", ".join(_RANK_SQUASHES)
            raise ValueError(f"unknown `squash` {squash!r}{did_you_mean(squash, _RANK_SQUASHES)} Known: {known}.")
        arguments = ConvArguments.parse(
            self.dims,
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            padding_mode,
            causal=causal,
        )
        super().__init__(arguments)
        self.squash, self.rank = squash, rank
        self.basis = self.basis_class(
            in_channels,
            rank,
            kernel_size,
            stride,
            padding,
            dilation,
            bias=False,
            padding_mode=padding_mode,
            device=device,
            dtype=dtype,
            generator=generator,
            window=window,
            causal=causal,
            init_size=init_size,
            engine=engine,
        )
        size = per_axis("mixing_size", mixing_size, self.dims, least=1)
        shape = (out_channels * rank, in_channels, *size)
        self.mixing_weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        self.mixing_bias = nn.Parameter(torch.empty(shape[0], device=device, dtype=dtype))
        parameter = nn.Parameter(torch.empty(out_channels, device=device, dtype=dtype)) if bias else None
        self.register_parameter("bias", parameter)
        self._reset_mixing()

    def reset_parameters(self) -> None:
        """Draw everything anew; the output's bias to zero."""
        self.basis.reset_parameters()
        self._reset_mixing()

    @torch.no_grad()
    def _reset_mixing(self) -> None:
        """The variance is kept, and a tenth of it varies with the input.

        A softmax takes a mean, which has ``1 / rank`` of it; tanh cannot reach more than 0.4 at rank 1, 0.7 at rank 2.
        """
        self.mixing_weight.normal_(std=adaptive_std(self.rank, self.mixing_weight[0].numel()))
        bound = linear_bound(self.rank)
        self.mixing_bias.uniform_(-bound, bound)
        if self.squash == "tanh":
            self.mixing_bias.atanh_()
        if self.bias is not None:
            self.bias.zero_()

    @property
    def arguments(self) -> ConvArguments:
        """The checked arguments, at the resolution that the layer serves now."""
        return replace(self.basis.arguments, out_channels=self._arguments.out_channels)

    @property
    def size(self) -> tuple[int, ...]:
        """The current extent of the kernels in samples per axis."""
        return self.basis.size

    @property
    def bounds(self) -> Bounds:
        """Per axis the samples ``(start, stop)`` of the horizon that are in use now."""
        return self.basis.bounds

    def plan(self, shape: Sequence[int], *, channels_last: bool = False) -> Plan:
        """How the kernels are convolved with an input of ``shape``."""
        return self.basis.plan(shape, channels_last=channels_last)

    def forward(self, input: Tensor) -> Tensor:
        check_input(input, self.basis.arguments, type(self).__name__)
        responses = self.basis(input)
        batched = input.dim() == self.dims + 2
        mixing = self.mixing(input if batched else input.unsqueeze(0), responses.dtype)
        output = (mixing * (responses if batched else responses.unsqueeze(0)).unsqueeze(1)).sum(2)
        if self.bias is not None:
            output = output + self.bias.to(output.dtype).view(-1, *(1,) * self.dims)
        return output if batched else output.squeeze(0)

    def mixing(self, input: Tensor, dtype: torch.dtype | None = None) -> Tensor:  # (B, in, *S) -> (B, out, rank, *S')
        """How much of each kernel is taken at every position."""
        a, dtype = self.basis.arguments, dtype or input.dtype
        check_extension(input.shape[2:], self._mixing_padding(), a.padding_mode, " for `mixing_size`")
        with autocast_off(input):
            signal = pad(input.to(dtype), self._mixing_padding(), a.padding_mode)
            weight, bias = self.mixing_weight.to(dtype), self.mixing_bias.to(dtype)
            z = convolve(signal, weight, bias, stride=a.stride, dilation=a.dilation, engine="direct")
            shaped = z.unflatten(1, (self.out_channels, self.rank))
            if may_look(self, signal, self.squash):
                stuck = is_saturated(shaped[:1], self.squash, 2)
                tell_if_saturated(self, signal[:1], stuck, f"{self.squash} in most of the mixing", "mixing_weight")
            return shaped.softmax(2) if self.squash == "softmax" else SQUASHES[self.squash](shaped)

    def _mixing_padding(self) -> Padding:
        """The middle of the horizon, or its end, is where Q looks: the rest is cut off what the horizon would pad."""
        a = self.basis.arguments
        axes = zip(a.padding, a.kernel_size, self.mixing_weight.shape[2:], a.dilation, strict=True)
        found = []
        for (left, right), k, q, d in axes:
            start = k - q if a.causal else math.floor((k - q) / 2)
            found.append((left - start * d, right - (k - q - start) * d))
        return tuple(found)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, rank={self.rank}, squash={self.squash}"
        return f"{text}, mixing_size={tuple(self.mixing_weight.shape[2:])}, bias={self.bias is not None}"


class AdaptiveFlexConv1d(AdaptiveFlexConv):
    __doc__ = AdaptiveFlexConv.__doc__
    dims = 1
    basis_class = FlexConv1d


class AdaptiveFlexConv2d(AdaptiveFlexConv):
    __doc__ = AdaptiveFlexConv.__doc__
    dims = 2
    basis_class = FlexConv2d
