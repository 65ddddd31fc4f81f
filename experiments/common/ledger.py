"""Results that are written after every run, so that a comparison goes on where it was interrupted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .trial import Result


def earlier(out: str | Path, settings: Mapping[str, Any]) -> Result:
    """What an earlier call with the same settings wrote to ``out``; empty if there was none.

    Raises:
        ValueError: ``out`` is of other settings, or not readable as results.

    Example:
        >>> earlier("nowhere.json", {"epochs": 4})
        {}
    """
    if not Path(out).is_file():
        return {}
    try:
        stored = json.loads(Path(out).read_text(encoding="utf-8"))
        same = all(stored.get(key) == value for key, value in json.loads(json.dumps(settings)).items())
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{out} does not hold results ({error}): give another `--out`.") from None
    if not same:
        raise ValueError(f"{out} holds a comparison of other settings: give another `--out`.")
    return dict(stored)
