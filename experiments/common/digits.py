"""Trials on MNIST digits: the samples, and networks trained on them, measured and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from flexkern.app.data import load_task, split_task
from flexkern.app.training.record import write_result

from .trial import Result, Samples, chosen, gain_over, run_trials, summarise

SIDE = 28
COUNTS = {"train": 12_000, "validation": 3_000, "test": 10_000}
BATCH, RATE = 128, 0.01


def as_they_are(images: Tensor, seed: int) -> Tensor:
    """The digits of MNIST."""
    return images


@dataclass(frozen=True)
class DigitTrial:
    """Networks on digits.

    Args:
        name: of the trial; its results are ``results/NAME.json``.
        nets: makers of the networks, by name.
        pairs: names of networks, the first of which is set against the second.
        change: what is done to the samples of a part, given another seed for each.
        task: the data; "mnist" without a folder are the 5,000 digits at hand.
        epochs: of every run.
    """

    name: str
    nets: Mapping[str, Callable[[], nn.Module]]
    pairs: Sequence[tuple[str, str]]
    change: Callable[[Tensor, int], Tensor] = as_they_are
    task: str = "mnist"
    epochs: int = 4


def digit_samples(
    data_dir: str | Path | None, change: Callable[[Tensor, int], Tensor], task: str = "mnist"
) -> dict[str, Samples]:
    """The data in ``data_dir``, of mean 0 and deviation 1 over the training part; see :class:`DigitTrial`."""
    name = "digits" if task == "mnist" and not data_dir else task
    split = split_task(load_task(name, str(data_dir) if data_dir else None), 0.2)
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    found = {
        part: Samples(change(x[: COUNTS[part]], seed), y[: COUNTS[part]])
        for seed, (part, (x, y)) in enumerate(parts.items())
    }
    mean, std = found["train"].x.mean(), found["train"].x.std()
    return {part: Samples((x - mean) / std, y) for part, (x, y) in found.items()}


def reproduce_digits(
    trial: DigitTrial,
    out: str | Path,
    data_dir: str | Path | None = None,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    epochs: int | None = None,
    only: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
) -> Result:
    """Trains every network once per seed, compares, and writes ``out``.

    Raises:
        ValueError: for an unknown network.
    """
    nets, data = chosen(trial.nets, only), digit_samples(data_dir, trial.change, trial.task)
    epochs = epochs or trial.epochs
    trained, runs = run_trials(nets, data, seeds=seeds, epochs=epochs, batch=BATCH, rate=RATE, say=say)
    found = summarise(trained, runs, tuple(data["train"].x.shape[1:]), exported=False)
    comparisons = {
        f"{ours} against {rival}": {"rival": rival, **gain_over(found[ours], found[rival])}
        for ours, rival in trial.pairs
        if ours in found and rival in found
    }
    counts = {part: len(samples.y) for part, samples in data.items()}
    result = {"name": trial.name, "epochs": epochs, "counts": counts, "nets": found, "comparisons": comparisons}
    return write_result(out, result)
