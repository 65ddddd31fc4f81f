"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) as distributed: binary batches, or Python batches.

Python batches are pickles, and a pickle can run any code when it is loaded. `PlainUnpickler` therefore builds
numpy arrays and builtin containers only, and refuses everything else.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .files import LOCAL_COPY, naming, read_bytes, to_labels
from .images import to_pixels
from .task import Task

CIFAR10_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
IMAGE_SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
CIFAR10_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Images (N, 3, 32, 32) and labels (N,)."""


class PlainUnpickler(pickle.Unpickler):
    """Unpickler of numpy arrays, dicts, lists, tuples, strings, bytes and numbers; it refuses any other object."""

    # numpy's own function to rebuild arrays. It moved between numpy 1 and 2, so it is taken from an array.
    _reconstruct = np.empty(0).__reduce__()[0]
    _admitted: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return the admitted object of that name; pickle calls this for anything that could run code."""
        if (module, name) not in self._admitted:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only numpy arrays are admitted")
        return self._admitted[module, name]


def read_pickle(path: Path) -> dict[str, Any]:
    """Read a Python batch as a dict with text keys.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is truncated, is no pickled dict, or asks for more than numpy arrays and builtins.
    """
    data = read_bytes(path)
    try:
        content = PlainUnpickler(io.BytesIO(data), encoding="bytes").load()
    except Exception as error:  # A malformed pickle can raise nearly any exception.
        raise ValueError(f"{path}: must be a CIFAR Python batch, it is refused: {error}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: must be a pickled dict, got {type(content).__name__}.")
    return {_to_text(key): value for key, value in content.items()}


def _to_text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value)


def read_python_batch(path: Path, classes: int) -> Batch:
    """Read the images (N, 3, 32, 32) uint8 and (fine) labels (N,) of one Python batch."""
    batch = read_pickle(path)
    label_key = "labels" if classes == 10 else "fine_labels"
    if "data" not in batch or label_key not in batch:
        raise ValueError(f"{path}: must have `data` and `{label_key}`, got {', '.join(sorted(batch))}.")
    pixels = batch["data"]
    labels = np.asarray(batch[label_key])
    if not isinstance(pixels, np.ndarray):
        raise ValueError(f"{path}: `data` must be an array, got {type(pixels).__name__}.")
    if pixels.dtype != np.uint8 or pixels.shape[1:] != (PIXELS,) or pixels.size == 0:
        raise ValueError(f"{path}: `data` must be uint8 (N, {PIXELS}), got {pixels.dtype} {pixels.shape}.")
    count = len(pixels)
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise ValueError(f"{path}: `{label_key}` must be {count} integers, got {labels.dtype} {labels.shape}.")
    return pixels.reshape(-1, *IMAGE_SHAPE), labels.astype(np.int64)


def read_binary_batch(path: Path, classes: int) -> Batch:
    """Read the images (N, 3, 32, 32) uint8 and (fine) labels (N,) of one binary batch.

    A record is the label (CIFAR-100: coarse label, fine label) and 3072 bytes: red, green, blue, row by row.
    """
    data = np.frombuffer(read_bytes(path), np.uint8)
    label_bytes = 1 if classes == 10 else 2
    record_bytes = label_bytes + PIXELS
    if data.size == 0 or data.size % record_bytes != 0:
        raise ValueError(f"{path}: must be records of {record_bytes} bytes, got {data.size} bytes.")
    records = data.reshape(-1, record_bytes)
    pixels = records[:, label_bytes:]
    labels = records[:, label_bytes - 1]
    return pixels.reshape(-1, *IMAGE_SHAPE), labels.astype(np.int64)


@dataclass(frozen=True)
class Layout:
    """Layout of one distribution: its folder, training files, test file, file of class names, and reader."""

    folder: str
    train: tuple[str, ...]
    test: str
    names: str
    read: Callable[[Path, int], Batch]


BINARY = {
    10: Layout(
        folder="cifar-10-batches-bin",
        train=tuple(f"{batch}.bin" for batch in CIFAR10_BATCHES),
        test="test_batch.bin",
        names="batches.meta.txt",
        read=read_binary_batch,
    ),
    100: Layout(
        folder="cifar-100-binary",
        train=("train.bin",),
        test="test.bin",
        names="fine_label_names.txt",
        read=read_binary_batch,
    ),
}
"""Layout of binary batches by number of classes."""
PYTHON = {
    10: Layout(
        folder="cifar-10-batches-py",
        train=CIFAR10_BATCHES,
        test="test_batch",
        names="batches.meta",
        read=read_python_batch,
    ),
    100: Layout(
        folder="cifar-100-python",
        train=("train",),
        test="test",
        names="meta",
        read=read_python_batch,
    ),
}
"""Layout of Python batches by number of classes."""


def read_cifar(folder: Path, classes: int = 10, name: str | None = None) -> Task:
    """Read CIFAR-10 or CIFAR-100 (fine labels) from the folder of its batches, binary or Python.

    Args:
        folder: Folder with the batches, the folder above it, or one of the batches.
        classes: 10 or 100.
        name: Name of the task.

    Raises:
        FileNotFoundError: A batch is missing.
        ValueError: A batch is truncated or mislabelled; see `read_pickle`.
    """
    if not folder.is_dir():
        folder = folder.parent
    for layouts in (BINARY, PYTHON):
        layout = layouts[classes]
        for place in (folder, folder / layout.folder):
            if (place / layout.test).is_file():
                return _read_layout(layout, place, classes, name or f"cifar{classes}")
    binary = BINARY[classes].train[0]
    python = PYTHON[classes].train[0]
    raise FileNotFoundError(
        f"{folder}: looked for the batches {binary} ... or {python} ... with their test file; {LOCAL_COPY}."
    )


def _read_layout(layout: Layout, place: Path, classes: int, name: str) -> Task:
    train_batches = [layout.read(place / file, classes) for file in layout.train]
    test_batch = layout.read(place / layout.test, classes)
    x_train, y_train = _concatenate(train_batches)
    x_test, y_test = _concatenate([test_batch])
    with naming(place):
        class_names = _read_class_names(place, classes)
        return Task(name, x_train, y_train, x_test, y_test, class_names)


def _concatenate(batches: list[Batch]) -> tuple[Tensor, Tensor]:
    images = np.concatenate([batch_images for batch_images, _ in batches])
    labels = np.concatenate([batch_labels for _, batch_labels in batches])
    return to_pixels(images, "images"), to_labels(labels, "labels")


def _read_class_names(place: Path, classes: int) -> tuple[str, ...]:
    """Read the names from a file of either distribution; without one, use the known or invented ones."""
    text_path = place / BINARY[classes].names
    pickle_path = place / PYTHON[classes].names
    names: list[str]
    if text_path.is_file():
        names = read_bytes(text_path).decode("utf-8", "replace").split()
    elif pickle_path.is_file():
        key = "label_names" if classes == 10 else "fine_label_names"
        entries = read_pickle(pickle_path).get(key, [])
        names = [_to_text(entry) for entry in entries]
    elif classes == 10:
        names = list(CIFAR10_NAMES)
    else:
        names = [str(label) for label in range(classes)]
    if len(names) != classes:
        raise ValueError(f"the file of class names must list {classes} names, got {len(names)}.")
    return tuple(names)
