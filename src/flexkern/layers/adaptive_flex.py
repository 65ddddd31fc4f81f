"""Convolutions whose kernels adapt to the input and learn their size."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from .._support.axes import append_axes
from .._support.nearest import did_you_mean
from .._support.precision import autocast_off
from ..adaptive import SQUASHES, adaptive_std, linear_bound
from ..engines import Padding, Plan, convolve, pad
from ..generators import Generator
from ..windows import Bounds, GaussianWindow
from .arguments import ConvArguments, check_extension, check_input, per_axis
from .conv_nd import ConvNd
from .flexconv import FlexConv, FlexConv1d, FlexConv2d
from .saturation import is_check_due, is_saturated, warn_if_mostly_saturated

_RANK_SQUASHES = ("tanh", "hardtanh", "softmax")


class AdaptiveFlexConv(ConvNd):
    r"""Convolution with kernels of learned size, mixed differently at every position, as computed from the input.

    .. math:: y_o(p) = b_o + \sum_r g_{or}(p) \, (\psi_r * x)(p), \qquad
        g_{or}(p) = \mathrm{squash}\Big(\beta_{or} + \sum_{c,a} Q_{orc}(a) \, x_c(p + a)\Big)

    The kernel at p is :math:`\sum_r g_{or}(p) \psi_r`. The ``rank`` kernels :math:`\psi_r` are those of a
    :class:`~flexkern.layers.flexconv.FlexConv`: readout times windowed features of one generator, of any size with a
    fixed number of parameters, computed by any engine. With Q = 0 the layer is a FlexConv of rank ``rank``.

    The layer is ours. It combines FlexConv (Romero et al. 2022) with Adaptive Convolutional Kernels (Zamora Esquivel et
    al. 2019), and factors the kernel as dynamic filter atoms do (Wang et al. 2021). The mixing of all positions is
    stored, ``rank`` times the size of the output; the kernels of all positions never are.

    At another resolution (:func:`flexkern.at_resolution`) Q keeps its samples, so that the layer is the same operator
    there only with ``mixing_size=1``.

    Args:
        in_channels, out_channels, stride, padding, dilation, bias, padding_mode, device, dtype: see ``nn.Conv2d``.
        kernel_size: the largest size the kernels may take.
        groups: must be 1.
        generator, window, causal, init_size, engine: see :class:`~flexkern.FlexConv2d`.
        rank: number of kernels that are mixed.
        mixing_size: samples per axis from which the mixing is computed (those of Q), in the middle of the largest
            kernel; if causal, at its end.
        squash: "tanh" or "hardtanh", or "softmax" over the rank.

    The number of parameters is that of a FlexConv of ``rank`` outputs without bias, and ``out * rank * (in * q + 1) +
    out`` with ``q`` the samples of Q.

    Raises:
        ValueError: as FlexConv, and if ``groups`` is not 1, ``squash`` is unknown or a size is not positive.

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
        """Draw all parameters again and set the output's bias to 0."""
        self.basis.reset_parameters()
        self._reset_mixing()

    @torch.no_grad()
    def _reset_mixing(self) -> None:
        """Draw a mixing that keeps the variance, a tenth of which varies with the input.

        There are two exceptions. A softmax takes a mean, which has ``1 / rank`` of the variance. With tanh no more
        than 0.4 of the variance is possible at rank 1, and 0.7 at rank 2.
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
        """Return how the kernels are convolved with an input of ``shape``."""
        return self.basis.plan(shape, channels_last=channels_last)

    def forward(self, input: Tensor) -> Tensor:
        check_input(input, self.basis.arguments, type(self).__name__)
        responses = self.basis(input)
        batched = input.dim() == self.dims + 2
        if not batched:
            input = input.unsqueeze(0)
            responses = responses.unsqueeze(0)
        mixing = self.mixing(input, responses.dtype)
        output = (mixing * responses.unsqueeze(1)).sum(2)
        if self.bias is not None:
            bias = self.bias.to(output.dtype)
            output = output + append_axes(bias, self.dims)
        return output if batched else output.squeeze(0)

    def mixing(self, input: Tensor, dtype: torch.dtype | None = None) -> Tensor:  # (B, in, *S) -> (B, out, rank, *S')
        """Return the factor of each kernel at every position, in ``dtype``, by default the input's."""
        dtype = dtype or input.dtype
        arguments = self.basis.arguments
        padding = self._mixing_padding()
        check_extension(input.shape[2:], padding, arguments.padding_mode, " for `mixing_size`")
        with autocast_off(input):
            signal = pad(input.to(dtype), padding, arguments.padding_mode)
            z = convolve(
                signal,
                self.mixing_weight.to(dtype),
                self.mixing_bias.to(dtype),
                stride=arguments.stride,
                dilation=arguments.dilation,
                engine="direct",
            )
            z = z.unflatten(1, (self.out_channels, self.rank))
            if is_check_due(self, signal, self.squash):
                saturated = is_saturated(z[:1], self.squash, 2)
                quantity = f"{self.squash} in most of the mixing"
                warn_if_mostly_saturated(self, signal[:1], saturated, quantity, "mixing_weight")
            if self.squash == "softmax":
                return z.softmax(2)
            return SQUASHES[self.squash](z)

    def _mixing_padding(self) -> Padding:
        """Return the padding of the mixing's convolution: that of the whole kernel, less the samples Q does not see.

        Q lies in the middle of the whole kernel, or at its end if the layer is causal.
        """
        arguments = self.basis.arguments
        mixing_size = self.mixing_weight.shape[2:]
        axes = zip(arguments.padding, arguments.kernel_size, mixing_size, arguments.dilation, strict=True)
        padding = []
        for (left, right), kernel, samples, dilation in axes:
            unseen = kernel - samples
            start = unseen if arguments.causal else math.floor(unseen / 2)
            stop = unseen - start
            padding.append((left - start * dilation, right - stop * dilation))
        return tuple(padding)

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
