"""Test accuracy at other resolutions than a model was trained at, with kernels resampled or not."""

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
    """Measure the test accuracy with samples ``x`` resized, band-limited, by each scale, and kernels with them.

    Returns:
        Per scale: scale, shape (of a sample), accuracy, correct, n, sizes (of the kernels).

    Raises:
        ValueError: A scale leaves no sample of a signal or a kernel, the model takes one size only, or the samples
            of the task cannot be resized: permuted or padded series.
    """
    if not _can_resize(task):
        raise ValueError(f"task `{task.name}` has permuted or padded series, which have no other resolution.")
    rows = []
    for scale in scales:
        row = _measure_scale(model, x, task.y_test, scale, batch_size)
        rows.append(row)
    return rows


def _can_resize(task: Task) -> bool:
    permuted = "permutation" in task.extras
    transformed = bool(task.batch_transform.state())
    return task.lengths_test is None and not permuted and not transformed


def _measure_scale(
    model: nn.Module,
    x: Tensor,
    labels: Tensor,
    scale: float,
    batch_size: int,
) -> dict[str, Any]:
    shape = [round(extent * scale) for extent in x.shape[2:]]
    if min(shape) < 1:
        raise ValueError(f"`resolution` {scale:g} leaves nothing of samples of {tuple(x.shape[2:])}.")
    exact_scales = tuple(extent / old for extent, old in zip(shape, x.shape[2:], strict=True))
    resampled = at_resolution(model, exact_scales)
    resized = resize_bandlimited(x, shape)
    try:
        correct = count_correct(resampled, resized, labels, batch_size=batch_size)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"the model does not take samples of {tuple(shape)}: {reason}") from error
    return {
        "scale": scale,
        "shape": shape,
        "accuracy": correct / len(x),
        "correct": correct,
        "n": len(x),
        "sizes": {name: list(size) for name, size in sizes(resampled).items()},
    }
