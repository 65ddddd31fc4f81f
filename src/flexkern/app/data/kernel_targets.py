"""Targets that generators are fitted to: Gabor functions, noise, arrays and images, sampled on a grid."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from flexkern.functional import make_grid

from .files import optional

ENVELOPE = 0.4
"""Width of the Gabor target's envelope, in the unit of the [-1, 1] coordinate."""


def read_target(target: str, *, size: int = 33, seed: int = 0) -> Tensor:  # shape: (*K)
    """Return the target that a word or a file describes.

    * "gabor:F": a wave of F Hz (cycles per unit of the [-1, 1] coordinate) along the diagonal, under a Gaussian
      envelope of width 0.4.
    * "random": standard normal noise.
    * A ``.npy`` file: an array with one to three axes.
    * An image: its central square in grey, resized to ``size`` pixels.

    Args:
        target: "gabor:F", "random" or the path of a file.
        size: Samples per axis; not used for arrays.
        seed: Seed of "random".

    Raises:
        ValueError: The word is unknown, an array has another shape or type, or an image cannot be read.
        FileNotFoundError: The file does not exist.
    """
    if size < 2:
        raise ValueError(f"`size` must be at least 2, got {size}.")
    word, _, frequency = target.partition(":")
    if word == "gabor":
        return gabor_target(_parse_frequency(frequency, target), size)
    if target == "random":
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(size, size, generator=generator)
    path = Path(target)
    if not path.is_file():
        raise FileNotFoundError(f"no target `{target}`: give gabor:F, random, a .npy file or an image.")
    if path.suffix == ".npy":
        return _read_array(path)
    return _read_image(path, size)


def gabor_target(frequency: float, size: int) -> Tensor:  # shape: (size, size)
    r"""Return :math:`\exp(-\|x\|^2 / 2 s^2) \cos(2 \pi f (x_1 + x_2) / \sqrt 2)` with s = 0.4.

    Example:
        >>> gabor_target(4.0, 33)[16, 16].item()
        1.0
    """
    x = make_grid((size, size))
    wave = torch.cos(2 * math.pi * frequency * x.sum(0) / math.sqrt(2))
    envelope = torch.exp(-x.square().sum(0) / (2 * ENVELOPE**2))
    return envelope * wave


def _parse_frequency(text: str, target: str) -> float:
    try:
        frequency = float(text)
    except ValueError:
        frequency = math.nan
    if not 0 <= frequency < math.inf:
        raise ValueError(f"a Gabor target must have a frequency in Hz, such as gabor:4, got `{target}`.")
    return frequency


def _read_array(path: Path) -> Tensor:
    import numpy as np

    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is not a readable .npy file: {error}") from None
    if array.ndim not in (1, 2, 3) or array.size < 2 or array.dtype.kind not in "fiu":
        raise ValueError(f"{path} must contain real numbers along one to three axes, got {array.dtype} {array.shape}.")
    values = torch.from_numpy(array.astype("float32"))
    if not values.isfinite().all():
        raise ValueError(f"{path} must contain finite numbers only.")
    return values


def _read_image(path: Path, size: int) -> Tensor:
    import numpy as np

    Image = optional("PIL.Image")
    ImageOps = optional("PIL.ImageOps")
    try:
        image = Image.open(path).convert("L")
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is not a readable image: {error}") from None
    square = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
    pixels = np.asarray(square, dtype="float32")
    return torch.from_numpy(pixels / 255)
