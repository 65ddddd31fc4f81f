"""Convolutions with a continuous kernel."""

from collections.abc import Callable, Sequence

import torch

from ..generators import Generator
from .arguments import ConvArguments
from .base import ContinuousConv


class CKConv(ContinuousConv):
    r"""Convolution whose kernel is a small network over positions, sampled on a grid of ``kernel_size`` samples.

    .. math:: y_o(t) = b_o + \sum_i \sum_j \psi_{oi}(x_j)\, x_i(s t + d j - p)

    CKConv (Romero et al. 2021) for one, two or three axes. The number of parameters does not depend on
    ``kernel_size``. Arguments up to ``dtype`` are those of ``torch.nn.ConvNd``, in the same order and meaning.
    Deviations from the authors' code: even and rectangular sizes, stride, dilation, groups and all padding modes
    work, and the initial readout keeps the variance of white noise.

    Args:
        in_channels, out_channels, stride, padding, dilation, groups, bias, padding_mode, device, dtype: see
            ``torch.nn.Conv2d``; the bias starts at 0.
        kernel_size: samples per axis; may exceed the signal if ``padding`` allows it.
        generator: name or factory of the kernel generator, such as "magnet" or ``MAGNet(hidden=64)``.
        causal: pad on the old side only, so that output ``t`` depends on no input after ``t`` (one axis only).
        engine: "auto" selects for each pass the engine with the lowest estimate; "direct", "fft", "dft" and
            "overlap_save" force one.

    Shape: (batch, in_channels, *signal) or (in_channels, *signal), as ``torch.nn.ConvNd``.

    Raises:
        ValueError: for arguments out of range and inputs of the wrong shape, number of channels or dtype.

    Example:
        >>> layer = CKConv1d(3, 8, kernel_size=64, causal=True, generator="siren")
        >>> layer(torch.randn(2, 3, 64)).shape
        torch.Size([2, 8, 64])
    """

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
        causal: bool = False,
        engine: str = "auto",
    ) -> None:
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
        super().__init__(arguments, generator, None, bias=bias, engine=engine, device=device, dtype=dtype)


class CKConv1d(CKConv):
    __doc__ = CKConv.__doc__
    dims = 1


class CKConv2d(CKConv):
    __doc__ = CKConv.__doc__
    dims = 2


class CKConv3d(CKConv):
    __doc__ = CKConv.__doc__
    dims = 3
