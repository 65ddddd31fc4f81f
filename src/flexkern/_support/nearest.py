"""The nearest known name, for error messages."""

import difflib
from collections.abc import Iterable

CUTOFF = 0.6
"""Least similarity of a name that is suggested, as in `difflib.get_close_matches`."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a message: ``"; did you mean 'magnet'?"``, or a full stop if no known name is near.

    Example:
        >>> did_you_mean("magnett", ["magnet", "siren"])
        "; did you mean 'magnet'?"
    """
    suggestion = nearest(word, known)
    if suggestion is None:
        return "."
    return f"; did you mean {suggestion!r}?"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the most similar known name, or None if no name is near.

    Dotted names are compared by their last part first, so that an omitted or wrong section is found.

    Example:
        >>> nearest("lr", ["data.dir", "optimiser.lr"])
        'optimiser.lr'
    """
    last_part = word.rpartition(".")[2]
    best_name = None
    best_score = (0.0, 0.0)
    for name in known:
        score = (_similarity(last_part, name.rpartition(".")[2]), _similarity(word, name))
        if score > best_score:
            best_name = name
            best_score = score
    if max(best_score) < CUTOFF:
        return None
    return best_name


def _similarity(word: str, name: str) -> float:
    return difflib.SequenceMatcher(None, word, name).ratio()
