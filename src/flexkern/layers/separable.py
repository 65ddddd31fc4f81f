"""Depthwise learned-size convolution followed by a pointwise one."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..generators import Generator
from ..windows import GaussianWindow
from .flexconv import FlexConv, FlexConv1d, FlexConv2d, FlexConv3d


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
        convolution = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[self.dims]
        self.pointwise = convolution(in_channels, out_channels, 1, bias=bias, device=device, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw both parts anew; the pointwise weights keep the variance (standard deviation 1 / sqrt(in))."""
        self.depthwise.reset_parameters()
        nn.init.normal_(self.pointwise.weight, std=self.pointwise.in_channels**-0.5)
        if self.pointwise.bias is not None:
            nn.init.zeros_(self.pointwise.bias)

    @property
    def kernel_size(self) -> tuple[int, ...]:
        """The horizon: samples per axis of the whole grid."""
        return self.depthwise.kernel_size

    @property
    def size(self) -> tuple[int, ...]:
        """The current extent of the kernels in samples per axis."""
        return self.depthwise.size

    def forward(self, input: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(input))


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
