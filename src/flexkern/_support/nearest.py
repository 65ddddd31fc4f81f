"""The nearest known name, for error messages."""

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message: ``"; did you mean 'magnet'?"``, or a full stop where nothing known is near.

    Example:
        >>> did_you_mean("magnett", ["magnet", "siren"])
        "; did you mean 'magnet'?"
    """
    found = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {found[0]!r}?" if found else "."
