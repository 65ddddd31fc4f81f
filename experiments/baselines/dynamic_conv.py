"""Dynamic convolution: experts mixed by a softmax."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flexkern.layers import parse_arguments, per_axis

from .mixture import MixtureConv2d


class DynamicConv2d(MixtureConv2d):
    r"""Convolution whose weight is, for every sample, an average of experts.

    .. math:: y = \Big(\sum_i a_i W_i\Big) * x + \sum_i a_i b_i, \quad
        a = \mathrm{softmax}\Big(\frac{1}{\tau} \big(R_2\, \mathrm{relu}(R_1\, \mathrm{mean}_p\, x(p) + r_1) + r_2
        \big)\Big)

    Dynamic convolution (Chen et al., CVPR 2020). The temperature :math:`\tau` is the attribute ``temperature``. As
    in the paper it is 30 at first, which makes the attention nearly uniform, so that every expert learns; whoever
    trains lowers it to 1 during the first epochs by setting ``layer.temperature``. It is no part of the
    ``state_dict``: a layer that loads weights needs the temperature that they were used with.

    Computed as one convolution to ``experts * out_channels`` channels and a weighted sum, see
    :class:`~experiments.baselines.mixture.MixtureConv2d`; mixing the weights first costs about ``1 / experts`` of the
    multiplications where the output has many more samples per channel than there are experts. Deviation: experts
    start such that white noise keeps its variance (at uniform attention), and biases, if any, start at 0.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype:
            see ``torch.nn.Conv2d``; every expert has its own bias.
        experts: number of weights.
        reduction: the attention has ``in_channels // reduction`` hidden units, at least one.
        temperature: the attribute's first value.

    Shape: (batch, in_channels, H, W) or (in_channels, H, W), as ``torch.nn.Conv2d``. ``weight`` has shape
    (groups, experts, out_channels / groups, in_channels / groups, *kernel_size).

    Raises:
        ValueError: for arguments out of range and inputs of the wrong shape, number of channels or dtype.

    Example:
        >>> layer = DynamicConv2d(8, 16, kernel_size=3, stride=2, padding=1)
        >>> layer(torch.randn(2, 8, 16, 16)).shape
        torch.Size([2, 16, 8, 8])
        >>> layer.temperature = 1.0  # after some epochs
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
        experts: int = 4,
        reduction: int = 4,
        temperature: float = 30.0,
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
        per_axis("reduction", reduction, 1, least=1)
        if not temperature > 0:
            raise ValueError(f"`temperature` must be positive, got {temperature}.")
        hidden = max(1, in_channels // reduction)
        router = nn.Sequential(
            nn.Linear(in_channels, hidden, device=device, dtype=dtype),
            nn.ReLU(),
            nn.Linear(hidden, experts, device=device, dtype=dtype),
        )
        super().__init__(
            arguments, router, experts=experts, initial_attention=1 / experts, bias=bias, device=device, dtype=dtype
        )
        self.temperature = temperature

    def attention(self, signal: Tensor) -> Tensor:  # (B, in, H, W) -> (B, experts)
        """The share of each expert; shares are positive and sum to 1."""
        scores: Tensor = self.router(signal.mean((2, 3)))
        return (scores / self.temperature).softmax(1)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, temperature={self.temperature}"
