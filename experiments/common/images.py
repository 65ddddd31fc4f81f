"""Photographs: grey images of a folder, and their parts for training, validation and test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from flexkern.app.data.files import image_files

from .training import Samples

FEWEST = 4


def read_grey(folder: str | Path) -> list[Tensor]:
    """Return all images of a folder, by name, as grey values (H, W) in [0, 1].

    Raises:
        FileNotFoundError: there are fewer than four images, too few for training, validation and test.
    """
    import numpy as np
    from PIL import Image

    images = []
    for path in image_files(folder, FEWEST):
        grey = np.asarray(Image.open(path).convert("L"), dtype="float32")
        images.append(torch.from_numpy(grey / 255))
    return images


def split_images(images: Sequence[Tensor]) -> dict[str, list[Tensor]]:
    """Return five eighths to train, one to validate and two to test, so that no image is in two parts."""
    first = len(images) * 5 // 8
    second = -(-len(images) * 6 // 8)
    return {
        "train": list(images[:first]),
        "validation": list(images[first:second]),
        "test": list(images[second:]),
    }


def image_samples(
    folder: str | Path,
    make: Callable[[Sequence[Tensor], int, int], Samples],
    counts: Mapping[str, int],
    first_seed: int,
) -> dict[str, Samples]:
    """Return samples of the images in a folder.

    Args:
        folder: of the images.
        make: returns samples of images, given their number and a seed.
        counts: samples per part.
        first_seed: of the first part; the other parts have the next ones.
    """
    images = split_images(read_grey(folder))
    parts = {}
    for seed, (part, count) in enumerate(counts.items(), first_seed):
        parts[part] = make(images[part], count, seed)
    return parts
