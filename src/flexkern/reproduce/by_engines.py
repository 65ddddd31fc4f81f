"""Ordinary convolutions of any size computed as those of learned sizes are."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..engines import convolve


class ByEngines(TorchFunctionMode):
    """Where this is on, ``nn.Conv2d`` is computed by the engines: the same layer and results, to rounding.

    Torch convolves a kernel as wide as its signal tap by tap, which makes one training of such a network take most of
    an hour. Modules stay torch's own, so that what knows them still does.

    Example:
        >>> import torch
        >>> with ByEngines():
        ...     torch.nn.Conv2d(1, 2, 29, padding="same")(torch.zeros(1, 1, 28, 28)).shape
        torch.Size([1, 2, 28, 28])
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        # The mode is off in here, so that engines find torch's own convolution.
        return (_conv2d if func is F.conv2d else func)(*args, **(kwargs or {}))


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """Same arguments as torch's; all inputs are batches."""
    steps, spread = _pair(stride), _pair(dilation)
    if padding == "same":
        totals = [d * (k - 1) for d, k in zip(spread, weight.shape[2:], strict=True)]
        sides = tuple((total // 2, total - total // 2) for total in totals)
    else:
        sides = tuple((p, p) for p in _pair(0 if padding == "valid" else padding))
    return convolve(input, weight, bias, stride=steps, padding=sides, dilation=spread, groups=groups)


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)
