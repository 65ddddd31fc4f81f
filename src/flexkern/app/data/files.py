"""Parts that all readers share: npz archives without pickle, folders of classes, errors that name the file."""

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
"""What numpy and zipfile raise for files that are truncated, damaged, encrypted or no archive."""
HELD_OUT = 0.2
"""Fraction of each class that becomes the test set of a folder without one."""
MAX_LABEL = 99_999
"""Highest label for which class names are invented; a larger one is more likely no label."""
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
PACKAGE_NAMES = {"PIL": "Pillow"}
"""Name of a package on PyPI where it differs from the name of its module."""

LabelledFile = tuple[Path, int]


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Prefix the message of every ValueError raised inside with the path."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def optional(module: str) -> Any:
    """Import an optional module; raise an ImportError that names the extra if it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        top_level = module.partition(".")[0]
        package = PACKAGE_NAMES.get(top_level, top_level)
        raise ImportError(f"{package} needs the `data` extra: pip install 'flexkern[data]'") from error


def read_bytes(path: Path) -> bytes:
    """Read a file; raise a one-line FileNotFoundError that names it if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileNotFoundError(f"{path}: cannot be read ({error.strerror}); {LOCAL_COPY}.") from error


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an .npz archive without pickle.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is no .npz archive, is truncated, or has an array of Python objects, which needs pickle.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {LOCAL_COPY}.")
    try:
        # The file is opened here because np.load leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except UNREADABLE as error:
        if "Object arrays" in str(error):
            raise ValueError(f"{path}: arrays must be plain numbers, got Python objects.") from error
        raise ValueError(f"{path}: must be a complete .npz archive, it cannot be read.") from error


def require_arrays(arrays: dict[str, NDArray[Any]], names: Sequence[str]) -> None:
    """Raise a ValueError if an archive lacks one of the named arrays."""
    missing = [name for name in names if name not in arrays]
    if missing:
        raise ValueError(f"must have the arrays {', '.join(names)}; missing: {', '.join(missing)}.")


def to_tensor(array: NDArray[Any]) -> Tensor:
    """Return a tensor that shares the memory of a writable array, or a copy of a read-only one."""
    writable = np.require(array, requirements=["C", "W"])
    return torch.from_numpy(writable)


def to_labels(array: NDArray[Any], name: str) -> Tensor:
    """Convert labels (N,) or (N, 1) of any integer type to int64 (N,)."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]  # Keras stores the labels of CIFAR as (N, 1).
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"`{name}` must be integers (N,), got {array.dtype} {array.shape}.")
    return to_tensor(array.astype(np.int64))


def class_names(
    arrays: dict[str, NDArray[Any]],
    default: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return the array `class_names`, else the default, else "0", "1", ... up to the highest label."""
    if "class_names" in arrays:
        return tuple(str(name) for name in arrays["class_names"].ravel())
    if default:
        return tuple(default)
    highest = 0
    for key in ("y_train", "y_test"):
        highest = max(highest, int(arrays[key].max(initial=0)))
    if highest > MAX_LABEL:
        raise ValueError(f"labels must be 0..classes-1, got {highest}; an array `class_names` may list the classes.")
    return tuple(str(label) for label in range(highest + 1))


def only_file(path: Path, pattern: str) -> Path:
    """Return the path of a file itself, or the only file of a folder that matches the pattern."""
    if not path.is_dir():
        return path
    matches = sorted(path.glob(pattern))
    if len(matches) != 1:
        raise FileNotFoundError(f"{path}: must have one {pattern}, found {len(matches)}; name the file itself.")
    return matches[0]


def class_folders(
    root: Path, suffixes: Sequence[str]
) -> tuple[tuple[str, ...], list[LabelledFile], list[LabelledFile]]:
    """List the files of a data set that has one folder per class.

    Layouts: train/<class>/* with test/<class>/*, train/<class>/* alone, or <class>/* alone. Without a test
    folder a fixed, stratified fifth of the files becomes the test set. Files with other suffixes are ignored.

    Returns:
        The class names (sorted), the training files and the test files, each with its label.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; {LOCAL_COPY}.")
    train_root = root / "train"
    if not train_root.is_dir():
        train_root = root
    names = tuple(folder.name for folder in _subfolders(train_root))
    if not names:
        raise ValueError(f"{train_root}: must have one folder per class, found none.")
    train_files = _labelled_files(train_root, names, suffixes)
    test_root = root / "test"
    if train_root != root and test_root.is_dir():
        return names, train_files, _test_files(test_root, names, suffixes)
    labels = torch.tensor([label for _, label in train_files])
    with naming(root):
        train_indices, test_indices = hold_out(labels, HELD_OUT)
    return (
        names,
        [train_files[index] for index in train_indices.tolist()],
        [train_files[index] for index in test_indices.tolist()],
    )


def _test_files(test_root: Path, names: tuple[str, ...], suffixes: Sequence[str]) -> list[LabelledFile]:
    """List the files of a test folder, which may lack some of the training classes."""
    folders = _subfolders(test_root)
    if not folders:
        raise ValueError(f"{test_root}: must have one folder per class, found none.")
    for folder in folders:
        if folder.name not in names:
            raise ValueError(f"{test_root}: must have only classes of the training set, found {folder.name!r}.")
    present = [folder.name for folder in folders]
    return [(path, names.index(path.parent.name)) for path, _ in _labelled_files(test_root, present, suffixes)]


def _subfolders(folder: Path) -> list[Path]:
    folders = [entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    return sorted(folders)


def _labelled_files(root: Path, names: Sequence[str], suffixes: Sequence[str]) -> list[LabelledFile]:
    """List the files of the named folders with the index of their folder."""
    labelled_files = []
    for label, name in enumerate(names):
        paths = _files_with_suffix(root / name, suffixes)
        if not paths:
            raise ValueError(f"{root / name}: must have files {' '.join(suffixes)}, found none.")
        for path in paths:
            labelled_files.append((path, label))
    return labelled_files


def _files_with_suffix(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    paths = [path for path in folder.iterdir() if path.suffix.lower() in suffixes]
    return sorted(paths)


def image_files(folder: str | Path, least: int) -> list[Path]:
    """List the images (png, jpg) of a folder by name.

    Raises:
        FileNotFoundError: The folder has fewer than ``least`` images.
    """
    folder = Path(folder)
    paths = _files_with_suffix(folder, IMAGE_SUFFIXES) if folder.is_dir() else []
    if len(paths) < least:
        raise FileNotFoundError(f"{folder} must have at least {least} images (png, jpg), found {len(paths)}.")
    return paths
