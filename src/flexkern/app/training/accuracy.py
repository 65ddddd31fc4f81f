"""The number of samples that a model classifies correctly."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .batches import Batches


@torch.inference_mode()
def count_correct(
    model: nn.Module,
    x: Tensor,
    labels: Tensor,
    *,
    transform: Callable[[Tensor], Tensor] | None = None,
    batch_size: int = 256,
) -> int:
    """Return the number of samples that a model classifies correctly; the model is set to evaluation mode.

    Args:
        model: Maps (N, C, *S) to logits (N, classes).
        x: Samples (N, C, *S0).
        labels: Their classes (N,).
        transform: Applied to every batch before the model, see `Task.batch_transform`.
        batch_size: Largest number of samples in a batch.
    """
    model.eval()
    device = next(model.parameters()).device
    correct = 0
    for batch, batch_labels in Batches(x, labels, batch_size):
        batch = batch.to(device)
        if transform is not None:
            batch = transform(batch)
        predictions = model(batch).argmax(dim=1).cpu()
        correct += int((predictions == batch_labels).sum())
    return correct
