"""Series as array archives: .npz files with (N, T, C) arrays, labels and lengths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from .files import class_names, naming, only_file, read_npz, require_arrays, to_labels, to_tensor
from .task import Task


def read_series_npz(path: Path, name: str | None = None) -> Task:
    """Read an archive with x_train (N, T, C), y_train, x_test, y_test and optionally len_train, len_test, class_names.

    Series are padded with zeros at the end to the longer of the two sets and returned as (N, C, T). Labels are
    0..classes-1. `len_*` are the numbers of valid steps; without them all steps are valid.

    Args:
        path: The file, or a folder with this one .npz.
        name: Name of the task; None takes the name of the file.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is refused by `read_npz`, or has missing arrays, wrong dtypes, shapes, labels, lengths or
            NaN.
    """
    path = only_file(path, "*.npz")
    arrays = read_npz(path)
    with naming(path):
        require_arrays(arrays, ["x_train", "y_train", "x_test", "y_test"])
        series = {}
        labels = {}
        lengths = {}
        for subset in ("train", "test"):
            x_key = f"x_{subset}"
            y_key = f"y_{subset}"
            lengths[subset] = _read_lengths(arrays, subset)
            labels[subset] = to_labels(arrays[y_key], y_key)
            series[subset] = _to_series(arrays.pop(x_key), x_key)
        return series_task(name or path.stem, series, labels, class_names(arrays), lengths)


def series_task(
    name: str,
    series: dict[str, Tensor],
    labels: dict[str, Tensor],
    class_names: Sequence[str],
    lengths: dict[str, Tensor],
    *,
    extras: dict[str, Tensor] | None = None,
) -> Task:
    """Build a task from "train" and "test" series (N, C, T), which may differ in T.

    The lengths are omitted if all series are as long as the longest.
    """
    steps = max(series["train"].shape[-1], series["test"].shape[-1])
    all_lengths = torch.cat([lengths["train"], lengths["test"]])
    unequal = bool((all_lengths != steps).any())
    return Task(
        name,
        x_train=_pad_end(series["train"], steps),
        y_train=labels["train"],
        x_test=_pad_end(series["test"], steps),
        y_test=labels["test"],
        class_names=tuple(class_names),
        lengths_train=lengths["train"] if unequal else None,
        lengths_test=lengths["test"] if unequal else None,
        extras=extras or {},
    )


def _pad_end(x: Tensor, steps: int) -> Tensor:  # (N, C, T) -> (N, C, steps)
    missing = steps - x.shape[-1]
    return F.pad(x, (0, missing))


def stack_series(
    series: Sequence[NDArray[Any]],
    steps: int,
) -> tuple[Tensor, Tensor]:
    """Stack series (C, T_i) to one (N, C, steps), zero at the end or cropped there; return it and the lengths (N,)."""
    channels = len(series[0])
    stacked = np.zeros((len(series), channels, steps), np.float32)
    lengths = []
    for index, values in enumerate(series):
        length = min(values.shape[1], steps)
        stacked[index, :, :length] = values[:, :length]
        lengths.append(length)
    return torch.from_numpy(stacked), torch.tensor(lengths)


def _to_series(array: NDArray[Any], name: str) -> Tensor:  # (N, T, C) -> (N, C, T)
    if array.ndim != 3 or array.dtype.kind not in "fiu":
        raise ValueError(f"`{name}` must be numbers (N, T, C), got {array.dtype} {array.shape}.")
    channels_first = array.transpose(0, 2, 1)
    return to_tensor(channels_first.astype(np.float32))


def _read_lengths(arrays: dict[str, NDArray[Any]], subset: str) -> Tensor:
    """Return the lengths of the archive, or the full length for every series."""
    key = f"len_{subset}"
    if key in arrays:
        return to_labels(arrays[key], key)
    x = arrays[f"x_{subset}"]
    steps = x.shape[1] if x.ndim > 1 else 0
    return torch.full((len(x),), steps)
