"""Running a model in evaluation mode for a moment."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Watcher = Callable[[nn.Module, Any, Tensor], None]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Call ``model.eval()``, and restore the mode of every module afterwards, also after an error.

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


def watch_once(model: nn.Module, shape: Sequence[int], watchers: Mapping[nn.Module, Watcher]) -> None:
    """Pass one sample of zeros through ``model`` and show each watcher the inputs and output of its module.

    Args:
        model: evaluated without gradients; it must have a parameter.
        shape: shape of the sample, (channels, *signal).
        watchers: by module, called as forward hooks.
    """
    hooks = [module.register_forward_hook(watcher) for module, watcher in watchers.items()]
    reference = next(model.parameters())
    try:
        with torch.no_grad(), evaluating(model):
            sample = torch.zeros(1, *shape, device=reference.device, dtype=reference.dtype)
            model(sample)
    finally:
        for hook in hooks:
            hook.remove()
