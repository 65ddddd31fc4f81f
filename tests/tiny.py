"""A data set and a recipe so small that a run takes a second."""

from pathlib import Path
from typing import Any

import numpy as np

from flexkern.app.training import Recipe


def write_tiny_npz(path: Path, side: int = 8) -> Path:
    """Rows, columns or checks, two samples wide, under noise: a small network learns it in a few epochs."""
    rng = np.random.default_rng(0)
    row, column = np.indices((side, side)) // 2 % 2
    patterns = np.stack([row, column, row ^ column])

    def part(count: int) -> tuple[np.ndarray, np.ndarray]:
        y = np.arange(count) % len(patterns)
        x = rng.integers(0, 120, (count, side, side)) + 130 * patterns[y]
        return x.astype(np.uint8), y.astype(np.int64)

    (x_train, y_train), (x_test, y_test) = part(90), part(30)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return path


def tiny_recipe(data: Path, out: Path, **top: Any) -> Recipe:
    """Two epochs of a two-layer net with dropout and augmentation: everything random takes part."""
    values: dict[str, Any] = {
        "name": "tiny",
        "epochs": 2,
        "batch_size": 16,
        "out": str(out),
        "accelerator": "cpu",
        "data": {"name": "npz", "dir": str(data), "validation": 0.2, "augment": ["shift:1"]},
        "model": {"name": "flexnet", "kernel_size": 7, "init_size": 5, "width": 4, "factors": [[1, 1]], "dropout": 0.2},
        "optimiser": {"lr": 0.01, "warmup_epochs": 0.5},
    }
    for key, value in top.items():
        values[key] = {**values[key], **value} if isinstance(value, dict) else value
    return Recipe.from_dict(values)
