"""The two networks called LeNet, for 28x28 images: what small networks are measured by."""

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
    """Two 5x5 convolutions (the first padded by ``padding``), each with maximum pooling, then linear layers.

    LeNet-5 (LeCun et al. 1998) with ReLU and without its sparse connections: 61,706 parameters. Caffe's LeNet has
    widths (20, 50), one hidden layer of 500, no padding, and no ReLU after its convolutions; 431,080 parameters
    (here ReLU follows them too).

    Example:
        >>> sum(p.numel() for p in lenet(widths=(20, 50), hidden=(500,), padding=0).parameters())
        431080
    """
    side = ((28 + 2 * padding - 4) // 2 - 4) // 2
    sizes = [widths[1] * side * side, *hidden]
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, widths[0], 5, padding=padding),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(widths[0], widths[1], 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
    ]
    for before, after in zip(sizes, hidden, strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], classes))
