"""FlexNet: a residual network without pooling, whose convolutions choose their own size."""

import itertools
import math
from collections.abc import Sequence

from torch import Tensor, nn

from .blocks import NORMS, ChannelsLast, Dropout, Head, LayerFactory, shortcut


class ResidualBlock(nn.Module):
    """``conv - norm - ReLU - dropout - conv - norm``, plus the shortcut, then ReLU."""

    def __init__(self, in_channels: int, out_channels: int, conv: LayerFactory, *, dropout: float, dims: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(in_channels, out_channels),
            NORMS[dims](out_channels),
            nn.ReLU(),
            Dropout(dropout),
            conv(out_channels, out_channels),
            NORMS[dims](out_channels),
        )
        self.shortcut = shortcut(in_channels, out_channels, dims)

    def forward(self, x: Tensor) -> Tensor:  # (B, in, *S) -> (B, out, *S)
        return (self.body(x) + self.shortcut(x)).relu_()


class FlexNet(nn.Module):
    """Classifier of images (or any signals) at full resolution from beginning to end.

    ``conv - norm - ReLU``, residual blocks, global average, linear map (Romero et al. 2022). There is no
    pooling and no stride: receptive fields grow by the learned sizes.

    Args:
        in_channels, classes: channels of the input, number of outputs.
        conv: makes a convolution from (in_channels, out_channels); it must keep the signal's length.
        width: channels of the first layer.
        factors: (factor, count) pairs: ``count`` blocks of ``factor * width`` channels.
        dropout: probability between the convolutions of a block.
        dims: axes of the signal.

    Example:
        >>> import functools, torch, flexkern
        >>> conv = functools.partial(flexkern.FlexConv2d, kernel_size=33, padding="same")
        >>> FlexNet(3, 10, conv, width=8, factors=((1, 2),))(torch.randn(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        conv: LayerFactory,
        *,
        width: int = 24,
        factors: Sequence[tuple[float, int]] = ((1, 2), (1.5, 3), (2, 2)),
        dropout: float = 0.2,
        dims: int = 2,
    ) -> None:
        super().__init__()
        if not factors or min(count for _, count in factors) < 1:
            raise ValueError(f"`factors` must be (factor, count) pairs with at least one block, got {factors}.")
        self.layout = ChannelsLast()
        self.stem = nn.Sequential(conv(in_channels, width), NORMS[dims](width), nn.ReLU())
        widths = [width] + [round(factor * width) for factor, count in factors for _ in range(count)]
        self.blocks = nn.Sequential(
            *(ResidualBlock(a, b, conv, dropout=dropout, dims=dims) for a, b in itertools.pairwise(widths))
        )
        self.head = Head(widths[-1], classes, std=math.sqrt(2 / widths[-1]))

    def forward(self, x: Tensor) -> Tensor:  # (B, in, *S) -> (B, classes)
        return self.head(self.blocks(self.stem(self.layout(x))).flatten(2).mean(dim=2))
