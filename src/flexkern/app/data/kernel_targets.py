"""What kernel networks are asked to describe: Gabor functions, noise, arrays and images, on a grid."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from flexkern.app.data.files import optional
from flexkern.functional import make_grid

ENVELOPE = 0.4
"""Width of the Gabor target's envelope, in the unit of the [-1, 1] coordinate."""


def read_target(target: str, *, size: int = 33, seed: int = 0) -> Tensor:  # shape: (*K)
    """The target that a word or a file names: "gabor:F", "random", a ``.npy`` array, or an image.

    Args:
        target: "gabor:F" is a wave of F Hz (cycles per unit of the [-1, 1] coordinate) along the diagonal under a
            Gaussian of width 0.4; "random" is standard normal noise; an array may have one to three axes; of an image
            the middle square is taken, in grey, at ``size`` pixels.
        size: samples per axis, but for arrays.
        seed: of "random".

    Raises:
        ValueError: for an unknown word, an array of another shape or kind, an unreadable image.
        FileNotFoundError: no such file.
    """
    if size < 2:
        raise ValueError(f"`size` must be at least 2, got {size}.")
    word, _, frequency = target.partition(":")
    if word == "gabor":
        return gabor_target(_number(frequency, target), size)
    if target == "random":
        return torch.randn(size, size, generator=torch.Generator().manual_seed(seed))
    path = Path(target)
    if not path.is_file():
        raise FileNotFoundError(f"no target `{target}`: give gabor:F, random, a .npy file or an image.")
    return _read_array(path) if path.suffix == ".npy" else _read_image(path, size)


def gabor_target(frequency: float, size: int) -> Tensor:  # shape: (size, size)
    r""":math:`\exp(-\|x\|^2 / 2 s^2) \cos(2 \pi f (x_1 + x_2) / \sqrt 2)` with s = 0.4.

    Example:
        >>> gabor_target(4.0, 33)[16, 16].item()
        1.0
    """
    x = make_grid((size, size))
    wave = torch.cos(2 * math.pi * frequency * x.sum(0) / math.sqrt(2))
    return torch.exp(-x.square().sum(0) / (2 * ENVELOPE**2)) * wave


def _number(text: str, target: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(f"a Gabor target has a frequency in Hz, such as gabor:4, got `{target}`.")
    return value


def _read_array(path: Path) -> Tensor:
    import numpy as np

    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is not a readable .npy file: {error}") from None
    if array.ndim not in (1, 2, 3) or array.size < 2 or array.dtype.kind not in "fiu":
        raise ValueError(f"{path} must hold real numbers along one to three axes, got {array.dtype} {array.shape}.")
    found = torch.from_numpy(array.astype("float32"))
    if not found.isfinite().all():
        raise ValueError(f"{path} must hold finite numbers.")
    return found


def _read_image(path: Path, size: int) -> Tensor:
    import numpy as np

    Image, ImageOps = optional("PIL.Image"), optional("PIL.ImageOps")
    try:
        image = Image.open(path).convert("L")
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is not a readable image: {error}") from None
    square = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(square, dtype="float32") / 255)
