"""The known name that is nearest to a misspelt one, for error messages."""

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a message: ``"; did you mean 'magnet'?"``, or a full stop if no known name is near.

    Example:
        >>> did_you_mean("magnett", ["magnet", "siren"])
        "; did you mean 'magnet'?"
    """
    matches = difflib.get_close_matches(word, list(known), 1)
    if not matches:
        return "."
    return f"; did you mean {matches[0]!r}?"
