"""The direct engine: torch's own convolution."""

import torch.nn.functional as F
from torch import Tensor

from ..precision import autocast_off
from .plan import Plan
from .weight import Weight, dense

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def direct(input: Tensor, weight: Weight, plan: Plan) -> Tensor:
    """``torch.nn.functional.conv*d`` with padding per side.

    Symmetric padding is left to torch; a difference is padded, or cut off, beforehand.
    """
    problem = plan.problem
    common = tuple(max(min(left, right), 0) for left, right in problem.padding)
    rest = [(left - c, right - c) for (left, right), c in zip(problem.padding, common, strict=True)]
    if any(side for pair in rest for side in pair):
        input = F.pad(input, [side for pair in reversed(rest) for side in pair])
    kernel = dense(weight)
    with autocast_off(input):
        return CONVOLUTIONS[len(problem.signal)](
            input, kernel, None, problem.stride, common, problem.dilation, problem.groups
        )
