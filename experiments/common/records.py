"""Results of plain training runs: a recipe is trained once per seed, and its records become one result."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from flexkern.app.cli.text import table
from flexkern.app.training import Recipe, RunRecord, load_recipe, override
from flexkern.app.training.record import machine, versions

from .ledger import Ledger, Result, Runs
from .options import Settings
from .recipes import RUNS, is_same_recipe, recipe_changes, stored_recipe, train_recipe
from .statistics import mean_and_sd

KEPT = (
    "seed",
    "accuracy",
    "validation_accuracy",
    "epochs",
    "best_epoch",
    "seconds",
    "command",
    "commit",
    "written",
)
"""Facts of a record that belong to one seed."""
SHARED = ("task", "n_train", "n_validation", "n_test", "parameters", "versions", "machine")
"""Facts of a record that all runs share."""


def run_recipe(recipe_name: str, settings: Settings, *, runs: Path = RUNS) -> int:
    """Train a recipe for the seeds that the results lack, print a table, and return the exit code."""
    result = train_seeds(recipe_name, settings, runs=runs)
    rows = []
    for run in result["runs"]:
        rows.append([str(run["seed"]), f"{100 * run['accuracy']:.2f}", f"{run['seconds'] / 60:.0f}"])
    print(table(["seed", "accuracy %", "minutes"], rows))
    print(f"results: {settings.out}")
    return 0


def train_seeds(recipe_name: str, settings: Settings, *, runs: Path = RUNS) -> Result:
    """Train a recipe for the seeds that the results lack; write the results after every run.

    Runs that lie in the folder of the training runs are continued, or taken as they are if they are finished.

    Raises:
        ValueError: the results are of another recipe, machine or set of versions.
    """
    ledger = Ledger(
        settings.out,
        {"name": settings.name},
        read=functools.partial(_read_runs, name=settings.name),
        summarise=functools.partial(_summarise, name=settings.name),
    )
    changes = recipe_changes(settings)
    for seed, name in ledger.missing([settings.name], settings.seeds):
        recipe = override(load_recipe(recipe_name), {**changes, "seed": seed, "name": name})
        _check_shared(ledger, recipe)
        record = train_recipe(recipe, runs / name)
        ledger.result.update(_shared(record))
        ledger.add(name, _run(record))
        print(f"{name}, seed {seed}: {100 * record.accuracy:.2f} %", flush=True)
    return ledger.result


def _read_runs(result: Result, name: str) -> Runs:
    return {name: result.get("runs", [])}


def _summarise(runs: Runs, name: str) -> Result:
    return {**mean_and_sd(runs[name], "accuracy"), "runs": runs[name]}


def _check_shared(ledger: Ledger, recipe: Recipe) -> None:
    """Refuse to add a run to results that have nothing in common with it."""
    stored = ledger.result
    if "recipe" not in stored:
        return
    if not is_same_recipe(stored["recipe"], recipe):
        raise ValueError(f"{ledger.out} is of another recipe: give another `--out`.")
    if stored["machine"] != machine() or stored["versions"] != versions():
        raise ValueError(f"{ledger.out} is of another machine or other versions: give another `--out`.")


def _shared(record: RunRecord) -> Result:
    facts = {key: getattr(record, key) for key in SHARED}
    return {**facts, "recipe": stored_recipe(record.recipe)}


def _run(record: RunRecord) -> Result:
    """Return what belongs to one seed; the command without the folder of its data."""
    run = {key: getattr(record, key) for key in KEPT}
    run["command"] = re.sub(r"--data-dir \S+", "--data-dir DIR", record.command)
    run["sizes"] = {layer: "x".join(map(str, shape["size"])) for layer, shape in record.layers.items()}
    return run
