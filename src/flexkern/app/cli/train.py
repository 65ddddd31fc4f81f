"""``flexkern train``: run a recipe, with some of its keys changed."""

from __future__ import annotations

import argparse
import itertools
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
    """Add the options that are not keys of a recipe, and list those that are in the help."""
    from ..training.recipe import recipe_keys

    keys = []
    for key, about in recipe_keys().items():
        default = "-" if about["default"] in (None, "", ()) else str(about["default"])
        keys.append([key, default, about["help"]])
    keys.append(["model.OPTION", "-", "any option of the model, such as model.width"])
    parser.epilog = f"{EXAMPLES}\n{table(['key', 'default', 'meaning'], keys)}"
    parser.add_argument("recipe", metavar="NAME|FILE.yaml", help="a recipe by name (see `flexkern recipes`) or by path")
    parser.add_argument("--resume", action="store_true", help="continue the run from its last checkpoint")
    parser.add_argument("--data-dir", "--data_dir", metavar="D", help="folder with local copies of the data")
    parser.add_argument("--out", metavar="DIR", help="the run folder (default: runs/NAME)")


def split_changes(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Split the ``--key value`` and ``--key=value`` pairs for the recipe from the other arguments."""
    others: list[str] = []
    changes: dict[str, str] = {}
    words = iter(arguments)
    for word in words:
        flag, equals, value = word.partition("=")
        if not word.startswith("--") or flag in _OWN:
            others.append(word)
            if _OWN.get(word):
                others.extend(itertools.islice(words, 1))  # its value
            continue
        if not equals:
            value = next(words, "--")
            if value.startswith("--"):
                raise ValueError(f"`{flag}` needs a value: {flag} VALUE; see `flexkern train --help`.")
        changes[flag[2:]] = value
    return others, changes


def run(options: argparse.Namespace) -> int:
    """Train, draw the learned windows, and print sizes, accuracy and the files written."""
    from ..report import draw_run
    from ..training import fit, load_recipe

    recipe = changed(load_recipe(options.recipe), options)
    if options.resume and (recipe.folder / "recipe.yaml").is_file():
        recipe = changed(
            load_recipe(recipe.folder / "recipe.yaml"), options
        )  # the keys of the run need not be repeated
    record = fit(recipe, resume=options.resume)
    print(summary(record))
    figure = draw_run(record.folder)
    print("written:")
    for path in _files(record.folder):
        print(f"  {path}")
    if figure is not None:
        print(f"The learned windows are drawn in {figure}")
    return 0


def changed(recipe: Recipe, options: argparse.Namespace) -> Recipe:
    """Return the recipe with the changes of the command line."""
    from ..training import override

    recipe = override(recipe, options.changes)
    if options.out:
        recipe = replace(recipe, out=options.out)
    if options.data_dir:
        recipe = replace(recipe, data=replace(recipe.data, dir=options.data_dir))
    return recipe


def summary(record: RunRecord) -> str:
    """Return the learned size of every layer and the accuracy as text."""
    rows = []
    for name, layer in record.layers.items():
        rows.append([name, size_text(layer["horizon"]), size_text(layer["size"])])
    sizes = ""
    if rows:
        sizes = "\n" + table(["layer", "horizon", "learned size"], rows) + "\n"
    validation = f"{100 * record.validation_accuracy:.2f} % in epoch {record.best_epoch} of {record.epochs}"
    return (
        f"{sizes}\ntest accuracy {100 * record.accuracy:.2f} % on {record.n_test:,} samples (validation {validation};"
        f" {record.parameters:,} parameters; {duration_text(record.seconds)})"
    )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
