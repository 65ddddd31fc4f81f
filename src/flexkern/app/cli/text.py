"""What all commands share: the argument parser, tables, sizes and durations as text."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from importlib import metadata
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """Keeps line breaks in help texts, takes no abbreviations, raises instead of exiting."""

    def __init__(self, prog: str, description: str = "", epilog: str = "", **options: Any) -> None:
        options |= {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
        super().__init__(prog, description=description, epilog=epilog, **options)

    def error(self, message: str) -> NoReturn:
        """Raises ``ValueError``, which ``main`` prints in one line."""
        raise ValueError(f"{message}; see `{self.prog} --help`.")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Left-aligned columns under a header and a rule.

    Example:
        >>> print(table(["layer", "size"], [["stem", "7 x 5"]]))
        layer  size
        -----  -----
        stem   7 x 5
    """
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def size_text(size: Sequence[int]) -> str:
    """``(7, 5)`` -> ``7 x 5``."""
    return " x ".join(str(extent) for extent in size)


def duration_text(seconds: float) -> str:
    """``125`` -> ``2 min 5 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (rest, "s")]
    return " ".join(f"{value} {unit}" for value, unit in parts if value) or f"{seconds:.1f} s"


def version() -> str:
    """Version of the installed package."""
    try:
        return metadata.version("flexkern")
    except metadata.PackageNotFoundError:
        return "(not installed)"
