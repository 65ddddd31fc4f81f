"""Conditionally parametrised convolution: experts mixed by independent gates."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flexkern.layers import parse_arguments, per_axis

from .mixture import MixtureConv2d


class CondConv2d(MixtureConv2d):
    r"""Convolution whose weight is, for every sample, a sum of experts with gates between 0 and 1.

    .. math:: y = \Big(\sum_i a_i W_i\Big) * x + \sum_i a_i b_i, \quad
        a = \mathrm{sigmoid}\big(R\, \mathrm{mean}_p\, x(p) + r\big)

    CondConv (Yang et al., NeurIPS 2019). Computed as one convolution to ``experts * out_channels`` channels and a
    weighted sum, see :class:`~experiments.baselines.mixture.MixtureConv2d`; mixing the weights first costs about
    ``1 / experts`` of the multiplications where the output has many more samples per channel than there are experts.
    Deviation: experts start such that white noise keeps its variance (at gates of one half), and biases, if any, start
    at 0.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype:
            see ``torch.nn.Conv2d``; every expert has its own bias.
        experts: number of weights.

    Shape: (batch, in_channels, H, W) or (in_channels, H, W), as ``torch.nn.Conv2d``. ``weight`` has shape
    (groups, experts, out_channels / groups, in_channels / groups, *kernel_size).

    Raises:
        ValueError: for arguments out of range and inputs of the wrong shape, number of channels or dtype.

    Example:
        >>> layer = CondConv2d(3, 8, kernel_size=3, padding="same", experts=4)
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
        experts: int = 8,
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
        per_axis("experts", experts, 1, least=1)
        router = nn.Linear(in_channels, experts, device=device, dtype=dtype)
        super().__init__(
            arguments, router, experts=experts, initial_attention=0.5, bias=bias, device=device, dtype=dtype
        )

    def attention(self, signal: Tensor) -> Tensor:  # (B, in, H, W) -> (B, experts)
        """The gate of each expert, between 0 and 1."""
        gates: Tensor = self.router(signal.mean((2, 3))).sigmoid()
        return gates
