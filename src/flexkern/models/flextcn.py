"""FlexTCN: a causal residual network for sequences."""

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from .blocks import NORMS, Dropout, Head, LayerFactory, shortcut


class TemporalBlock(nn.Module):
    """Twice ``conv - norm - ReLU - dropout``, plus the shortcut, then ReLU."""

    def __init__(self, in_channels: int, out_channels: int, conv: LayerFactory, *, dropout: float) -> None:
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

    def forward(self, x: Tensor) -> Tensor:  # (B, in, T) -> (B, out, T)
        return (self.body(x) + self.shortcut(x)).relu_()


class FlexTCN(nn.Module):
    """Classifier of sequences from the features of their last time step.

    Temporal blocks with causal convolutions, then a linear map (Romero et al. 2022; the residual TCN of
    Bai et al. 2018 with one layer that sees everything instead of a pile of dilated ones).

    Args:
        in_channels, classes: channels of the input, number of outputs.
        conv: makes a causal convolution from (in_channels, out_channels).
        widths: channels of every block.
        dropout: probability after each convolution.

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
        channels = [in_channels, *widths]
        self.blocks = nn.Sequential(
            *(TemporalBlock(a, b, conv, dropout=dropout) for a, b in itertools.pairwise(channels))
        )
        self.head = Head(channels[-1], classes, std=0.01)

    def forward(self, x: Tensor) -> Tensor:  # (B, in, T) -> (B, classes)
        return self.head(self.blocks(x)[..., -1])
