"""Depthwise learned-size convolution followed by a pointwise one."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from .._support.axes import CONVOLUTIONS
from ..engines import Plan
from ..generators import Generator
from ..windows import Bounds, GaussianWindow
from .arguments import ConvArguments
from .conv_nd import ConvNd
from .flexconv import FlexConv, FlexConv1d, FlexConv2d, FlexConv3d


class Pointwise(nn.Module):
    """A 1x1 convolution whose initial weights keep the variance: standard deviation ``1 / sqrt(in)``, bias 0.

    ``nn.ConvNd`` starts with a third of that variance, and would draw it again when reset on its own.
    """

    bias: nn.Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        bias: bool,
        dims: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        shape = (out_channels, in_channels, *(1,) * dims)
        self.weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        parameter = nn.Parameter(torch.empty(out_channels, device=device, dtype=dtype)) if bias else None
        self.register_parameter("bias", parameter)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew; set the bias to zero."""
        nn.init.normal_(self.weight, std=self.weight.shape[1] ** -0.5)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return CONVOLUTIONS[self.weight.dim() - 2](input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, bias={self.bias is not None}"


class SeparableFlexConv(ConvNd):
    r"""One learned-size kernel per channel, then a 1x1 convolution that mixes the channels.

    .. math:: y_o = b_o + \sum_i V_{oi} (\psi_i * x_i)

    The generator has ``in_channels`` outputs instead of ``out_channels * in_channels``, which saves most parameters
    and multiplications of a FlexConv (CCNN, Knigge et al. 2023). Arguments are those of
    :class:`~flexkern.FlexConv2d`, except that ``groups`` must be 1.

    Example:
        >>> layer = SeparableFlexConv2d(16, 32, kernel_size=33, padding="same")
        >>> layer(torch.randn(2, 16, 32, 32)).shape
        torch.Size([2, 32, 32, 32])
    """

    depthwise_class: ClassVar[type[FlexConv]]

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
        generator: str | Callable[..., Generator] = "magnet",
        window: Callable[..., GaussianWindow] | None = None,
        causal: bool = False,
        init_size: int | Sequence[int] | None = None,
        engine: str = "auto",
    ) -> None:
        if groups != 1:
            raise ValueError(f"`groups` must be 1 for a separable convolution, which is depthwise, got {groups}.")
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
        self.depthwise = self.depthwise_class(
            in_channels,
            in_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups=in_channels,
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
        self.pointwise = Pointwise(in_channels, out_channels, bias=bias, dims=self.dims, device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draw both steps anew."""
        self.depthwise.reset_parameters()
        self.pointwise.reset_parameters()

    @property
    def arguments(self) -> ConvArguments:
        """The checked arguments, at the resolution that the layer serves now."""
        own = self._arguments
        return replace(self.depthwise.arguments, out_channels=own.out_channels, groups=own.groups)

    @property
    def bias(self) -> nn.Parameter | None:
        """The output bias, which belongs to the pointwise step."""
        return self.pointwise.bias

    @property
    def size(self) -> tuple[int, ...]:
        """The current extent of the kernels in samples per axis."""
        return self.depthwise.size

    @property
    def bounds(self) -> Bounds:
        """Per axis the samples ``(start, stop)`` of the horizon that are in use now."""
        return self.depthwise.bounds

    @property
    def weight(self) -> Tensor:  # shape: (out, in, *size)
        """The kernels of the one dense convolution that equals both steps, sampled now."""
        return self.pointwise.weight * self.depthwise.weight.squeeze(1)

    def plan(self, shape: Sequence[int], *, channels_last: bool = False) -> Plan:
        """Return how the depthwise step convolves an input of ``shape``."""
        return self.depthwise.plan(shape, channels_last=channels_last)

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = self.pointwise(self.depthwise(input))
        return output


class SeparableFlexConv1d(SeparableFlexConv):
    __doc__ = SeparableFlexConv.__doc__
    dims = 1
    depthwise_class = FlexConv1d


class SeparableFlexConv2d(SeparableFlexConv):
    __doc__ = SeparableFlexConv.__doc__
    dims = 2
    depthwise_class = FlexConv2d


class SeparableFlexConv3d(SeparableFlexConv):
    __doc__ = SeparableFlexConv.__doc__
    dims = 3
    depthwise_class = FlexConv3d
