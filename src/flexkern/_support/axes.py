"""What depends on the number of axes."""

from collections.abc import Iterable
from typing import Any

import torch.nn.functional as F

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def last_axes(slices: Iterable[slice]) -> Any:
    """An index of the last axes only.

    Example:
        >>> import torch; torch.zeros(2, 3, 5)[last_axes([slice(2), slice(4)])].shape
        torch.Size([2, 2, 4])
    """
    return (..., *slices)
