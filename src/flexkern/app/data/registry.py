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

MNIST_FILES = "mnist.npz or the four idx files, train-images-idx3-ubyte(.gz) and so on"
CIFAR10_FILES = "cifar10.npz, cifar-10-batches-bin or cifar-10-batches-py"


@dataclass(frozen=True)
class Entry:
    """One name: what it is, the files it looks for ("" if built in), and how it is read.

    `shape` (C, *S) and `classes` are what a data set of that name must have; None leaves them open.
    """

    about: str
    files: str
    read: Callable[[Path], Task]
    shape: tuple[int, ...] | None = None
    classes: int | None = None


def load_task(name: str, data_dir: str | Path | None = None) -> Task:
    """A data set by name.

    Args:
        name: one of `list_tasks()`.
        data_dir: the local copy: a folder, or the file itself. Built-in sets take none.

    Raises:
        ValueError: an unknown name (the nearest is named), a `data_dir` that is missing or not taken, a file
            that is truncated, mislabelled, or another data set than `name`.
        FileNotFoundError: nothing of the kind at `data_dir`.
        ImportError: the `data` extra is missing.

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
    found = (task.channels, *task.shape), task.classes
    if found != (entry.shape or found[0], entry.classes or found[1]):
        wanted = f"samples of {entry.shape} in {entry.classes} classes"
        raise ValueError(f"{path}: {name!r} must have {wanted}, got {found[0]} in {found[1]}.")
    return task


def list_tasks() -> dict[str, str]:
    """Names of the data sets, each with a line that says what it is and what files it needs."""
    return {
        name: f"{entry.about}; {f'needs {entry.files}' if entry.files else 'built in, no file needed'}"
        for name, entry in TASKS.items()
    }


def _mnist(path: Path) -> Task:
    file = path / "mnist.npz" if path.is_dir() else path
    if file.suffix == ".npz" and (file.is_file() or find_idx(path) is None):
        if not file.is_file():
            raise FileNotFoundError(f"{path}: looked for {MNIST_FILES}; {LOCAL_COPY}.")
        return read_image_npz(file, "mnist", DIGITS)
    return read_idx_folder(path, "mnist", DIGITS)


def _cifar10(path: Path) -> Task:
    file = path / "cifar10.npz" if path.is_dir() else path
    if file.suffix == ".npz" and file.is_file():
        return read_image_npz(file, "cifar10", CIFAR10_NAMES)
    return read_cifar(path, 10)


def _npz(path: Path) -> Task:
    file = only_file(path, "*.npz")
    return read_image_npz(file, file.stem)


def _cifar100(path: Path) -> Task:
    return read_cifar(path, 100)


TASKS: dict[str, Entry] = {
    "digits": Entry("5,000 MNIST digits, 28x28", "", lambda _: read_digits()),
    "mnist1d": Entry("MNIST-1D, series of 40 steps", "", lambda _: read_mnist1d()),
    "mnist": Entry("MNIST, 28x28", MNIST_FILES, _mnist, (1, 28, 28), 10),
    "smnist": Entry("MNIST, one pixel a step", MNIST_FILES, lambda p: flatten_pixels(_mnist(p)), (1, 784), 10),
    "pmnist": Entry(
        "MNIST, pixels in one fixed random order",
        MNIST_FILES,
        lambda p: permute_pixels(_mnist(p)),
        (1, 784),
        10,
    ),
    "cifar10": Entry("CIFAR-10, 32x32", CIFAR10_FILES, _cifar10, (3, 32, 32), 10),
    "scifar10": Entry(
        "CIFAR-10, one pixel a step", CIFAR10_FILES, lambda p: flatten_pixels(_cifar10(p)), (3, 1024), 10
    ),
    "npcifar10": Entry(
        "CIFAR-10, one row a step, then noise",
        CIFAR10_FILES,
        lambda p: noise_pad(_cifar10(p)),
        (96, 1000),
        10,
    ),
    "cifar100": Entry(
        "CIFAR-100, 32x32, fine labels", "cifar-100-binary or cifar-100-python", _cifar100, (3, 32, 32), 100
    ),
    "npz": Entry("images, Keras style", "an .npz with x_train, y_train, x_test, y_test", _npz),
    "idx": Entry("images, MNIST style", "the four idx files, train-images-idx3-ubyte(.gz) and so on", read_idx_folder),
    "images": Entry("images", "a folder train/<class>/*.png, with test/<class>/*.png or without", read_image_folder),
    "array": Entry("series", "an .npz with x_train (N, T, C), y_train, x_test, y_test", read_series_npz),
    "ts": Entry("series, UEA/UCR", "NAME_TRAIN.ts and NAME_TEST.ts", read_ts),
    "wav": Entry("recordings", "a folder train/<class>/*.wav, with test/<class>/*.wav or without", read_wav_folder),
}
