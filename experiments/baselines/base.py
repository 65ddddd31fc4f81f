"""What the layers of other papers share: checks, the batch axis, borders, and weights of a stated size."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from flexkern._support.precision import agreed_dtype
from flexkern.layers import ConvArguments, check_input


class Baseline2d(nn.Module):
    """Takes inputs as ``nn.Conv2d`` does and hands batches of checked ones to :meth:`respond`.

    Args:
        arguments: checked arguments of the convolution.
        bias_shape: of the bias, which starts at 0; None for no bias.
    """

    bias: nn.Parameter | None

    def __init__(
        self,
        arguments: ConvArguments,
        bias_shape: tuple[int, ...] | None,
        *,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.arguments = arguments
        parameter = None if bias_shape is None else nn.Parameter(torch.zeros(bias_shape, device=device, dtype=dtype))
        self.register_parameter("bias", parameter)

    @property
    def in_channels(self) -> int:
        return self.arguments.in_channels

    @property
    def out_channels(self) -> int:
        return self.arguments.out_channels

    @property
    def kernel_size(self) -> tuple[int, ...]:
        return self.arguments.kernel_size

    def reset_parameters(self) -> None:
        """Draw all parts anew, set the bias to zero."""
        for part in self.modules():
            reset = getattr(part, "reset_parameters", None)
            if part is not self and callable(reset):
                reset()
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def respond(self, signal: Tensor) -> Tensor:  # (B, in, H, W) -> (B, out, H', W')
        """The layer itself."""
        raise NotImplementedError

    def forward(self, input: Tensor) -> Tensor:
        check_input(input, self.arguments, type(self).__name__)
        batched = input.dim() == 4
        held = next(self.parameters(), input).dtype
        signal = input.to(agreed_dtype(input, held, type(self).__name__))
        output = self.respond(signal if batched else signal.unsqueeze(0))
        return output if batched else output.squeeze(0)

    def extra_repr(self) -> str:
        return f"{self.arguments.describe()}, bias={self.bias is not None}"


class ScaledConv2d(nn.Conv2d):
    """Convolution whose weights start with standard deviation ``gain / sqrt(fan_in)`` and whose bias starts at 0."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, gain: float, **options: Any) -> None:
        self.gain = gain
        super().__init__(in_channels, out_channels, kernel_size, **options)

    def reset_parameters(self) -> None:
        """Draw the weights anew, set the bias to zero."""
        nn.init.normal_(self.weight, std=self.gain / math.sqrt(self.weight[0].numel()))
        if self.bias is not None:
            nn.init.zeros_(self.bias)
