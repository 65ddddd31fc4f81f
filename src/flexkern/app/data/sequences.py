"""Series as array archives: .npz with (N, T, C) arrays, labels and lengths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .files import class_names, naming, only_file, read_npz, require_arrays, to_labels, to_tensor
from .task import Task


def read_series_npz(path: Path, name: str | None = None) -> Task:
    """An archive with x_train (N, T, C), y_train, x_test, y_test; len_train, len_test, class_names if given.

    Series are padded with zeros at the end to the longest of both parts and come out as (N, C, T). Labels are
    0..classes-1. `len_*` are the numbers of valid steps; without them all steps are.

    Args:
        path: the file, or a folder with this one .npz.
        name: name of the task; None takes the name of the file.

    Raises:
        FileNotFoundError, ValueError: see `read_npz`; missing arrays, wrong dtypes, shapes, labels, lengths,
            or NaN.
    """
    path = only_file(path, "*.npz")
    arrays = read_npz(path)
    with naming(path):
        require_arrays(arrays, ["x_train", "y_train", "x_test", "y_test"])
        lengths = {part: _stated_lengths(arrays, part) for part in ("train", "test")}
        labels = {part: to_labels(arrays[f"y_{part}"], f"y_{part}") for part in ("train", "test")}
        series = {part: _to_series(arrays.pop(f"x_{part}"), f"x_{part}") for part in ("train", "test")}
        return series_task(name or path.stem, series, labels, class_names(arrays), lengths)


def series_task(
    name: str,
    series: dict[str, Tensor],
    labels: dict[str, Tensor],
    names: Sequence[str],
    lengths: dict[str, Tensor],
    *,
    extras: dict[str, Tensor] | None = None,
) -> Task:
    """A task from "train" and "test" series (N, C, T), which may differ in T; full lengths are left out."""
    steps = max(x.shape[-1] for x in series.values())
    padded = {part: torch.nn.functional.pad(x, (0, steps - x.shape[-1])) for part, x in series.items()}
    unequal = any(bool((length != steps).any()) for length in lengths.values())
    return Task(
        name,
        padded["train"],
        labels["train"],
        padded["test"],
        labels["test"],
        tuple(names),
        lengths["train"] if unequal else None,
        lengths["test"] if unequal else None,
        extras or {},
    )


def stack_series(series: Sequence[NDArray[Any]], steps: int) -> tuple[Tensor, Tensor]:
    """Series (C, T_i) as one (N, C, steps), zero at the end or cut there, and their lengths (N,)."""
    out = np.zeros((len(series), len(series[0]), steps), np.float32)
    for row, one in zip(out, series, strict=True):
        row[:, : one.shape[1]] = one[:, :steps]
    lengths = torch.tensor([min(one.shape[1], steps) for one in series])
    return torch.from_numpy(out), lengths


def _to_series(array: NDArray[Any], name: str) -> Tensor:
    if array.ndim != 3 or array.dtype.kind not in "fiu":
        raise ValueError(f"`{name}` must be numbers (N, T, C), got {array.dtype} {array.shape}.")
    return to_tensor(array.transpose(0, 2, 1).astype(np.float32))


def _stated_lengths(arrays: dict[str, NDArray[Any]], part: str) -> Tensor:
    x = arrays[f"x_{part}"]
    if f"len_{part}" in arrays:
        return to_labels(arrays[f"len_{part}"], f"len_{part}")
    return torch.full((len(x),), x.shape[1] if x.ndim > 1 else 0)
