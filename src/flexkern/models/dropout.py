"""Dropout that draws fewer random numbers."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..tracing import compiling, transforming

LEVELS = 2**16


class Dropout(nn.Dropout):
    r"""``nn.Dropout``, faster on a CPU: every 64-bit random number decides on four values.

    In training :math:`y = x m / (1 - p)` with :math:`m` zero with probability ``p``, rounded to a multiple of
    :math:`2^{-16}`. Elsewhere - other devices, compiled code, evaluation - it is torch's.

    Example:
        >>> kept = Dropout(0.25)(torch.ones(1000)) != 0
        >>> 700 < int(kept.sum()) < 800
        True
    """

    def forward(self, input: Tensor) -> Tensor:
        drops = round(self.p * LEVELS)
        if not self.training or input.device.type != "cpu" or not 0 < drops < LEVELS or compiling() or transforming():
            return F.dropout(input, self.p, self.training, self.inplace)
        draws = torch.empty(-(-input.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        lanes = draws.view(torch.int16)[: input.numel()].view(input.shape)  # uniform on -2^15 .. 2^15 - 1
        scale = (lanes >= drops - LEVELS // 2).to(input.dtype).mul_(LEVELS / (LEVELS - drops))
        return input.mul_(scale) if self.inplace else input * scale
