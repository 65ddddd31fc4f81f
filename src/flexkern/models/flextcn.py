"""FlexTCN: a causal residual network for sequences."""

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from .blocks import NORMS, Dropout, Head, LayerFactory, shortcut


class TemporalBlock(nn.Module):
    """Twice ``conv - norm - ReLU - dropout``, plus the shortcut, then ReLU.

    Args:
        in_channels, out_channels: channels of the input and of the output.
        conv: builds a causal convolution from (in_channels, out_channels).
        dropout: probability of the dropout after each convolution.

    Shape:
        ``(B, in_channels, T)`` to ``(B, out_channels, T)``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        conv: LayerFactory,
        *,
        dropout: float,
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(in_channels, out_channels),
            NORMS[1](out_channels),
            nn.ReLU(),
            Dropout(dropout),
            conv(out_channels, out_channels),
            NORMS[1](out_channels),
            nn.ReLU(),
            Dropout(dropout),
        )
        self.shortcut = shortcut(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        total = self.body(x) + self.shortcut(x)
        return total.relu_()


class FlexTCN(nn.Module):
    """Classifier for sequences, from the features of the last time step.

    Temporal blocks of causal convolutions, then a linear map (Romero et al. 2022). It is the residual TCN of Bai et
    al. 2018, with one convolution as long as the sequence in place of a stack of dilated ones.

    Args:
        in_channels: channels of the input.
        classes: number of outputs.
        conv: builds a causal convolution from (in_channels, out_channels).
        widths: channels of every block.
        dropout: probability of the dropout after each convolution.

    Shape:
        ``(B, in_channels, T)`` to ``(B, classes)``.

    Raises:
        ValueError: if ``widths`` is empty.

    Example:
        >>> import functools, torch, flexkern
        >>> conv = functools.partial(flexkern.FlexConv1d, kernel_size=64, causal=True)
        >>> FlexTCN(3, 10, conv, widths=(8, 8))(torch.randn(2, 3, 64)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        conv: LayerFactory,
        *,
        widths: Sequence[int] = (30, 30),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if not widths:
            raise ValueError("`widths` must name at least one block (`blocks` must be positive), got none.")
        self.blocks = nn.Sequential()
        for before, after in itertools.pairwise([in_channels, *widths]):
            block = TemporalBlock(before, after, conv, dropout=dropout)
            self.blocks.append(block)
        self.head = Head(widths[-1], classes, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        features = self.blocks(x)
        return self.head(features[..., -1])
