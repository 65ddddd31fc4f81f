"""The idx files of MNIST and its kin, plain or gzipped: yann.lecun.com/exdb/mnist, "the IDX file format"."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .files import LOCAL_COPY, naming, read_bytes, to_labels
from .images import to_pixels
from .task import Task

UNSIGNED_BYTES = 0x08
PARTS = {"train": "train", "test": "t10k"}


def read_idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """One idx file of unsigned bytes with the given number of axes.

    Layout: bytes 0, 0, type, axes; then each length as a big-endian uint32; then the values.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a wrong magic number, or more or fewer bytes than the header states.
    """
    data = read_bytes(path)
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: must be a complete gzip file, it cannot be unpacked.") from error
    magic = bytes((0, 0, UNSIGNED_BYTES, axes))
    if data[:4] != magic:
        got = f"0x{data[:4].hex()}"
        raise ValueError(f"{path}: must start with 0x{magic.hex()} (idx, {axes} axes), got {got}.")
    start = 4 + 4 * axes
    if len(data) < start:
        raise ValueError(f"{path}: must have a header of {start} bytes, got {len(data)}.")
    shape = struct.unpack(f">{axes}I", data[4:start])
    if not math.prod(shape) or len(data) - start != math.prod(shape):
        raise ValueError(f"{path}: must hold values of {shape} after its header, got {len(data) - start} bytes.")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def find_idx(folder: Path) -> dict[str, Path] | None:
    """The four files by key ("train-images"), in the folder, its MNIST/raw or raw; None if not all there."""
    for place in (folder, folder / "MNIST" / "raw", folder / "raw"):
        found: dict[str, Path] = {}
        for stem in PARTS.values():
            for kind in ("images-idx3", "labels-idx1"):
                spellings = (f"{stem}-{kind}-ubyte", f"{stem}-{kind.replace('-', '.')}-ubyte")
                paths = [place / (spelling + end) for spelling in spellings for end in ("", ".gz")]
                existing = [path for path in paths if path.is_file()]
                if existing:
                    found[f"{stem}-{kind.partition('-')[0]}"] = existing[0]
        if len(found) == 4:
            return found
    return None


def read_idx_folder(folder: Path, name: str = "idx", names: Sequence[str] = ()) -> Task:
    """The four idx files train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-... , each plain or .gz.

    Args:
        folder: the folder that holds them (or has them in MNIST/raw), or one of the four files.
        name: name of the task.
        names: class names; without them "0", "1", ...

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: see `read_idx`; labels that do not fit the images.
    """
    folder = folder if folder.is_dir() else folder.parent
    files = find_idx(folder)
    if files is None:
        wanted = "{train,t10k}-images-idx3-ubyte, {train,t10k}-labels-idx1-ubyte (or .gz)"
        raise FileNotFoundError(f"{folder}: looked for {wanted}; {LOCAL_COPY}.")
    arrays: dict[str, Any] = {}
    for part, stem in PARTS.items():
        arrays[f"x_{part}"] = to_pixels(read_idx(files[f"{stem}-images"], 3), f"x_{part}")
        arrays[f"y_{part}"] = to_labels(read_idx(files[f"{stem}-labels"], 1), f"y_{part}")
    if not names:
        names = [str(label) for label in range(1 + max(int(arrays[f"y_{part}"].max()) for part in PARTS))]
    with naming(folder):
        return Task(name, class_names=tuple(names), **arrays)
