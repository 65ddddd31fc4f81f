"""Images from .npz archives (pixels or JPEG bytes) and from folders, as float32 (N, C, H, W) in [0, 1]."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .files import class_folders, class_names, naming, optional, read_npz, require_arrays, to_labels, to_tensor
from .task import Task

CHANNELS = (1, 3, 4)
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm")


def to_pixels(array: NDArray[Any], name: str) -> Tensor:
    """Images (N, H, W), (N, H, W, C) or (N, C, H, W), uint8 or float in [0, 1], as float32 (N, C, H, W).

    C is 1, 3 or 4; if both places could be the channels, they are taken to be last.
    """
    if array.dtype.kind not in "uf" or (array.dtype.kind == "u" and array.dtype != np.uint8):
        raise ValueError(f"`{name}` must be uint8, or float in [0, 1], got {array.dtype}.")
    shape = array.shape
    if len(shape) == 3:
        array = array[:, None]
    elif len(shape) == 4 and shape[3] in CHANNELS:
        array = array.transpose(0, 3, 1, 2)
    elif len(shape) != 4 or shape[1] not in CHANNELS:
        raise ValueError(f"`{name}` must be images (N, H, W) or (N, H, W, C) with C of {CHANNELS}, got {shape}.")
    if array.dtype == np.uint8:
        return to_tensor(array).float().div_(255)
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}` must be finite, but holds NaN or infinity.")
    if array.size and not (array.min() >= 0 and array.max() <= 1):
        got = f"{array.min():g}..{array.max():g}"
        raise ValueError(f"`{name}` must be uint8 or lie in [0, 1], got {got}; series are read as `array`.")
    return to_tensor(array.astype(np.float32))


def read_image_npz(path: Path, name: str = "npz", names: Sequence[str] = ()) -> Task:
    """A Keras-style archive: x_train, y_train, x_test, y_test and, if given, class_names.

    Instead of x_* an archive may keep JPEG files: jpeg_* (all bytes in a row, uint8) and offsets_* (N + 1,).

    Args:
        path: the file.
        name: name of the task.
        names: class names for a file without class_names; without both they are "0", "1", ...

    Raises:
        FileNotFoundError, ValueError: see `read_npz`; missing arrays, wrong dtypes, shapes, labels or NaN.
    """
    arrays = read_npz(path)
    with naming(path):
        for part in ("train", "test"):
            if f"jpeg_{part}" in arrays:
                require_arrays(arrays, [f"offsets_{part}"])
                arrays[f"x_{part}"] = decode_jpegs(arrays.pop(f"jpeg_{part}"), arrays[f"offsets_{part}"])
        require_arrays(arrays, ["x_train", "y_train", "x_test", "y_test"])
        labels = {part: to_labels(arrays[f"y_{part}"], f"y_{part}") for part in ("train", "test")}
        return Task(
            name,
            to_pixels(arrays.pop("x_train"), "x_train"),
            labels["train"],
            to_pixels(arrays.pop("x_test"), "x_test"),
            labels["test"],
            class_names(arrays, names),
        )


def decode_jpegs(data: NDArray[Any], offsets: NDArray[Any]) -> NDArray[np.uint8]:
    """Files data[offsets[i]:offsets[i + 1]] as RGB (N, H, W, 3)."""
    image = optional("PIL.Image")
    blob, ends = data.tobytes(), offsets.tolist()
    try:
        files = [io.BytesIO(blob[start:stop]) for start, stop in pairwise(ends)]
        return np.stack([np.asarray(image.open(file).convert("RGB")) for file in files])
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"must hold JPEG files of one size between its offsets ({error}).") from error


def read_image_folder(root: Path, name: str = "images", *, size: tuple[int, int] | None = None) -> Task:
    """A folder of images: train/<class>/* and test/<class>/*, or <class>/* (see `class_folders`).

    Grey if every file is, else RGB; transparency is dropped.

    Args:
        root: the folder.
        name: name of the task.
        size: (H, W) to resize to (bilinear); None: all files must have one size.

    Raises:
        FileNotFoundError, ValueError: no folder, an empty class, a file that is no image, differing sizes.
    """
    names, train, test = class_folders(root, SUFFIXES)
    images = [_read_image(path, size) for path, _ in train + test]
    first = images[0].shape[:2]
    for image, (path, _) in zip(images, train + test, strict=True):
        if image.shape[:2] != first:
            raise ValueError(f"{path}: images must have one size {first}, this has {image.shape[:2]}.")
    if any(image.ndim == 3 for image in images):
        images = [image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2) for image in images]
    x = to_pixels(np.stack(images), str(root))
    y = torch.tensor([label for _, label in train + test])
    count = len(train)
    return Task(name, x[:count].clone(), y[:count], x[count:].clone(), y[count:], names)


def _read_image(path: Path, size: tuple[int, int] | None) -> NDArray[np.uint8]:
    image = optional("PIL.Image")
    try:
        with image.open(path) as file:
            file.load()
    except Exception as error:  # each decoder fails in its own way
        raise ValueError(f"{path}: must be a complete image file, it cannot be read.") from error
    if file.mode[0] in "IF":
        raise ValueError(f"{path}: must have 8 bits a channel, has mode {file.mode}.")
    pixels = file.convert("L" if file.mode in ("1", "L", "LA") else "RGB")
    if size is not None:
        pixels = pixels.resize(size[::-1], image.Resampling.BILINEAR)
    return np.asarray(pixels)
