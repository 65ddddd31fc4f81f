"""Shifts between two frames: does adaptivity pay where products of pixels are needed?

Two noisy views of a natural image are shifted by up to two pixels in each direction: which of the 25 shifts is it? An
optical mouse and an image stabiliser solve this task all the time. Adaptive kernels multiply pixels; an ordinary
network has to build products from rectified sums.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from torch import Tensor

from flexkern.app.measure.exported import require_export

from ..common.images import image_samples
from ..common.ledger import Result
from ..common.options import Options
from ..common.statistics import compare_pairs, compare_with_equals
from ..common.training import Samples, Schedule
from ..common.trials import Trial, names_starting, print_trial, run_trial
from .networks import CLASSES, FRAMES, NETS, REACH

ABOUT = "do adaptive kernels see motion better than ordinary ones of equal parameters or time?"

SIDE, NOISE = 16, 0.5
COUNTS = {"train": 40_000, "validation": 5_000, "test": 10_000}
FIRST_SEED = 100
"""Seed of the training samples; the next ones are of validation and test."""
SCHEDULE = Schedule(epochs=2, batch=256, rate=0.01)


def make_pairs(images: Sequence[Tensor], count: int, seed: int) -> Samples:
    """Return patches of grey images (H, W) and the same shifted, of mean 0 and deviation 1, then with noise.

    Example:
        >>> x, y = make_pairs([torch.rand(40, 40)], 5, 0)
        >>> x.shape, bool((y < 25).all())
        (torch.Size([5, 2, 16, 16]), True)
    """
    generator = torch.Generator().manual_seed(seed)
    sources = torch.randint(len(images), (count,), generator=generator)
    labels = torch.randint(CLASSES, (count,), generator=generator)
    places = torch.rand(count, 2, generator=generator)
    x = torch.empty(count, FRAMES, SIDE, SIDE)
    for index in range(count):
        image = images[int(sources[index])]
        row, column = places[index].tolist()
        height, width = image.shape
        top = _start(row, height)
        left = _start(column, width)
        down, right = shift_of(int(labels[index]))
        x[index, 0] = _patch(image, top, left)
        x[index, 1] = _patch(image, top + down, left + right)
    x -= x.mean((1, 2, 3), keepdim=True)
    x /= x.std((1, 2, 3), keepdim=True) + 0.01
    noise = torch.randn(x.shape, generator=generator)
    return Samples(x + NOISE * noise, labels)


def shift_of(label: int) -> tuple[int, int]:
    """Return the shift of a class, in pixels down and to the right.

    Example:
        >>> shift_of(0), shift_of(13), shift_of(24)
        ((-2, -2), (0, 1), (2, 2))
    """
    rows, columns = divmod(label, 2 * REACH + 1)
    return rows - REACH, columns - REACH


def _start(place: float, length: int) -> int:
    """Return the first sample of a patch that may be shifted; ``place`` is in [0, 1)."""
    room = length - SIDE - 2 * REACH
    return REACH + int(place * room)


def _patch(image: Tensor, top: int, left: int) -> Tensor:
    bottom = top + SIDE
    right = left + SIDE
    return image[top:bottom, left:right]


def compare_networks(nets: dict[str, Result]) -> dict[str, Result]:
    """Compare adaptive networks with plain ones of equal cost, and with those whose layer squares its input."""
    comparisons = compare_with_equals(nets, names_starting(nets, "adaptive"), names_starting(nets, "plain"))
    controls = names_starting(nets, "squares")
    pairs = [(name.replace("squares", "adaptive hybrid"), name) for name in controls]
    return {**comparisons, **compare_pairs(nets, pairs)}


TRIAL = Trial(NETS, compare_networks, SCHEDULE, exported=True)
OPTIONS = Options("motion", tuple(NETS), seeds=(0, 1, 2, 3, 4), data="a folder of images")
add_arguments = OPTIONS.add_to


def run(options: argparse.Namespace) -> int:
    """Train the networks, compare them, and print a table.

    Raises:
        FileNotFoundError: there are too few images.
        ModuleNotFoundError: ONNX Runtime is missing.
    """
    settings = OPTIONS.read(options)
    require_export()
    parts = image_samples(str(settings.data_dir), make_pairs, COUNTS, FIRST_SEED)
    print_trial(run_trial(TRIAL, parts, settings))
    print(f"results: {settings.out}")
    return 0
