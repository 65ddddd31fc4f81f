"""``flexkern train``: a recipe, some changed keys, a run."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .text import duration_text, size_text, table

if TYPE_CHECKING:
    from ..training import Recipe, RunRecord

ABOUT = "train a recipe; everything is written to runs/NAME"
EXAMPLES = """\
Every key of a recipe can be changed with --key value; `flexkern recipes NAME` shows a recipe with its keys.
Keys of the sections data and optimiser may be shortened (--lr for --optimiser.lr).

examples:
  flexkern train digits
  flexkern train digits --epochs 5 --model.width 8 --lr 2e-3
  flexkern train mnist-flexnet --data-dir ~/data/mnist
  flexkern train my_recipe.yaml --seed 1 --out runs/second
  flexkern train digits --resume
"""

_OWN = {"--resume": False, "--data-dir": True, "--data_dir": True, "--out": True, "--help": False}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that are not keys of a recipe, and the table of those that are."""
    from ..training.recipe import recipe_keys

    keys = []
    for key, about in recipe_keys().items():
        default = about["default"]
        keys.append([key, "-" if default in (None, "", ()) else str(default), about["help"]])
    keys.append(["model.OPTION", "-", "any option of the model, such as model.width"])
    parser.epilog = f"{EXAMPLES}\n{table(['key', 'default', 'meaning'], keys)}"
    parser.add_argument("recipe", metavar="NAME|FILE.yaml", help="a recipe by name (see `flexkern recipes`) or by path")
    parser.add_argument("--resume", action="store_true", help="continue the run from its last checkpoint")
    parser.add_argument("--data-dir", "--data_dir", metavar="D", help="folder with local copies of the data")
    parser.add_argument("--out", metavar="DIR", help="the run folder (default: runs/NAME)")


def split_changes(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Takes the ``--key value`` and ``--key=value`` pairs for the recipe out of the command line."""
    rest: list[str] = []
    changes: dict[str, str] = {}
    words = iter(arguments)
    for word in words:
        flag, equals, value = word.partition("=")
        if not word.startswith("--") or flag in _OWN:
            rest.append(word)
            if _OWN.get(word):
                rest.extend(item for item in [next(words, None)] if item is not None)
            continue
        if not equals:
            value = next(words, "--")
            if value.startswith("--"):
                raise ValueError(f"`{flag}` needs a value: {flag} VALUE; see `flexkern train --help`.")
        changes[flag[2:]] = value
    return rest, changes


def run(options: argparse.Namespace) -> int:
    """Trains, draws the learned windows, and prints the sizes, the accuracy and what was written."""
    from ..report import draw_run
    from ..training import fit, load_recipe

    recipe = changed(load_recipe(options.recipe), options)
    if options.resume and (recipe.folder / "recipe.yaml").is_file():
        recipe = changed(load_recipe(recipe.folder / "recipe.yaml"), options)  # its own keys need not be repeated
    record = fit(recipe, resume=options.resume)
    print(summary(record))
    draw_run(record.folder)
    print("written:", *(f"\n  {path}" for path in _files(record.folder)), sep="")
    return 0


def changed(recipe: Recipe, options: argparse.Namespace) -> Recipe:
    """The recipe with what the command line changes."""
    from ..training import override

    recipe = override(recipe, options.changes)
    if options.out:
        recipe = replace(recipe, out=options.out)
    return replace(recipe, data=replace(recipe.data, dir=options.data_dir)) if options.data_dir else recipe


def summary(record: RunRecord) -> str:
    """The learned size of every layer, and the accuracy."""
    rows = [[name, size_text(found["horizon"]), size_text(found["size"])] for name, found in record.layers.items()]
    sizes = "\n" + table(["layer", "horizon", "learned size"], rows) + "\n" if rows else ""
    chosen = f"{100 * record.validation_accuracy:.2f} % in epoch {record.best_epoch} of {record.epochs}"
    return (
        f"{sizes}\ntest accuracy {100 * record.accuracy:.2f} % on {record.n_test:,} samples (validation {chosen};"
        f" {record.parameters:,} parameters; {duration_text(record.seconds)})"
    )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
