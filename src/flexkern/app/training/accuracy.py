"""How many test samples a model classifies correctly."""

import torch
from torch import Tensor, nn

from ..data import Task
from .batches import Batches


@torch.inference_mode()
def count_correct(model: nn.Module, x: Tensor, task: Task, *, batch_size: int = 256) -> int:
    """Number of test samples the model classifies rightly.

    ``x`` is ``task.x_test`` as the model must see it, except for what ``task.complete`` adds to each batch.
    """
    model.eval()
    device = next(model.parameters()).device
    correct = 0
    for batch, labels in Batches(x, task.y_test, batch_size):
        logits = model(task.complete(batch.to(device)))
        correct += int((logits.argmax(dim=1).cpu() == labels).sum())
    return correct
