"""The experiments: their names, their folders, and what the program of each provides."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Protocol

from flexkern._support.nearest import did_you_mean

FOLDER = Path(__file__).parents[1]


class Experiment(Protocol):
    """Contents of the file ``run.py`` of an experiment."""

    ABOUT: str
    """The question, in one line."""

    def add_arguments(self, parser: argparse.ArgumentParser, /) -> None:
        """Add the options of the experiment to its parser."""

    def run(self, options: argparse.Namespace, /) -> int:
        """Compute what is missing, write the result, print a table, and return the exit code."""


def experiment_names() -> list[str]:
    """Return the names of the folders that have a program.

    Example:
        >>> "fixed_sizes" in experiment_names()
        True
    """
    return sorted(path.parent.name for path in FOLDER.glob("*/run.py"))


def dashed(name: str) -> str:
    """Return the name of an experiment as the command line and the results write it.

    Example:
        >>> dashed("fixed_sizes_1d")
        'fixed-sizes-1d'
    """
    return name.replace("_", "-")


def load_experiment(name: str) -> Experiment:
    """Return the program of an experiment.

    Args:
        name: its folder, or the same with dashes.

    Raises:
        ValueError: there is no such experiment.
    """
    folder = name.replace("-", "_")
    known = experiment_names()
    if folder not in known:
        names = [dashed(each) for each in known]
        raise ValueError(f"unknown experiment `{name}`; known: {', '.join(names)}{did_you_mean(name, names)}")
    program: Experiment = importlib.import_module(f"experiments.{folder}.run")
    return program


def result_path(name: str) -> Path:
    """Return the committed result of an experiment.

    Example:
        >>> result_path("fixed-sizes").parts[-2:]
        ('fixed_sizes', 'result.json')
    """
    return FOLDER / name.replace("-", "_") / "result.json"
