"""Accuracy against cost: FlexNets on digits whose learned sizes may cost so many products and no more."""

from __future__ import annotations

import functools
import itertools
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor, nn

from flexkern.analysis import count_cost
from flexkern.app.training.record import commit, write_result
from flexkern.regularisers import output_positions, size_budget
from flexkern.windows import sizes

from .digits import BATCH, RATE, SIDE, as_they_are, digit_samples
from .resume import earlier
from .small_flexnet import small_flexnet
from .trial import Result, Samples, accuracy, chosen, train

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
    """Trains one network per budget and seed: what each cost in the end, and what it tells.

    Writes ``out`` after each run, and does not repeat runs that it holds.

    Raises:
        ValueError: for budgets (``only``) that are not among :data:`BUDGETS`, or an ``out`` of other settings.
    """
    known = {"none" if budget is None else f"{budget:.0f}": budget for budget in BUDGETS}
    wanted, data = chosen(known, only), digit_samples(data_dir, as_they_are)
    counts = {part: len(samples.y) for part, samples in data.items()}
    settings = {"name": "size-budget", "epochs": epochs, "counts": counts}
    result: Result = {"budgets": [], **earlier(out, settings), **settings}
    runs = {one["budget"]: one["runs"] for one in result["budgets"]}
    for seed, name in itertools.product(seeds, wanted):
        done = runs.setdefault(wanted[name], [])
        if seed in [run["seed"] for run in done]:
            continue
        done.append(_run(wanted[name], data, seed, epochs))
        say(f"budget {name}, seed {seed}: {100 * done[-1]['test']:.2f} %, {done[-1]['macs'] / 1e6:.1f} M products")
        result["budgets"] = [{"budget": one, **_summary(runs[one])} for one in BUDGETS if one in runs]
        write_result(out, result)
    return result


def _run(budget: float | None, data: dict[str, Samples], seed: int, epochs: int) -> Result:
    make = functools.partial(small_flexnet, horizon=SIDE + 1)
    penalty = _penalty(budget, output_positions(make(), SHAPE))
    net = train(make, data["train"], seed, epochs=epochs, batch=BATCH, rate=RATE, penalty=penalty)
    found = {part: accuracy(net, data[part]) for part in ("validation", "test")}
    learned = {layer: list(size) for layer, size in sizes(net).items()}
    return {"seed": seed, "commit": commit(), **found, "macs": count_cost(net, SHAPE).macs, "sizes": learned}


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
