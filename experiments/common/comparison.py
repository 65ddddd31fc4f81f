"""Comparisons of recipes: every contestant trained under one recipe, then accuracy beside what its model costs."""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flexkern._support.atomic import write_json
from flexkern.app.training import Recipe, fit, load_recipe, override
from flexkern.app.training.record import write_result

from .costs import measure_costs

Result = dict[str, Any]


@dataclass(frozen=True)
class Contestant:
    """A recipe of the package with some keys changed."""

    recipe: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""


@dataclass(frozen=True)
class Comparison:
    """Contestants on one task.

    Args:
        name: of the comparison; its results are ``results/NAME.json``.
        shape: of one sample (C, *S).
        thresholds: validation accuracies whose first epoch is noted.
        contestants: by name.
    """

    name: str
    shape: tuple[int, ...]
    thresholds: tuple[float, ...]
    contestants: Mapping[str, Contestant]


def reproduce_comparison(
    comparison: Comparison,
    out: str | Path,
    *,
    only: Sequence[str] = (),
    seeds: Sequence[int] = (0, 1, 2),
    changes: Mapping[str, Any] | None = None,
    runs: str | Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Result:
    """Trains what ``out`` does not hold yet, then measures what the models cost; writes ``out`` after every run.

    Args:
        only: names of contestants; all by default.
        changes: of the recipes, for all contestants ("data.dir", "epochs" ...).
        runs: where the training runs go, by default runs/NAME; an interrupted one is continued.

    Raises:
        ValueError: for an unknown contestant, or if ``out`` holds runs of another recipe.
    """
    known, out = comparison.contestants, Path(out)
    for name in only:
        if name not in known:
            raise ValueError(f"unknown contestant {name}; known: {', '.join(known)}.")
    for seed in seeds:
        for name in only or known:
            recipe = recipe_of(known[name], name, seed, changes or {})
            if not _is_done(comparison, out, name, recipe):
                run = train(recipe, Path(runs or Path("runs") / comparison.name), comparison.thresholds)
                add_run(comparison, out, name, run)
                say(f"{name}, seed {seed}: {100 * run['accuracy']:.2f} % in {run['seconds'] / 60:.0f} min")
    return finish(comparison, out)


def recipe_of(contestant: Contestant, name: str, seed: int, changes: Mapping[str, Any]) -> Recipe:
    """The contestant's recipe; ``changes`` go last."""
    return override(load_recipe(contestant.recipe), {**contestant.changes, **changes, "seed": seed, "name": name})


def train(recipe: Recipe, runs: Path, thresholds: Sequence[float]) -> Result:
    """One run; what is kept of it."""
    folder = runs / f"{recipe.name}-{recipe.seed}-{recipe.epochs}-epochs"  # a shorter try is another run
    recipe = override(recipe, {"out": str(folder)})
    record = fit(recipe, resume=(folder / "last.ckpt").is_file(), progress=False)
    kept = ("accuracy", "validation_accuracy", "best_epoch", "epochs", "seconds", "n_train", "n_validation", "n_test")
    found = {key: getattr(record, key) for key in kept}
    run = {"seed": recipe.seed, **found, "epochs_to": epochs_to_reach(folder, thresholds)}
    return {**run, "commit": record.commit, "threads": record.machine["threads"], "recipe": _stated(record.recipe)}


def epochs_to_reach(folder: Path, thresholds: Sequence[float]) -> dict[str, int | None]:
    """The first epoch whose validation accuracy is at or above each threshold; None where none is."""
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        reached = [float(row["accuracy/validation"]) for row in csv.DictReader(file)]
    first = {limit: next((i for i, value in enumerate(reached, 1) if value >= limit), None) for limit in thresholds}
    return {f"{100 * limit:g} %": epoch for limit, epoch in first.items()}


def add_run(comparison: Comparison, out: Path, name: str, run: Result) -> None:
    """Reads, adds, writes."""
    result, about = read(comparison, out), comparison.contestants[name].about
    result["contestants"].setdefault(name, {"about": about, "runs": []})["runs"].append(run)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, result)


def read(comparison: Comparison, out: Path) -> Result:
    """The results so far."""
    if not out.is_file():
        return {"name": comparison.name, "contestants": {}}
    found = json.loads(out.read_text(encoding="utf-8"))
    if found.get("name") != comparison.name or "contestants" not in found:
        raise ValueError(f"{out} is not a file of {comparison.name}; give another `--out`.")
    return dict(found)


def finish(comparison: Comparison, out: Path) -> Result:
    """Adds means, what the models cost, and how all was obtained."""
    result = read(comparison, out)
    models = {name: _model_of(entry) for name, entry in result["contestants"].items()}
    costs = measure_costs(models, comparison.shape)
    for name, entry in result["contestants"].items():
        values = [run["accuracy"] for run in entry["runs"]]
        spread = statistics.stdev(values) if len(values) > 1 else None
        entry["about"] = comparison.contestants[name].about  # as it is called now
        entry.update(accuracy_mean=statistics.mean(values), accuracy_sd=spread, **costs[name])
    return write_result(out, result)


def _model_of(entry: Result) -> tuple[str, Result]:
    options = dict(entry["runs"][0]["recipe"]["model"])
    return options.pop("name"), options


def _is_done(comparison: Comparison, out: Path, name: str, recipe: Recipe) -> bool:
    """Whether the results hold this run; it must have been of the same recipe."""
    for run in read(comparison, out)["contestants"].get(name, {"runs": []})["runs"]:
        if run["seed"] == recipe.seed:
            before = Recipe.from_dict(run["recipe"])  # with the defaults of settings that did not exist then
            if _stated(before.to_dict()) != _stated(recipe.to_dict()):
                raise ValueError(f"{out} holds {name}, seed {recipe.seed}, of another recipe; give another `--out`.")
            return True
    return False


def _stated(recipe: Result) -> Result:
    """The recipe without what belongs to one machine."""
    kept = {key: value for key, value in recipe.items() if key not in ("out", "about", "seed", "threads")}
    return {**kept, "data": {key: value for key, value in kept["data"].items() if key != "dir"}}
