"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) as distributed: binary batches, or Python batches.

Python batches are pickles, and a pickle may run any code when it is loaded. They are therefore read by
`PlainUnpickler`, which builds numpy arrays and the builtin containers and refuses everything else.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .files import LOCAL_COPY, naming, read_bytes, to_labels
from .images import to_pixels
from .task import Task

CIFAR10_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PIXELS = 3 * 32 * 32
FIVE = tuple(f"data_batch_{i}" for i in range(1, 6))


class Layout(NamedTuple):
    """How one distribution is laid out: its folder, training files, test file, file of class names."""

    folder: str
    train: tuple[str, ...]
    test: str
    names: str


# by number of classes
BINARY = {
    10: Layout("cifar-10-batches-bin", tuple(f"{f}.bin" for f in FIVE), "test_batch.bin", "batches.meta.txt"),
    100: Layout("cifar-100-binary", ("train.bin",), "test.bin", "fine_label_names.txt"),
}
PYTHON = {
    10: Layout("cifar-10-batches-py", FIVE, "test_batch", "batches.meta"),
    100: Layout("cifar-100-python", ("train",), "test", "meta"),
}


class PlainUnpickler(pickle.Unpickler):
    """Loads numpy arrays, dicts, lists, tuples, strings, bytes and numbers; any other name is refused."""

    # numpy's own rebuilding function; it moved between numpy 1 and 2, so it is asked for, not named
    _rebuild = np.empty(0).__reduce__()[0]
    _admitted: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "_reconstruct"): _rebuild,
        ("numpy._core.multiarray", "_reconstruct"): _rebuild,
    }

    def find_class(self, module: str, name: str) -> Any:
        """The admitted object of that name; this is where pickle asks for anything that could run code."""
        if (module, name) not in self._admitted:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only numpy arrays are admitted")
        return self._admitted[module, name]


def read_pickle(path: Path) -> dict[str, Any]:
    """A Python batch as a dict with text keys.

    Raises:
        FileNotFoundError: no such file.
        ValueError: truncated, not a pickled dict, or it asks for anything but numpy arrays and builtins.
    """
    data = read_bytes(path)
    try:
        loaded = PlainUnpickler(io.BytesIO(data), encoding="bytes").load()
    except Exception as error:  # a malformed pickle may raise nearly anything
        raise ValueError(f"{path}: must be a CIFAR Python batch, it is refused: {error}.") from error
    if not isinstance(loaded, dict):
        raise ValueError(f"{path}: must be a pickled dict, got {type(loaded).__name__}.")
    return {_text(key): value for key, value in loaded.items()}


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def read_python_batch(path: Path, classes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N, 3, 32, 32) uint8 and (fine) labels (N,) of one Python batch."""
    batch = read_pickle(path)
    key = "labels" if classes == 10 else "fine_labels"
    if "data" not in batch or key not in batch:
        raise ValueError(f"{path}: must hold `data` and `{key}`, got {', '.join(sorted(batch))}.")
    data, labels = batch["data"], np.asarray(batch[key])
    if not isinstance(data, np.ndarray):
        raise ValueError(f"{path}: `data` must be an array, got {type(data).__name__}.")
    if data.dtype != np.uint8 or data.shape[1:] != (PIXELS,) or not len(data):
        raise ValueError(f"{path}: `data` must be uint8 (N, {PIXELS}), got {data.dtype} {data.shape}.")
    if labels.shape != (len(data),) or labels.dtype.kind not in "iu":
        raise ValueError(f"{path}: `{key}` must be {len(data)} integers, got {labels.dtype} {labels.shape}.")
    return data.reshape(-1, 3, 32, 32), labels.astype(np.int64)


def read_binary_batch(path: Path, classes: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N, 3, 32, 32) uint8 and (fine) labels (N,) of one binary batch.

    A record is the label (CIFAR-100: coarse label, fine label) and 3072 bytes: red, green, blue, row by row.
    """
    data = np.frombuffer(read_bytes(path), np.uint8)
    head = 1 if classes == 10 else 2
    if not data.size or data.size % (head + PIXELS):
        raise ValueError(f"{path}: must be records of {head + PIXELS} bytes, got {data.size} bytes.")
    records = data.reshape(-1, head + PIXELS)
    return records[:, head:].reshape(-1, 3, 32, 32), records[:, head - 1].astype(np.int64)


def read_cifar(folder: Path, classes: int = 10, name: str | None = None) -> Task:
    """CIFAR-10 or CIFAR-100 (fine labels) from the folder of its batches, binary or Python.

    Args:
        folder: the folder with the batches, the folder above it, or one of the batches.
        classes: 10 or 100.
        name: name of the task.

    Raises:
        FileNotFoundError: the batches are not there, or not all.
        ValueError: a truncated or mislabelled batch; see `read_pickle`.
    """
    folder = folder if folder.is_dir() else folder.parent
    for kinds, read in ((BINARY, read_binary_batch), (PYTHON, read_python_batch)):
        layout = kinds[classes]
        place = next((at for at in (folder, folder / layout.folder) if (at / layout.test).is_file()), None)
        if place is None:
            continue
        x_train, y_train = _joined([read(place / file, classes) for file in layout.train])
        x_test, y_test = _joined([read(place / layout.test, classes)])
        with naming(place):
            names = _names(place, classes)
            return Task(name or f"cifar{classes}", x_train, y_train, x_test, y_test, names)
    wanted = f"{BINARY[classes].train[0]} ... or {PYTHON[classes].train[0]} ..."
    raise FileNotFoundError(f"{folder}: looked for the batches {wanted} with their test file; {LOCAL_COPY}.")


def _joined(batches: list[tuple[NDArray[np.uint8], NDArray[np.int64]]]) -> tuple[Tensor, Tensor]:
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return to_pixels(images, "images"), to_labels(labels, "labels")


def _names(place: Path, classes: int) -> tuple[str, ...]:
    names: tuple[str, ...] = ()
    text, meta = place / BINARY[classes].names, place / PYTHON[classes].names
    if text.is_file():
        names = tuple(read_bytes(text).decode("utf-8", "replace").split())
    elif meta.is_file():
        listed = read_pickle(meta).get("label_names" if classes == 10 else "fine_label_names", [])
        names = tuple(_text(entry) for entry in listed)
    elif classes == 10:
        names = CIFAR10_NAMES
    else:
        names = tuple(str(label) for label in range(classes))
    if len(names) != classes:
        raise ValueError(f"the file of class names must list {classes}, it lists {len(names)}.")
    return names
