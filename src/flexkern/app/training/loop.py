"""A training loop for tensors in memory, without Lightning."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .batches import Batches


def train_epochs(
    model: nn.Module,
    batches: Batches,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    *,
    epochs: int,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    penalty: Callable[[nn.Module], Tensor] | None = None,
) -> None:
    """Train a model in place.

    Args:
        model: Is called on every batch, in the mode that the caller has set.
        batches: Their order is that of the epoch.
        optimiser: Makes one step per batch.
        schedule: Its learning rate advances after every batch.
        epochs: Passes over the samples.
        loss: Maps outputs and labels of a batch to a scalar.
        penalty: Maps the model to a scalar that is added to the loss.

    Example:
        >>> x, y = torch.eye(4), torch.arange(4) % 2
        >>> model = nn.Linear(4, 2)
        >>> optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
        >>> schedule = torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1.0)
        >>> train_epochs(model, Batches(x, y, 2, seed=0), optimiser, schedule, epochs=20)
        >>> model(x).argmax(1).tolist()
        [0, 1, 0, 1]
    """
    for epoch in range(epochs):
        batches.set_epoch(epoch)
        for x, y in batches:
            optimiser.zero_grad()
            total = loss(model(x), y)
            if penalty is not None:
                total = total + penalty(model)
            total.backward()
            optimiser.step()
            schedule.step()
