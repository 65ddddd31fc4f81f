"""Data sets by name: `load_task("mnist", "~/data")`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flexkern._support.nearest import did_you_mean

from .audio import read_wav_folder
from .cifar import CIFAR10_NAMES, read_cifar
from .digits import DIGITS, read_digits
from .files import LOCAL_COPY, only_file
from .idx import find_idx, read_idx_folder
from .images import read_image_folder, read_image_npz
from .mnist1d import read_mnist1d
from .sequences import read_series_npz
from .task import Task
from .ts import read_ts
from .views import flatten_pixels, noise_pad, permute_pixels

IDX_FILES = "the four idx files, train-images-idx3-ubyte(.gz) and so on"
MNIST_FILES = f"mnist.npz or {IDX_FILES}"
CIFAR10_FILES = "cifar10.npz, cifar-10-batches-bin or cifar-10-batches-py"


@dataclass(frozen=True)
class Entry:
    """A data set by name.

    Args:
        about: What it is.
        read: Reads it from a file or folder.
        files: The files that it needs; empty if it is built in.
        shape: (C, *S) that its samples must have; None allows any.
        classes: Number of classes that it must have; None allows any.
    """

    about: str
    read: Callable[[Path], Task]
    files: str = ""
    shape: tuple[int, ...] | None = None
    classes: int | None = None


def load_task(name: str, data_dir: str | Path | None = None) -> Task:
    """Read a data set by name.

    Args:
        name: One of `list_tasks()`.
        data_dir: The local copy: a folder, or the file itself. Built-in sets take none.

    Raises:
        ValueError: The name is unknown (the nearest is named), `data_dir` is missing or not taken, or a file is
            truncated, mislabelled, or another data set than `name`.
        FileNotFoundError: `data_dir` does not exist or lacks the files.
        ImportError: The `data` extra is missing.

    Example:
        >>> load_task("digits").class_names[:3]
        ('0', '1', '2')
    """
    if name not in TASKS:
        raise ValueError(f"unknown data set {name!r}{did_you_mean(name, TASKS)} Known: {', '.join(TASKS)}.")
    entry = TASKS[name]
    if not entry.files:
        if data_dir is not None:
            raise ValueError(f"{name!r} is built in and takes no `data_dir`, got {str(data_dir)!r}.")
        return entry.read(Path())
    if data_dir is None:
        raise ValueError(f"{name!r} needs {entry.files}: {LOCAL_COPY}.")
    path = Path(data_dir).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder, {name!r} needs {entry.files}: {LOCAL_COPY}.")
    task = entry.read(path)
    _check_entry(task, name, entry, path)
    return task


def _check_entry(task: Task, name: str, entry: Entry, path: Path) -> None:
    """Raise a ValueError if the files are another data set than the name."""
    shape = (task.channels, *task.shape)
    expected_shape = entry.shape or shape
    expected_classes = entry.classes or task.classes
    if shape != expected_shape or task.classes != expected_classes:
        raise ValueError(
            f"{path}: {name!r} must have samples of {expected_shape} in {expected_classes} classes,"
            f" got {shape} in {task.classes}."
        )


def list_tasks() -> dict[str, str]:
    """Return the names of the data sets, each with a line on its content and the files that it needs."""
    descriptions = {}
    for name, entry in TASKS.items():
        needs = f"needs {entry.files}" if entry.files else "built in, no file needed"
        descriptions[name] = f"{entry.about}; {needs}"
    return descriptions


def _read_digits(_: Path) -> Task:
    return read_digits()


def _read_mnist1d(_: Path) -> Task:
    return read_mnist1d()


def _read_mnist(path: Path) -> Task:
    """Read mnist.npz or, if there is none, the idx files."""
    file = path / "mnist.npz" if path.is_dir() else path
    if file.suffix != ".npz":
        return read_idx_folder(path, "mnist", DIGITS)
    if file.is_file():
        return read_image_npz(file, "mnist", DIGITS)
    if find_idx(path) is None:
        raise FileNotFoundError(f"{path}: looked for {MNIST_FILES}; {LOCAL_COPY}.")
    return read_idx_folder(path, "mnist", DIGITS)


def _read_smnist(path: Path) -> Task:
    return flatten_pixels(_read_mnist(path))


def _read_pmnist(path: Path) -> Task:
    return permute_pixels(_read_mnist(path))


def _read_cifar10(path: Path) -> Task:
    """Read cifar10.npz or, if there is none, the batches."""
    file = path / "cifar10.npz" if path.is_dir() else path
    if file.suffix == ".npz" and file.is_file():
        return read_image_npz(file, "cifar10", CIFAR10_NAMES)
    return read_cifar(path, 10)


def _read_scifar10(path: Path) -> Task:
    return flatten_pixels(_read_cifar10(path))


def _read_npcifar10(path: Path) -> Task:
    return noise_pad(_read_cifar10(path))


def _read_cifar100(path: Path) -> Task:
    return read_cifar(path, 100)


def _read_npz(path: Path) -> Task:
    file = only_file(path, "*.npz")
    return read_image_npz(file, file.stem)


TASKS: dict[str, Entry] = {
    "digits": Entry("5,000 MNIST digits, 28x28", _read_digits),
    "mnist1d": Entry("MNIST-1D, series of 40 steps", _read_mnist1d),
    "mnist": Entry(
        "MNIST, 28x28",
        _read_mnist,
        files=MNIST_FILES,
        shape=(1, 28, 28),
        classes=10,
    ),
    "smnist": Entry(
        "MNIST, one pixel per step",
        _read_smnist,
        files=MNIST_FILES,
        shape=(1, 784),
        classes=10,
    ),
    "pmnist": Entry(
        "MNIST, pixels in one fixed random order",
        _read_pmnist,
        files=MNIST_FILES,
        shape=(1, 784),
        classes=10,
    ),
    "cifar10": Entry(
        "CIFAR-10, 32x32",
        _read_cifar10,
        files=CIFAR10_FILES,
        shape=(3, 32, 32),
        classes=10,
    ),
    "scifar10": Entry(
        "CIFAR-10, one pixel per step",
        _read_scifar10,
        files=CIFAR10_FILES,
        shape=(3, 1024),
        classes=10,
    ),
    "npcifar10": Entry(
        "CIFAR-10, one row per step, followed by noise",
        _read_npcifar10,
        files=CIFAR10_FILES,
        shape=(96, 1000),
        classes=10,
    ),
    "cifar100": Entry(
        "CIFAR-100, 32x32, fine labels",
        _read_cifar100,
        files="cifar-100-binary or cifar-100-python",
        shape=(3, 32, 32),
        classes=100,
    ),
    "npz": Entry(
        "images, Keras style",
        _read_npz,
        files="an .npz with x_train, y_train, x_test, y_test",
    ),
    "idx": Entry(
        "images, MNIST style",
        read_idx_folder,
        files=IDX_FILES,
    ),
    "images": Entry(
        "images",
        read_image_folder,
        files="a folder train/<class>/*.png, with test/<class>/*.png or without",
    ),
    "array": Entry(
        "series",
        read_series_npz,
        files="an .npz with x_train (N, T, C), y_train, x_test, y_test",
    ),
    "ts": Entry(
        "series, UEA/UCR",
        read_ts,
        files="NAME_TRAIN.ts and NAME_TEST.ts",
    ),
    "wav": Entry(
        "recordings",
        read_wav_folder,
        files="a folder train/<class>/*.wav, with test/<class>/*.wav or without",
    ),
}
