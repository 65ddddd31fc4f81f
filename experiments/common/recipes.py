"""Training runs of recipes: where they go, what results store of a recipe, and when two recipes are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flexkern.app.training import Recipe, RunRecord, fit, override

from .options import Settings

RUNS = Path("runs")
"""Folder of all training runs, as for ``flexkern train``."""
MACHINE_KEYS = ("out", "about", "seed", "threads")
"""Keys of a recipe that belong to one run or one machine."""


def recipe_changes(settings: Settings) -> dict[str, Any]:
    """Return the keys of recipes that the options of a call change."""
    changes: dict[str, Any] = {"threads": settings.threads}
    if settings.data_dir is not None:
        changes["data.dir"] = settings.data_dir
    if settings.epochs is not None:
        changes["epochs"] = settings.epochs
    return changes


def train_recipe(recipe: Recipe, folder: Path) -> RunRecord:
    """Train a recipe in a folder for its name, seed and epochs; continue a run that was interrupted there.

    A finished run is returned as it is. A shorter try has a folder of its own.
    """
    run_folder = folder / f"{recipe.name}-{recipe.seed}-{recipe.epochs}-epochs"
    recipe = override(recipe, {"out": str(run_folder)})
    checkpoint = run_folder / "last.ckpt"
    return fit(recipe, resume=checkpoint.is_file(), progress=False)


def stored_recipe(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe without the keys that belong to one run or one machine."""
    kept = {key: value for key, value in recipe.items() if key not in MACHINE_KEYS}
    kept["data"] = {key: value for key, value in recipe["data"].items() if key != "dir"}
    return kept


def is_same_recipe(stored: dict[str, Any], recipe: Recipe) -> bool:
    """Return whether a stored recipe is this one; keys that did not exist then have their defaults."""
    before = Recipe.from_dict(stored).to_dict()
    return stored_recipe(before) == stored_recipe(recipe.to_dict())
