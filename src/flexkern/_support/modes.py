"""Running a model as in evaluation for a moment."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """``model.eval()``; afterwards every module is in the mode it was in, whatever happened.

    Example:
        >>> net = nn.Sequential(nn.Dropout(), nn.Dropout().eval())
        >>> with evaluating(net):
        ...     inside = net[0].training
        >>> inside, net[0].training, net[1].training
        (False, True, False)
    """
    modes = {module: module.training for module in model.modules()}
    try:
        yield model.eval()
    finally:
        for module, training in modes.items():
            module.training = training


def watch_once(
    model: nn.Module, shape: Sequence[int], watchers: Mapping[nn.Module, Callable[[nn.Module, Any, Tensor], None]]
) -> None:
    """Pass one sample of zeros, of ``shape`` (channels, *signal); ``watchers`` see their module's inputs and output."""
    hooks = [module.register_forward_hook(watcher) for module, watcher in watchers.items()]
    reference = next(model.parameters())
    try:
        with torch.no_grad(), evaluating(model):
            model(torch.zeros(1, *shape, device=reference.device, dtype=reference.dtype))
    finally:
        for hook in hooks:
            hook.remove()
