"""Accuracy against cost: FlexNets on digits whose learned sizes may cost so many products and no more."""

from __future__ import annotations

import functools
import itertools
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor, nn

from ..analysis import count_cost, output_positions, size_budget
from ..layers import sizes
from ..training.record import write_result
from .digits import BATCH, RATE, SIDE, as_they_are, digit_samples
from .small_flexnet import small_flexnet
from .trial import Result, accuracy, chosen, train

BUDGETS = (None, 40e6, 20e6, 10e6, 5e6)
"""Products per image of all layers of learned size together; they start at some 23 million."""
SHAPE = (1, SIDE, SIDE)


def reproduce_size_budget(
    out: str | Path,
    data_dir: str | Path | None = None,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    epochs: int = 4,
    only: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
) -> Result:
    """Trains one network per budget and seed, and writes ``out``: what each cost in the end, and what it tells.

    Raises:
        ValueError: for budgets (``only``) that are not among :data:`BUDGETS`.
    """
    known = {"none" if budget is None else f"{budget:.0f}": budget for budget in BUDGETS}
    wanted = chosen(known, only)
    data = digit_samples(data_dir, as_they_are)
    make = functools.partial(small_flexnet, horizon=SIDE + 1)
    positions = output_positions(make(), SHAPE)
    rows: dict[str, list[Result]] = {name: [] for name in wanted}
    for seed, name in itertools.product(seeds, rows):
        penalty = _penalty(wanted[name], positions)
        net = train(make, data["train"], seed, epochs=epochs, batch=BATCH, rate=RATE, penalty=penalty)
        found = {part: accuracy(net, data[part]) for part in ("validation", "test")}
        learned = {layer: list(size) for layer, size in sizes(net).items()}
        rows[name].append({"seed": seed, **found, "macs": count_cost(net, SHAPE).macs, "sizes": learned})
        say(f"budget {name}, seed {seed}: {100 * found['test']:.2f} %, {rows[name][-1]['macs'] / 1e6:.1f} M products")
    budgets = [{"budget": wanted[name], **_summary(runs)} for name, runs in rows.items()]
    counts = {part: len(samples.y) for part, samples in data.items()}
    return write_result(out, {"name": "size-budget", "epochs": epochs, "counts": counts, "budgets": budgets})


def _penalty(budget: float | None, positions: dict[str, int]) -> Callable[[nn.Module], Tensor] | None:
    return None if budget is None else functools.partial(size_budget, macs=budget, positions=positions)


def _summary(runs: list[Result]) -> Result:
    tests = [run["test"] for run in runs]
    return {
        "test_mean": statistics.mean(tests),
        "test_sd": statistics.stdev(tests) if len(tests) > 1 else None,
        "macs_mean": statistics.mean(run["macs"] for run in runs),
        "runs": runs,
    }
