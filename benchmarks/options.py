"""Options that all benchmarks share."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

RESULTS = Path("benchmarks", "results")
"""Folder of the results, in a clone of the repository."""


def add_shared_options(parser: argparse.ArgumentParser) -> None:
    """Add the number of threads and rounds, and the file of results."""
    parser.add_argument("--threads", type=int, metavar="T", help="threads of torch")
    parser.add_argument("--rounds", type=int, default=5, metavar="R", help="rounds (5; three times as many below 5 ms)")
    parser.add_argument("--out", metavar="FILE", help=f"results, continued if the file exists (in {RESULTS})")


def apply_shared_options(options: argparse.Namespace) -> None:
    """Set the number of threads.

    Raises:
        ValueError: for a number that is not positive.
    """
    for name in ("threads", "rounds", "every"):
        value = getattr(options, name, None)
        if value is not None and value < 1:
            raise ValueError(f"`--{name}` must be positive, got {value}.")
    if options.threads:
        torch.set_num_threads(options.threads)


def names_in(text: str) -> list[str]:
    """Split a list of names such as ``auto,torch``."""
    return [name for name in text.split(",") if name]


def say(text: str) -> None:
    """Print a line of progress at once."""
    print(text, flush=True)
