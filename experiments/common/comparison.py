"""Comparisons of recipes: contestants are trained under one recipe, then accuracy is set against costs."""

from __future__ import annotations

import csv
import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flexkern.app.cli.text import table
from flexkern.app.training import Recipe, load_recipe, override

from .costs import model_costs
from .ledger import Ledger, Result, Runs, read_entries
from .options import Settings
from .recipes import RUNS, is_same_recipe, recipe_changes, stored_recipe, train_recipe
from .statistics import mean_and_sd

KEPT = (
    "accuracy",
    "validation_accuracy",
    "best_epoch",
    "epochs",
    "seconds",
    "n_train",
    "n_validation",
    "n_test",
)
"""Facts of a run record that the results store."""


@dataclass(frozen=True)
class Contestant:
    """A recipe of the package with some keys changed."""

    recipe: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""

    def make_recipe(self, name: str, seed: int, changes: Mapping[str, Any]) -> Recipe:
        """Return the recipe; ``changes`` go last."""
        keys = {**self.changes, **changes, "seed": seed, "name": name}
        return override(load_recipe(self.recipe), keys)


@dataclass(frozen=True)
class Comparison:
    """Contestants on one task.

    Args:
        shape: of one sample (C, *S).
        thresholds: validation accuracies whose first epoch is noted.
        contestants: by name.
    """

    shape: tuple[int, ...]
    thresholds: tuple[float, ...]
    contestants: Mapping[str, Contestant]


def run_comparison(comparison: Comparison, settings: Settings) -> int:
    """Train what is missing, measure what the models cost, print a table, and return the exit code."""
    result = compare_recipes(comparison, settings)
    header = ["contestant", "accuracy %", "seeds", "parameters", "MACs", "ms"]
    print(table(header, [_row(name, entry) for name, entry in result["contestants"].items()]))
    print(f"results: {settings.out}")
    return 0


def compare_recipes(
    comparison: Comparison,
    settings: Settings,
    *,
    changes: Mapping[str, Any] | None = None,
    runs: Path = RUNS,
) -> Result:
    """Train what the results lack, then measure what the models cost; write the results after every run.

    Args:
        comparison: the contestants.
        settings: options of the call.
        changes: keys of all recipes that are changed besides.
        runs: parent of the folder of the training runs.

    Raises:
        ValueError: the results have runs of another recipe.
    """
    all_changes = {**recipe_changes(settings), **(changes or {})}
    ledger = Ledger(
        settings.out,
        {"name": settings.name},
        read=functools.partial(read_entries, group="contestants"),
        summarise=functools.partial(_summarise, contestants=comparison.contestants),
    )
    recipes = {}
    for seed, name in itertools.product(settings.seeds, settings.contestants):
        recipe = comparison.contestants[name].make_recipe(name, seed, all_changes)
        _check_stored(ledger, recipe)
        recipes[seed, name] = recipe
    missing = ledger.missing(settings.contestants, settings.seeds)
    for seed, name in missing:
        run = _run(recipes[seed, name], runs / settings.name, comparison.thresholds)
        ledger.add(name, run)
        print(f"{name}, seed {seed}: {_percent(run['accuracy'])} % in {run['seconds'] / 60:.0f} min", flush=True)
    if missing or not _has_costs(ledger.result):
        _measure(comparison, ledger)
    return ledger.result


def _check_stored(ledger: Ledger, recipe: Recipe) -> None:
    """Refuse a stored run of the same contestant and seed, but another recipe."""
    stored = ledger.find(recipe.name, recipe.seed)
    if stored is not None and not is_same_recipe(stored["recipe"], recipe):
        raise ValueError(
            f"{ledger.out} has {recipe.name}, seed {recipe.seed}, of another recipe: give another `--out`."
        )


def _has_costs(result: Result) -> bool:
    return all("latency" in entry for entry in result["contestants"].values())


def _run(recipe: Recipe, folder: Path, thresholds: Sequence[float]) -> Result:
    """Train a recipe and return what the results store of the run."""
    record = train_recipe(recipe, folder)
    run: Result = {"seed": recipe.seed}
    for key in KEPT:
        run[key] = getattr(record, key)
    run["epochs_to"] = epochs_to_reach(record.folder, thresholds)
    run["commit"] = record.commit
    run["threads"] = record.machine["threads"]
    run["recipe"] = stored_recipe(record.recipe)
    return run


def epochs_to_reach(folder: Path, thresholds: Iterable[float]) -> dict[str, int | None]:
    """Return the first epoch whose validation accuracy is at or above each threshold, or None."""
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        accuracies = [float(row["accuracy/validation"]) for row in csv.DictReader(file)]
    epochs: dict[str, int | None] = {}
    for threshold in thresholds:
        reached = (epoch for epoch, accuracy in enumerate(accuracies, 1) if accuracy >= threshold)
        epochs[f"{100 * threshold:g} %"] = next(reached, None)
    return epochs


def _summarise(runs: Runs, contestants: Mapping[str, Contestant]) -> Result:
    entries = {}
    for name, contestant in contestants.items():
        if name in runs:
            entries[name] = {
                "about": contestant.about,
                "runs": runs[name],
                **mean_and_sd(runs[name], "accuracy"),
            }
    return {"contestants": entries}


def _measure(comparison: Comparison, ledger: Ledger) -> None:
    """Measure the costs of all models in the results, and write them."""
    entries = _summarise(ledger.runs, comparison.contestants)["contestants"]
    models = {}
    for name, entry in entries.items():
        options = dict(entry["runs"][0]["recipe"]["model"])
        models[name] = (options.pop("name"), options)
    costs = model_costs(models, comparison.shape)
    summaries = {name: {**entry, **costs[name]} for name, entry in entries.items()}
    ledger.write({"contestants": summaries})


def _row(name: str, entry: Result) -> list[str]:
    accuracy = _percent(entry["accuracy_mean"])
    if entry["accuracy_sd"] is not None:
        accuracy += f" +- {_percent(entry['accuracy_sd'])}"
    return [
        name,
        accuracy,
        str(len(entry["runs"])),
        f"{entry['parameters']:,}",
        f"{entry['macs']:,}",
        f"{1e3 * entry['latency']:.2f}",
    ]


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f}"
