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
    """Convert images (N, H, W), (N, H, W, C) or (N, C, H, W) to float32 (N, C, H, W).

    The array is uint8 or float in [0, 1]. C is 1, 3 or 4; if both places could be the channels, the last one is.
    """
    is_float = array.dtype.kind == "f"
    if not is_float and array.dtype != np.uint8:
        raise ValueError(f"`{name}` must be uint8, or float in [0, 1], got {array.dtype}.")
    array = _channels_first(array, name)
    if is_float:
        _check_unit_range(array, name)
        return to_tensor(array.astype(np.float32))
    return to_tensor(array).float().div_(255)


def _channels_first(array: NDArray[Any], name: str) -> NDArray[Any]:  # -> (N, C, H, W)
    shape = array.shape
    if len(shape) == 3:
        return array[:, None]
    if len(shape) == 4 and shape[3] in CHANNELS:
        return array.transpose(0, 3, 1, 2)
    if len(shape) == 4 and shape[1] in CHANNELS:
        return array
    raise ValueError(f"`{name}` must be images (N, H, W) or (N, H, W, C) with C of {CHANNELS}, got {shape}.")


def _check_unit_range(array: NDArray[Any], name: str) -> None:
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}` must be finite, got NaN or infinity.")
    if array.size == 0:
        return
    low = array.min()
    high = array.max()
    if low < 0 or high > 1:
        raise ValueError(f"`{name}` must be uint8 or lie in [0, 1], got {low:g}..{high:g}; series are read as `array`.")


def read_image_npz(path: Path, name: str = "npz", names: Sequence[str] = ()) -> Task:
    """Read a Keras-style archive: x_train, y_train, x_test, y_test and optionally class_names.

    Instead of x_* an archive may store JPEG files: jpeg_* (all bytes in a row, uint8) and offsets_* (N + 1,).

    Args:
        path: The file.
        name: Name of the task.
        names: Class names of a file without class_names; by default "0", "1", ...

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is refused by `read_npz`, or has missing arrays, wrong dtypes, shapes, labels or NaN.
    """
    arrays = read_npz(path)
    with naming(path):
        for subset in ("train", "test"):
            jpeg_key = f"jpeg_{subset}"
            offsets_key = f"offsets_{subset}"
            if jpeg_key in arrays:
                require_arrays(arrays, [offsets_key])
                jpegs = arrays.pop(jpeg_key)
                arrays[f"x_{subset}"] = decode_jpegs(jpegs, arrays[offsets_key])
        require_arrays(arrays, ["x_train", "y_train", "x_test", "y_test"])
        y_train = to_labels(arrays["y_train"], "y_train")
        y_test = to_labels(arrays["y_test"], "y_test")
        # Each array is released once it is converted: both copies of a large set may not fit in memory.
        x_train = to_pixels(arrays.pop("x_train"), "x_train")
        x_test = to_pixels(arrays.pop("x_test"), "x_test")
        return Task(
            name,
            x_train,
            y_train,
            x_test,
            y_test,
            class_names(arrays, names),
        )


def decode_jpegs(data: NDArray[Any], offsets: NDArray[Any]) -> NDArray[np.uint8]:
    """Decode the files data[offsets[i]:offsets[i + 1]] to RGB (N, H, W, 3)."""
    pillow = optional("PIL.Image")
    content = data.tobytes()
    images = []
    try:
        for start, stop in pairwise(offsets.tolist()):
            file = io.BytesIO(content[start:stop])
            image = pillow.open(file).convert("RGB")
            images.append(np.asarray(image))
        return np.stack(images)
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"must have JPEG files of one size between its offsets ({error}).") from error


def read_image_folder(
    root: Path,
    name: str = "images",
    *,
    size: tuple[int, int] | None = None,
) -> Task:
    """Read images from train/<class>/* and test/<class>/*, or <class>/* (see `class_folders`).

    The images are grey if every file is, else RGB; transparency is dropped.

    Args:
        root: The folder.
        name: Name of the task.
        size: (H, W) to resize to (bilinear); with None all files must have one size.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: A class has no file, a file is no image, or sizes differ.
    """
    names, train_files, test_files = class_folders(root, SUFFIXES)
    files = train_files + test_files
    images = [_read_image(path, size) for path, _ in files]
    first_size = images[0].shape[:2]
    for (path, _), image in zip(files, images, strict=True):
        image_size = image.shape[:2]
        if image_size != first_size:
            raise ValueError(f"{path}: images must have one size {first_size}, got {image_size}.")
    if any(image.ndim == 3 for image in images):
        images = [_to_rgb(image) for image in images]
    x = to_pixels(np.stack(images), str(root))
    y = torch.tensor([label for _, label in files])
    count = len(train_files)
    return Task(
        name,
        # Copies, so that neither set keeps the memory of both.
        x_train=x[:count].clone(),
        y_train=y[:count],
        x_test=x[count:].clone(),
        y_test=y[count:],
        class_names=names,
    )


def _to_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if image.ndim == 3:
        return image
    return np.repeat(image[..., None], 3, axis=2)


def _read_image(path: Path, size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Read one file as (H, W) if it is grey, else (H, W, 3)."""
    pillow = optional("PIL.Image")
    try:
        with pillow.open(path) as image:
            image.load()
    except Exception as error:  # Each decoder raises exceptions of its own.
        raise ValueError(f"{path}: must be a complete image file, it cannot be read.") from error
    if image.mode[0] in "IF":
        raise ValueError(f"{path}: must have 8 bits per channel, got mode {image.mode}.")
    grey = image.mode in ("1", "L", "LA")
    image = image.convert("L" if grey else "RGB")
    if size is not None:
        height, width = size
        image = image.resize((width, height), pillow.Resampling.BILINEAR)
    return np.asarray(image)
