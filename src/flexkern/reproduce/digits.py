"""Trials on MNIST digits: the samples, and networks trained on them, measured and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from ..data import load_task, split_task
from .trial import Makers, Result, Samples, chosen, gain_over, run_trials, summarise, write_result

SIDE = 28
COUNTS = {"train": 12_000, "validation": 3_000, "test": 10_000}
BATCH, RATE = 128, 0.01


def digit_samples(
    data_dir: str | Path | None, change: Callable[[Tensor, int], Tensor] = lambda images, seed: images
) -> dict[str, Samples]:
    """MNIST in ``data_dir`` (without: the 5,000 digits at hand), of mean 0 and deviation 1 over the training part.

    ``change`` is given the images (N, 1, 28, 28) of each part and another seed for each.
    """
    split = split_task(load_task("mnist", str(data_dir)) if data_dir else load_task("digits"), 0.2)
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    found = {
        part: Samples(change(x[: COUNTS[part]], seed), y[: COUNTS[part]])
        for seed, (part, (x, y)) in enumerate(parts.items())
    }
    mean, std = found["train"].x.mean(), found["train"].x.std()
    return {part: Samples((x - mean) / std, y) for part, (x, y) in found.items()}


def digit_trials(
    name: str,
    nets: Makers,
    data: Mapping[str, Samples],
    pairs: Sequence[tuple[str, str]],
    out: str | Path,
    *,
    seeds: Sequence[int],
    epochs: int,
    only: Sequence[str],
    say: Callable[[str], None],
) -> Result:
    """Trains the networks once per seed, sets the first of each pair against the second, and writes ``out``.

    Raises:
        ValueError: for an unknown network.
    """
    trained, runs = run_trials(chosen(nets, only), data, seeds=seeds, epochs=epochs, batch=BATCH, rate=RATE, say=say)
    found = summarise(trained, runs, (1, SIDE, SIDE), exported=False)
    comparisons = {
        f"{ours} against {rival}": {"rival": rival, **gain_over(found[ours], found[rival])}
        for ours, rival in pairs
        if ours in found and rival in found
    }
    counts = {part: len(samples.y) for part, samples in data.items()}
    result = {"name": name, "epochs": epochs, "counts": counts, "nets": found, "comparisons": comparisons}
    return write_result(out, result)
