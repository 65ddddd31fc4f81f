"""``flexkern recipes``: what can be trained by name."""

from __future__ import annotations

import argparse

from .text import table

ABOUT = "list the recipes and the data sets, or show one recipe as YAML with all its keys"
EXAMPLES = """\
examples:
  flexkern recipes
  flexkern recipes digits
  flexkern recipes digits > my_recipe.yaml    a start for your own
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add an optional name."""
    parser.add_argument("recipe", nargs="?", metavar="NAME|FILE.yaml", help="the recipe to show")


def run(options: argparse.Namespace) -> int:
    """Print the tables, or one recipe."""
    from ..data import list_tasks
    from ..training.recipe import list_recipes, load_recipe

    if options.recipe:
        print(load_recipe(options.recipe).to_yaml(), end="")
        return 0
    rows = []
    for name in list_recipes():
        recipe = load_recipe(name)
        rows.append([recipe.name, recipe.data.name, recipe.model.name, recipe.about])
    print(table(["name", "task", "model", "what it reaches"], rows))
    print()
    print(table(["data set", "what it is"], [list(item) for item in list_tasks().items()]))
    return 0
