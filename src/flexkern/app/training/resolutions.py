"""The test set at other resolutions than a model was trained at, with kernels that follow or do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from flexkern.analysis import at_resolution
from flexkern.functional import resize_bandlimited
from flexkern.windows import sizes

from ..data import Task
from .accuracy import count_correct


def accuracies_at(
    model: nn.Module, x: Tensor, task: Task, scales: Sequence[float], *, batch_size: int = 256
) -> list[dict[str, Any]]:
    """Test accuracy with all samples ``x`` resized, band-limited, by each scale, and the kernels with them.

    Returns:
        Per scale: scale, shape (of a sample), accuracy, correct, n, sizes (of the kernels).

    Raises:
        ValueError: for a scale that leaves no sample of a signal or a kernel, for models that take one size only, and
            for tasks whose samples cannot be resized: permuted or padded series.
    """
    if task.lengths_test is not None or {"permutation", "suffix"} & set(task.extras):
        raise ValueError(f"task `{task.name}` has permuted or padded series, which have no other resolution.")
    found = []
    for scale in scales:
        shape = [round(n * scale) for n in x.shape[2:]]
        if min(shape) < 1:
            raise ValueError(f"`resolution` {scale:g} leaves nothing of samples of {tuple(x.shape[2:])}.")
        exact = tuple(new / old for new, old in zip(shape, x.shape[2:], strict=True))
        changed = at_resolution(model, exact)
        try:
            correct = count_correct(changed, resize_bandlimited(x, shape), task, batch_size=batch_size)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            text = " ".join(str(error).split())
            raise ValueError(f"the model does not take samples of {tuple(shape)}: {text}") from error
        kernels = {name: list(size) for name, size in sizes(changed).items()}
        row = {"scale": scale, "shape": shape, "accuracy": correct / len(x), "correct": correct, "n": len(x)}
        found.append({**row, "sizes": kernels})
    return found
