"""The idx files of MNIST and similar sets, plain or gzipped: yann.lecun.com/exdb/mnist, "the IDX file format"."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .files import LOCAL_COPY, naming, read_bytes, to_labels
from .images import to_pixels
from .task import Task

UNSIGNED_BYTES = 0x08
GZIP_MAGIC = b"\x1f\x8b"
STEMS = {"train": "train", "test": "t10k"}
"""First part of the file names of the training and test sets."""


def read_idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """Read one idx file of unsigned bytes with the given number of axes.

    Layout: bytes 0, 0, type, axes; then each length as a big-endian uint32; then the values.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The magic number is wrong, or the file has more or fewer bytes than its header states.
    """
    data = _read_unpacked(path)
    magic = bytes((0, 0, UNSIGNED_BYTES, axes))
    if data[:4] != magic:
        raise ValueError(f"{path}: must start with 0x{magic.hex()} (idx, {axes} axes), got 0x{data[:4].hex()}.")
    header_bytes = 4 + 4 * axes
    if len(data) < header_bytes:
        raise ValueError(f"{path}: must have a header of {header_bytes} bytes, got {len(data)}.")
    shape = struct.unpack(f">{axes}I", data[4:header_bytes])
    count = math.prod(shape)
    value_bytes = len(data) - header_bytes
    if count == 0 or value_bytes != count:
        raise ValueError(f"{path}: must have values of {shape} after its header, got {value_bytes} bytes.")
    values = np.frombuffer(data, np.uint8, offset=header_bytes)
    return values.reshape(shape)


def _read_unpacked(path: Path) -> bytes:
    data = read_bytes(path)
    if not data.startswith(GZIP_MAGIC):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: must be a complete gzip file, it cannot be unpacked.") from error


def find_idx(folder: Path) -> dict[str, Path] | None:
    """Find the four files in the folder, its MNIST/raw or its raw.

    Returns:
        The paths by key ("train-images", "t10k-labels", ...), or None unless all four are in one place.
    """
    for place in (folder, folder / "MNIST" / "raw", folder / "raw"):
        paths: dict[str, Path] = {}
        for stem in STEMS.values():
            for content, suffix in (("images", "idx3"), ("labels", "idx1")):
                path = _find_spelling(place, f"{stem}-{content}", suffix)
                if path is not None:
                    paths[f"{stem}-{content}"] = path
        if len(paths) == 4:
            return paths
    return None


def _find_spelling(place: Path, prefix: str, suffix: str) -> Path | None:
    """Return the first of ``train-images-idx3-ubyte``, its .gz, and both with a dot before "idx3"."""
    for separator in ("-", "."):
        for ending in ("", ".gz"):
            path = place / f"{prefix}{separator}{suffix}-ubyte{ending}"
            if path.is_file():
                return path
    return None


def read_idx_folder(folder: Path, name: str = "idx", names: Sequence[str] = ()) -> Task:
    """Read the four idx files train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-..., each plain or .gz.

    Args:
        folder: Folder with the files (or with MNIST/raw or raw), or one of the four files.
        name: Name of the task.
        names: Class names; by default "0", "1", ...

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is refused by `read_idx`, or labels do not fit the images.
    """
    if not folder.is_dir():
        folder = folder.parent
    paths = find_idx(folder)
    if paths is None:
        wanted = "{train,t10k}-images-idx3-ubyte, {train,t10k}-labels-idx1-ubyte (or .gz)"
        raise FileNotFoundError(f"{folder}: looked for {wanted}; {LOCAL_COPY}.")
    images = {}
    labels = {}
    for subset, stem in STEMS.items():
        pixels = read_idx(paths[f"{stem}-images"], axes=3)
        classes = read_idx(paths[f"{stem}-labels"], axes=1)
        images[subset] = to_pixels(pixels, f"x_{subset}")
        labels[subset] = to_labels(classes, f"y_{subset}")
    if not names:
        highest = max(int(subset_labels.max()) for subset_labels in labels.values())
        names = [str(label) for label in range(highest + 1)]
    with naming(folder):
        return Task(
            name,
            images["train"],
            labels["train"],
            images["test"],
            labels["test"],
            tuple(names),
        )
