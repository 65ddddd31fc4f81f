"""The two networks called LeNet, for 28x28 images: the yardstick of small networks."""

import itertools
from collections.abc import Sequence

from torch import nn


def lenet(
    in_channels: int = 1,
    classes: int = 10,
    *,
    widths: Sequence[int] = (6, 16),
    hidden: Sequence[int] = (120, 84),
    padding: int = 2,
) -> nn.Sequential:
    """Build LeNet: two 5x5 convolutions, each followed by maximum pooling, then linear layers.

    The default is LeNet-5 (LeCun et al. 1998), 61,706 parameters. Deviations: ReLU activations, and no sparse
    connections. The LeNet of Caffe, 431,080 parameters, has widths (20, 50), one hidden layer of 500 and no padding.
    Deviation: here ReLU follows its convolutions too.

    Args:
        in_channels: channels of the input.
        classes: number of outputs.
        widths: channels of the two convolutions.
        hidden: units of the hidden linear layers.
        padding: padding of the first convolution.

    Returns:
        A network from ``(B, in_channels, 28, 28)`` to ``(B, classes)``.

    Example:
        >>> sum(p.numel() for p in lenet(widths=(20, 50), hidden=(500,), padding=0).parameters())
        431080
    """
    pooled_side = (28 + 2 * padding - 4) // 2
    side = (pooled_side - 4) // 2
    features = [widths[1] * side * side, *hidden]
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, widths[0], 5, padding=padding),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(widths[0], widths[1], 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
    ]
    for before, after in itertools.pairwise(features):
        layers.append(nn.Linear(before, after))
        layers.append(nn.ReLU())
    layers.append(nn.Linear(features[-1], classes))
    return nn.Sequential(*layers)
