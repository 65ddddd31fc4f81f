"""A data set and a recipe for runs of one second."""

from pathlib import Path
from typing import Any

import numpy as np

from flexkern.app.training import Recipe


def write_tiny_npz(path: Path, side: int = 8) -> Path:
    """Write noisy patterns of rows, columns or checks, which a small network learns in a few epochs."""
    rng = np.random.default_rng(0)
    row, column = np.indices((side, side)) // 2 % 2
    patterns = np.stack([row, column, row ^ column])

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        y = np.arange(count) % len(patterns)
        noise = rng.integers(0, 120, (count, side, side))
        x = noise + 130 * patterns[y]
        return x.astype(np.uint8), y.astype(np.int64)

    x_train, y_train = draw(90)
    x_test, y_test = draw(30)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return path


def tiny_recipe(data: Path, out: Path, **top: Any) -> Recipe:
    """Return two epochs of a two-layer network with dropout and augmentation, so that all random draws occur."""
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
        if isinstance(value, dict):
            values[key] = {**values[key], **value}
        else:
            values[key] = value
    return Recipe.from_dict(values)
