"""Accuracy against cost: FlexNets on digits whose learned sizes may cost so many products and no more."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from flexkern.analysis import count_cost
from flexkern.app.cli.text import table
from flexkern.app.report.figures import check_figure, save_figure
from flexkern.app.training.record import commit
from flexkern.regularisers import output_positions, size_budget
from flexkern.windows import sizes

from ..common.digits import BATCH, EPOCHS, RATE, SIDE, digit_samples
from ..common.ledger import Ledger, Result, Runs
from ..common.options import Options, Settings
from ..common.small_flexnet import small_flexnet
from ..common.statistics import mean_and_sd
from ..common.training import Samples, Schedule, accuracy, count_samples, train
from .figure import budgets_figure

ABOUT = "what does accuracy cost if learned sizes have a budget of products?"

BUDGETS = {"none": None, "40000000": 40e6, "20000000": 20e6, "10000000": 10e6, "5000000": 5e6}
"""Products per image of all layers of learned size together, by name; they start at some 23 million."""
HORIZON = SIDE + 1
SHAPE = (1, SIDE, SIDE)
OPTIONS = Options("size_budget", tuple(BUDGETS))
add_arguments = OPTIONS.add_to


def run(options: argparse.Namespace) -> int:
    """Train what is missing, print a table, and draw the figure."""
    settings = OPTIONS.read(options)
    figure = settings.out.with_suffix(".png")
    check_figure(figure)
    budgets = train_budgets(settings)["budgets"]
    rows = [_row(entry) for entry in budgets]
    print(table(["budget", "products", "accuracy %"], rows))
    save_figure(budgets_figure(budgets), figure)
    print(f"results: {settings.out} and {figure}")
    return 0


def train_budgets(settings: Settings) -> Result:
    """Train one network per budget and seed that the results lack; write the results after every run.

    Raises:
        ValueError: the results are of other settings.
    """
    schedule = Schedule(settings.epochs or EPOCHS, BATCH, RATE)
    parts = digit_samples(settings.data_dir)
    facts = {
        "name": settings.name,
        "epochs": schedule.epochs,
        "counts": count_samples(parts),
    }
    ledger = Ledger(settings.out, facts, read=_read_budgets, summarise=_summarise)
    for seed, name in ledger.missing(settings.contestants, settings.seeds):
        outcome = _run(BUDGETS[name], parts, seed, schedule)
        ledger.add(name, outcome)
        products = f"{outcome['macs'] / 1e6:.1f} M products"
        percent = f"{100 * outcome['test']:.2f} %"
        print(f"budget {name}, seed {seed}: {percent}, {products}", flush=True)
    return ledger.result


def _run(budget: float | None, parts: Mapping[str, Samples], seed: int, schedule: Schedule) -> Result:
    make = functools.partial(small_flexnet, horizon=HORIZON)
    penalty = _penalty(budget, output_positions(make(), SHAPE))
    net = train(make, parts["train"], seed, schedule, penalty=penalty)
    return {
        "seed": seed,
        "commit": commit(),
        "validation": accuracy(net, parts["validation"]),
        "test": accuracy(net, parts["test"]),
        "macs": count_cost(net, SHAPE).macs,
        "sizes": {layer: list(size) for layer, size in sizes(net).items()},
    }


def _penalty(budget: float | None, positions: dict[str, int]) -> Callable[[nn.Module], Tensor] | None:
    if budget is None:
        return None
    return functools.partial(size_budget, macs=budget, positions=positions)


def _read_budgets(result: Result) -> Runs:
    stored = {entry["budget"]: entry["runs"] for entry in result.get("budgets", [])}
    return {name: stored[budget] for name, budget in BUDGETS.items() if budget in stored}


def _summarise(runs: Runs) -> Result:
    entries = []
    for name, budget in BUDGETS.items():
        if name in runs:
            products = mean_and_sd(runs[name], "macs")
            entry = {
                "budget": budget,
                **mean_and_sd(runs[name], "test"),
                "macs_mean": products["macs_mean"],
                "runs": runs[name],
            }
            entries.append(entry)
    return {"budgets": entries}


def _row(entry: Result) -> list[str]:
    return [
        budget_text(entry["budget"]),
        f"{entry['macs_mean'] / 1e6:.1f} M",
        f"{100 * entry['test_mean']:.2f}",
    ]


def budget_text(budget: float | None) -> str:
    """Return a number of products in millions.

    Example:
        >>> budget_text(40e6), budget_text(None)
        ('40 M', 'none')
    """
    if budget is None:
        return "none"
    return f"{budget / 1e6:g} M"
