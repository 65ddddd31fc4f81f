"""FlexNet: a residual network without pooling, whose convolutions learn their size."""

import itertools
import math
from collections.abc import Sequence

from torch import Tensor, nn

from .blocks import NORMS, ChannelsLast, Dropout, Head, LayerFactory, shortcut


class ResidualBlock(nn.Module):
    """``conv - norm - ReLU - dropout - conv - norm``, plus the shortcut, then ReLU.

    Args:
        in_channels, out_channels: channels of the input and of the output.
        conv: builds a convolution from (in_channels, out_channels).
        dropout: probability of the dropout between the convolutions.
        dims: axes of the signal.

    Shape:
        ``(B, in_channels, *S)`` to ``(B, out_channels, *S)``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        conv: LayerFactory,
        *,
        dropout: float,
        dims: int,
    ) -> None:
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

    def forward(self, x: Tensor) -> Tensor:
        total = self.body(x) + self.shortcut(x)
        return total.relu_()


class FlexNet(nn.Module):
    """Classifier for images, or other signals, that keeps their full resolution throughout.

    ``conv - norm - ReLU``, residual blocks, global average, linear map (Romero et al. 2022). There is no pooling and no
    stride: receptive fields grow with the learned sizes.

    Args:
        in_channels: channels of the input.
        classes: number of outputs.
        conv: builds a convolution from (in_channels, out_channels); it must keep the length of the signal.
        width: channels of the first layer.
        factors: pairs (factor, count), each for ``count`` blocks of ``factor * width`` channels.
        dropout: probability of the dropout between the convolutions of a block.
        dims: axes of the signal.

    Shape:
        ``(B, in_channels, *S)`` to ``(B, classes)``.

    Raises:
        ValueError: if ``factors`` is empty or a count is not positive.

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
        widths = [width]
        for factor, count in factors:
            widths += [round(factor * width)] * count
        self.layout = ChannelsLast()
        self.stem = nn.Sequential(
            conv(in_channels, width),
            NORMS[dims](width),
            nn.ReLU(),
        )
        self.blocks = nn.Sequential()
        for before, after in itertools.pairwise(widths):
            block = ResidualBlock(before, after, conv, dropout=dropout, dims=dims)
            self.blocks.append(block)
        self.head = Head(widths[-1], classes, std=math.sqrt(2 / widths[-1]))

    def forward(self, x: Tensor) -> Tensor:
        x = self.layout(x)
        x = self.stem(x)
        x = self.blocks(x)
        features = x.flatten(2).mean(dim=2)
        return self.head(features)
