"""A convolution whose weight is a mixture, decided for every sample by attention to its mean."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexkern.engines import pad
from flexkern.layers import ConvArguments

from .base import Baseline2d


class MixtureConv2d(Baseline2d):
    r"""Weights and biases of several experts, mixed per sample; the base of CondConv and of dynamic convolution.

    .. math:: y = \sum_i a_i(x) (W_i * x + b_i)

    This equals the convolution with :math:`\sum_i a_i W_i` and is computed as written: one convolution of constant
    weights to ``experts * out_channels`` channels, then a weighted sum. So no kernel is a result of the network,
    which mobile runtimes refuse, and an exported model takes any batch. Mixing the weights first (one convolution
    with the batch folded into its groups) costs less where the output has more samples per channel than there are
    experts: with many more, about ``1 / experts`` of the multiplications and of the memory.

    Args:
        arguments: checked arguments of the convolution.
        router: per-sample means (B, in) to one value per expert (B, experts).
        experts: number of weights.
        initial_attention: what an expert receives at the start; decides the scale of the initial weights.
        bias: whether every expert has a bias, 0 at the start.
    """

    def __init__(
        self,
        arguments: ConvArguments,
        router: nn.Module,
        *,
        experts: int,
        initial_attention: float,
        bias: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        groups = arguments.groups
        rows = (groups, experts, arguments.out_channels // groups)  # in the order of the convolution's channels
        super().__init__(arguments, rows if bias else None, device=device, dtype=dtype)
        self.router = router
        self.initial_attention = initial_attention
        shape = (*rows, arguments.in_channels // groups, *arguments.kernel_size)
        self.weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        self.reset_parameters()

    @property
    def experts(self) -> int:
        return self.weight.shape[1]

    def reset_parameters(self) -> None:
        """Draw experts and router anew, such that white noise keeps its variance; set the biases to zero."""
        super().reset_parameters()
        fan_in = math.prod(self.weight.shape[3:])
        nn.init.normal_(self.weight, std=1 / (self.initial_attention * math.sqrt(self.experts * fan_in)))

    def attention(self, signal: Tensor) -> Tensor:  # (B, in, H, W) -> (B, experts)
        """What each expert contributes to each sample."""
        raise NotImplementedError

    def respond(self, signal: Tensor) -> Tensor:
        found = self._convolve(signal)
        by_expert = found.unflatten(1, self.weight.shape[:3]).flatten(3)  # (B, groups, experts, values)
        mixed = self.attention(signal)[:, None, None] @ by_expert  # (B, groups, 1, values)
        return mixed.reshape(found.shape[0], self.out_channels, *found.shape[2:])

    def _convolve(self, signal: Tensor) -> Tensor:  # -> (B, groups * experts * out / groups, H', W')
        a = self.arguments
        padding = tuple(left for left, _ in a.padding)
        if a.padding_mode != "zeros" or any(left != right for left, right in a.padding):  # torch's cannot do these
            signal, padding = pad(signal, a.padding, a.padding_mode), (0, 0)
        bias = None if self.bias is None else self.bias.flatten()
        return F.conv2d(signal, self.weight.flatten(0, 2), bias, a.stride, padding, a.dilation, a.groups)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, experts={self.experts}"
