"""Involution: kernels that differ by position and are shared by channels."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexkern.layers import ConvArguments, parse_arguments, per_axis

from .base import Baseline2d, ScaledConv2d
from .local import apply_kernels, centred


class Involution2d(Baseline2d):
    r"""A kernel per position and group of channels, made from the pixel in the middle of the window.

    .. math:: y_c(p) = b_c + \sum_u H_{g(c),u}(p)\, x_c(p + u), \quad
        H(p) = W_1\, \mathrm{relu}(\mathrm{BN}(W_0\, x(p))) + w

    Involution (Li et al., CVPR 2021). With a stride, the generator sees averages over ``stride`` samples from the
    middle of each window on. Deviations: even and rectangular kernels, dilation and any padding; an output bias,
    which starts at 0; the generator starts such that white noise keeps its variance. Channels are not mixed.

    Args:
        in_channels, kernel_size, stride, padding, dilation, bias, padding_mode, device, dtype: see
            ``torch.nn.Conv2d``; the paper pads by "same".
        out_channels: must equal ``in_channels``.
        groups: must be 1; ``group_channels`` decides who shares a kernel.
        group_channels: neighbouring channels that share a kernel; must divide ``in_channels``.
        reduction: the generator has ``in_channels // reduction`` hidden channels, at least one.

    Shape: (batch, in_channels, H, W) or (in_channels, H, W), as ``torch.nn.Conv2d``.

    Raises:
        ValueError: for arguments out of range and inputs of the wrong shape, number of channels or dtype.

    Example:
        >>> layer = Involution2d(32, 32, kernel_size=7, padding="same")
        >>> layer(torch.randn(2, 32, 16, 16)).shape
        torch.Size([2, 32, 16, 16])
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
        group_channels: int = 16,
        reduction: int = 4,
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
        _check_involution(arguments, group_channels, reduction)
        super().__init__(arguments, (out_channels,) if bias else None, device=device, dtype=dtype)
        self.group_channels = group_channels
        hidden, taps = max(1, in_channels // reduction), math.prod(arguments.kernel_size)
        outputs, gain = in_channels // group_channels * taps, math.sqrt(2 / taps)  # a ReLU halves the mean square
        self.generator = nn.Sequential(
            ScaledConv2d(in_channels, hidden, 1, gain=1, bias=False, device=device, dtype=dtype),
            nn.BatchNorm2d(hidden, device=device, dtype=dtype),
            nn.ReLU(),
            ScaledConv2d(hidden, outputs, 1, gain=gain, device=device, dtype=dtype),
        )

    def kernels(self, signal: Tensor) -> Tensor:  # (B, in, H, W) -> (B, in / group_channels, 1, taps, H', W')
        """The kernel of every position, taps in row-major order."""
        a = self.arguments
        seen = centred(signal, a)
        if max(a.stride) > 1:
            seen = F.avg_pool2d(seen, a.stride, ceil_mode=True)  # the last window may be cut short
        found: Tensor = self.generator(seen)
        return found.unflatten(1, (a.in_channels // self.group_channels, 1, math.prod(a.kernel_size)))

    def respond(self, signal: Tensor) -> Tensor:
        return apply_kernels(signal, self.kernels(signal), self.bias, self.arguments)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, group_channels={self.group_channels}"


def _check_involution(arguments: ConvArguments, group_channels: int, reduction: int) -> None:
    channels = arguments.in_channels
    if arguments.out_channels != channels:
        raise ValueError(
            f"`out_channels` must equal `in_channels` for an involution, which does not mix channels, "
            f"got {arguments.out_channels} and {channels}."
        )
    if arguments.groups != 1:
        raise ValueError(f"`groups` must be 1 for an involution, set `group_channels`, got {arguments.groups}.")
    per_axis("group_channels", group_channels, 1, least=1)
    per_axis("reduction", reduction, 1, least=1)
    if channels % group_channels:
        raise ValueError(f"`in_channels` must be divisible by `group_channels`, got {channels} and {group_channels}.")
