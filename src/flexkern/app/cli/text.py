"""Shared by all commands: the argument parser, and tables, sizes and durations as text."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from importlib import metadata
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """A parser that keeps line breaks in help texts, refuses abbreviations and raises instead of exiting."""

    def __init__(self, prog: str, description: str = "", epilog: str = "", **options: Any) -> None:
        options |= {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
        super().__init__(prog, description=description, epilog=epilog, **options)

    def error(self, message: str) -> NoReturn:
        """Raise a ValueError, which ``main`` prints in one line."""
        raise ValueError(f"{message}; see `{self.prog} --help`.")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return left-aligned columns under a header and a rule.

    Example:
        >>> print(table(["layer", "size"], [["stem", "7 x 5"]]))
        layer  size
        -----  -----
        stem   7 x 5
    """
    cells = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    lines = []
    for row in cells:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def size_text(size: Sequence[int]) -> str:
    """Return ``7 x 5`` for ``(7, 5)``."""
    return " x ".join(str(extent) for extent in size)


def duration_text(seconds: float) -> str:
    """Return ``2 min 5 s`` for 125."""
    minutes, full_seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    amounts = [(hours, "h"), (minutes, "min"), (full_seconds, "s")]
    return " ".join(f"{value} {unit}" for value, unit in amounts if value) or f"{seconds:.1f} s"


def version() -> str:
    """Return the version of the installed package."""
    try:
        return metadata.version("flexkern")
    except metadata.PackageNotFoundError:
        return "(not installed)"
