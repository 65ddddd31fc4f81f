"""Dynamic local filtering: a network of its own gives a filter for every position."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flexkern.layers import ConvArguments, parse_arguments, per_axis

from .base import Baseline2d, ScaledConv2d
from .local import apply_kernels, centred, output_size


class DynamicFilter2d(Baseline2d):
    r"""Filters the sum of the input channels with a filter per position and output channel, made from the input.

    .. math:: y_o(p) = b_o + \sum_u F_{o,u}(p) \sum_c x_c(p + u), \quad F = \mathrm{generator}(x)

    Dynamic local filtering of Dynamic Filter Networks (De Brabandere et al., NIPS 2016), here with the generator
    reading the input that is filtered. The default generator has two 3x3 convolutions with ReLU and a 1x1
    convolution to the taps, which reads the features in the middle of each window; it starts such that white noise
    keeps its variance. Deviations: stride, dilation and an output bias, which starts at 0; with ``groups`` the
    filters of a group see the channels of that group only.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype:
            see ``torch.nn.Conv2d``.
        generator: maps (batch, in_channels, H, W) to (batch, out_channels * taps, H', W'), with the taps of one
            output channel side by side in row-major order; H' and W' are those of the output. None for the default.
        hidden: channels of the default generator; None for 32.
        softmax: make the taps of every filter positive with sum 1.

    Shape: (batch, in_channels, H, W) or (in_channels, H, W), as ``torch.nn.Conv2d``.

    Raises:
        ValueError: for arguments out of range, inputs of the wrong shape, number of channels or dtype, and
            generators whose output has another shape.

    Example:
        >>> layer = DynamicFilter2d(3, 8, kernel_size=5, padding="same", softmax=True)
        >>> layer(torch.randn(2, 3, 16, 16)).shape
        torch.Size([2, 8, 16, 16])
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
        generator: nn.Module | None = None,
        hidden: int | None = None,
        softmax: bool = False,
    ) -> None:
        arguments = parse_arguments(
            2,
            in_channels=in_channels,
            out_channels=out_channels,
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            padding_mode=padding_mode,
            causal=False,
        )
        if generator is not None and hidden is not None:
            raise ValueError(f"`hidden` must be None with a `generator` of your own, got {hidden}.")
        super().__init__(arguments, (out_channels,) if bias else None, device=device, dtype=dtype)
        self.softmax = softmax
        if generator is None:
            generator = FilterGenerator(arguments, 32 if hidden is None else hidden, device=device, dtype=dtype)
        self.generator = generator

    def filters(self, signal: Tensor) -> Tensor:  # (B, in, H, W) -> (B, groups, out / groups, taps, H', W')
        """The filter of every position, taps in row-major order."""
        a = self.arguments
        taps = math.prod(a.kernel_size)
        found: Tensor = self.generator(signal)
        expected = (signal.shape[0], a.out_channels * taps, *output_size(signal.shape, a))
        if tuple(found.shape) != expected:
            raise ValueError(
                f"`generator` must map {tuple(signal.shape)} to (batch, out_channels * taps, H', W') = {expected}, "
                f"got {tuple(found.shape)}."
            )
        values = found.unflatten(1, (a.groups, a.out_channels // a.groups, taps))
        return values.softmax(3) if self.softmax else values

    def respond(self, signal: Tensor) -> Tensor:
        summed = signal.unflatten(1, (self.arguments.groups, -1)).sum(2)
        return apply_kernels(summed, self.filters(signal), self.bias, self.arguments)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, softmax={self.softmax}"


class FilterGenerator(nn.Module):
    """Two 3x3 convolutions with ReLU, and a 1x1 convolution to the taps of all filters."""

    def __init__(
        self,
        arguments: ConvArguments,
        hidden: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        per_axis("hidden", hidden, 1, least=1)
        self.arguments = a = arguments
        taps = math.prod(a.kernel_size)
        like = {"device": device, "dtype": dtype}
        same = {"padding": 1, "padding_mode": a.padding_mode, **like}
        self.features = nn.Sequential(
            ScaledConv2d(a.in_channels, hidden, 3, gain=1, **same),
            nn.ReLU(),
            ScaledConv2d(hidden, hidden, 3, gain=math.sqrt(2), **same),  # a ReLU halves the mean square
            nn.ReLU(),
        )
        gain = math.sqrt(2 * a.groups / (taps * a.in_channels))  # an output adds up that many samples
        self.readout = ScaledConv2d(hidden, a.out_channels * taps, 1, gain=gain, stride=a.stride, **like)

    def forward(self, input: Tensor) -> Tensor:
        taps: Tensor = self.readout(centred(self.features(input), self.arguments))
        return taps
