"""Ordinary convolutions of any size, computed by the engines that compute convolutions of learned size."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from flexkern.engines import convolve
from flexkern.layers import ConvArguments


class ByEngines(TorchFunctionMode):
    """A mode in which the engines compute ``nn.Conv2d``: the same layer and, up to rounding, the same results.

    Torch convolves a kernel as wide as its signal tap by tap, too slowly to train on. Modules stay torch's own, so that
    code which knows them still does. Inputs must be batches.

    Example:
        >>> import torch
        >>> with ByEngines():
        ...     torch.nn.Conv2d(1, 2, 29, padding="same")(torch.zeros(1, 1, 28, 28)).shape
        torch.Size([1, 2, 28, 28])
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Any = None,
    ) -> Any:
        options = kwargs or {}
        if func is F.conv2d:
            # The mode is off in here, so that engines find torch's own convolution.
            return _conv2d(*args, **options)
        return func(*args, **options)


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve a batch; the arguments are those of torch's function."""
    arguments = ConvArguments.parse(
        2,
        in_channels=input.shape[1],
        out_channels=weight.shape[0],
        kernel_size=weight.shape[2:],
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        padding_mode="zeros",
        causal=False,
    )
    return convolve(
        input,
        weight,
        bias,
        stride=arguments.stride,
        padding=arguments.padding,
        dilation=arguments.dilation,
        groups=groups,
    )
