"""Depthwise learned-size convolution followed by a pointwise one."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from .._support.axes import CONVOLUTIONS
from ..engines import Plan
from ..generators import Generator
from ..windows import Bounds, GaussianWindow
from .arguments import per_axis
from .flexconv import FlexConv, FlexConv1d, FlexConv2d, FlexConv3d


class Pointwise(nn.Module):
    """A 1x1 convolution that keeps the variance: weights of standard deviation ``1 / sqrt(in)``, bias 0.

    ``nn.ConvNd`` would start with a third of the variance, and draw that again whenever it is reset by itself.
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
        """Draw the weights anew, set the bias to zero."""
        nn.init.normal_(self.weight, std=self.weight.shape[1] ** -0.5)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return CONVOLUTIONS[self.weight.dim() - 2](input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}, bias={self.bias is not None}"


class SeparableFlexConv(nn.Module):
    r"""One learned-size kernel per channel, then a 1x1 convolution that mixes the channels.

    .. math:: y_o = b_o + \sum_i V_{oi} (\psi_i * x_i)

    The generator has ``in_channels`` outputs instead of ``out_channels * in_channels``, so most of a FlexConv's
    parameters and multiplications go (CCNN, Knigge et al. 2023). Arguments as
    :class:`~flexkern.layers.flexconv.FlexConv`, except ``groups``, which is given by the construction.

    Example:
        >>> layer = SeparableFlexConv2d(16, 32, kernel_size=33, padding="same")
        >>> layer(torch.randn(2, 16, 32, 32)).shape
        torch.Size([2, 32, 32, 32])
    """

    dims: ClassVar[int]
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
        super().__init__()
        if groups != 1:
            raise ValueError(f"`groups` must be 1 for a separable convolution, which is depthwise, got {groups}.")
        per_axis("out_channels", out_channels, 1, least=1)
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
        """Draw both parts anew."""
        self.depthwise.reset_parameters()
        self.pointwise.reset_parameters()

    @property
    def in_channels(self) -> int:
        return self.depthwise.in_channels

    @property
    def out_channels(self) -> int:
        return self.pointwise.weight.shape[0]

    @property
    def kernel_size(self) -> tuple[int, ...]:
        """The horizon: samples per axis of the whole grid."""
        return self.depthwise.kernel_size

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
        """How the depthwise step convolves an input of ``shape``."""
        return self.depthwise.plan(shape, channels_last=channels_last)

    def forward(self, input: Tensor) -> Tensor:
        mixed: Tensor = self.pointwise(self.depthwise(input))
        return mixed


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
