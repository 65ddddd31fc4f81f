"""What all readers share: npz archives without pickle, folders of classes, errors that name the file."""

from __future__ import annotations

import importlib
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .task import hold_out

LOCAL_COPY = "a local copy is given by --data-dir"
# what numpy and zipfile raise for archives that are cut short, damaged, encrypted or no archives at all
UNREADABLE = (
    ValueError,
    TypeError,
    AttributeError,
    OSError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)
HELD_OUT = 0.2  # share of each class that becomes the test set where a folder brings none


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Puts the file in front of the message of any ValueError raised inside."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def optional(module: str) -> Any:
    """An optional package, or an ImportError that names the extra."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = {"PIL": "Pillow"}.get(module.partition(".")[0], module.partition(".")[0])
        raise ImportError(f"{package} needs the `data` extra: pip install 'flexkern[data]'") from error


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, or a one-line error that names it."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileNotFoundError(f"{path}: cannot be read ({error.strerror}); {LOCAL_COPY}.") from error


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz archive, read without pickle.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an .npz archive, truncated, or an array of Python objects (it would need pickle).
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {LOCAL_COPY}.")
    try:
        # opened here, since np.load leaves a damaged file open
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except UNREADABLE as error:
        if "Object arrays" in str(error):
            raise ValueError(f"{path}: arrays must be plain numbers, it holds Python objects.") from error
        raise ValueError(f"{path}: must be a complete .npz archive, it cannot be read.") from error


def require_arrays(arrays: dict[str, NDArray[Any]], names: Sequence[str]) -> None:
    """Refuses an archive that lacks one of the named arrays."""
    missing = [name for name in names if name not in arrays]
    if missing:
        raise ValueError(f"must hold the arrays {', '.join(names)}; missing: {', '.join(missing)}.")


def to_tensor(array: NDArray[Any]) -> Tensor:
    """A tensor that shares the array's memory if it may be written, else a copy."""
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def to_labels(array: NDArray[Any], name: str) -> Tensor:
    """Labels (N,) or (N, 1) of any integer type as int64 (N,)."""
    if array.ndim == 2 and array.shape[1] == 1:  # as Keras stores CIFAR
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"`{name}` must be integers (N,), got {array.dtype} {array.shape}.")
    return to_tensor(array.astype(np.int64))


def class_names(arrays: dict[str, NDArray[Any]], default: Sequence[str] = ()) -> tuple[str, ...]:
    """The array class_names if there is one, else the default, else "0", "1", ... up to the highest label."""
    if "class_names" in arrays:
        return tuple(str(name) for name in arrays["class_names"].ravel())
    if default:
        return tuple(default)
    highest = max(int(arrays[key].max(initial=0)) for key in ("y_train", "y_test"))
    if highest >= 100_000:
        raise ValueError(f"labels must be 0..classes-1, got {highest}; an array class_names may list them.")
    return tuple(str(label) for label in range(highest + 1))


def only_file(path: Path, pattern: str) -> Path:
    """The file itself, or the one file of a folder that matches the pattern."""
    if not path.is_dir():
        return path
    found = sorted(path.glob(pattern))
    if len(found) != 1:
        raise FileNotFoundError(f"{path}: must hold one {pattern}, found {len(found)}; name the file itself.")
    return found[0]


Files = list[tuple[Path, int]]


def class_folders(root: Path, suffixes: Sequence[str]) -> tuple[tuple[str, ...], Files, Files]:
    """Files and labels of a folder with one folder a class: class names (sorted), training files, test files.

    Layouts: train/<class>/* with test/<class>/*, train/<class>/* alone, or <class>/* alone. Without a test
    folder a fixed, stratified fifth of the files becomes the test set. Other suffixes are left out.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; {LOCAL_COPY}.")
    top = root / "train" if (root / "train").is_dir() else root
    names = tuple(folder.name for folder in _subfolders(top))
    if not names:
        raise ValueError(f"{top}: must hold one folder a class, found none.")
    train = _labelled(top, names, suffixes)
    if top != root and (root / "test").is_dir():
        unknown = [folder.name for folder in _subfolders(root / "test") if folder.name not in names]
        if unknown:
            raise ValueError(f"{root / 'test'}: its classes must be those of train, found {unknown[0]!r}.")
        present = [name for name in names if (root / "test" / name).is_dir()]
        found = _labelled(root / "test", present, suffixes)
        test = [(path, names.index(path.parent.name)) for path, _ in found]
        if not test:
            raise ValueError(f"{root / 'test'}: must hold one folder a class, found none.")
        return names, train, test
    with naming(root):
        kept, held = hold_out(torch.tensor([label for _, label in train]), HELD_OUT)
    return names, [train[i] for i in kept.tolist()], [train[i] for i in held.tolist()]


def _subfolders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _labelled(top: Path, names: Sequence[str], suffixes: Sequence[str]) -> Files:
    files: Files = []
    for label, name in enumerate(names):
        found = sorted(path for path in (top / name).iterdir() if path.suffix.lower() in suffixes)
        if not found:
            raise ValueError(f"{top / name}: must hold files {' '.join(suffixes)}, found none.")
        files += [(path, label) for path in found]
    return files


def image_files(folder: str | Path, least: int) -> list[Path]:
    """The images in a folder (png, jpg), by name.

    Raises:
        FileNotFoundError: fewer than ``least``.
    """
    found = sorted(path for path in Path(folder).glob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
    if len(found) < least:
        raise FileNotFoundError(f"{folder} must hold {least} images or more (png, jpg), found {len(found)}.")
    return found
