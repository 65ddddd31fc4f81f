"""Turn errors that users can fix into one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

USER_ERRORS = (ValueError, OSError, ImportError)


def run_command(program: str, command: Callable[[], int], *, interrupted: str = "") -> int:
    """Run ``command`` and return its exit code: its own, 2 after a user error, or 130 when interrupted.

    Set FLEXKERN_TRACEBACK=1 to see where a user error was raised.

    Args:
        program: name that begins the message.
        command: returns 0, or 1 if a check failed.
        interrupted: a hint printed when the user interrupts the command.
    """
    try:
        return command()
    except KeyboardInterrupt:
        print(f"\n{program}: interrupted; {interrupted}".rstrip("; "), file=sys.stderr)
        return 130
    except USER_ERRORS as error:
        if os.environ.get("FLEXKERN_TRACEBACK"):
            raise
        print(f"{program}: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
