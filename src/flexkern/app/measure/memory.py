"""Measure the peak memory of a piece of work by the kernel's own high-water mark (Linux)."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_Result = TypeVar("_Result")
_PROCESS = Path("/proc/self")


def peak_memory(run: Callable[[], _Result]) -> tuple[_Result, int | None]:
    """Return the result of ``run`` and the resident bytes it needed at its peak, or None where that is unknown."""
    _return_free_memory()
    before = _status("VmRSS") if _reset_peak() else None
    result = run()
    peak = _status("VmHWM")
    if before is None or peak is None:
        return result, None
    return result, max(peak - before, 0)


def _reset_peak() -> bool:
    """Reset the high-water mark; return whether the system allows it."""
    try:
        (_PROCESS / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status(name: str) -> int | None:
    """Return one entry of /proc/self/status in bytes, or None where it is missing."""
    try:
        lines = (_PROCESS / "status").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(f"{name}:"):
            kibibytes = line.split()[1]
            return 1024 * int(kibibytes)
    return None


def _return_free_memory() -> None:
    """Return free memory to the system: the allocator would reuse it without raising the peak."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError, TypeError):  # not the GNU library: reused memory stays invisible
        return
