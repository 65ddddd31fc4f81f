"""How much memory a piece of work needs on top of what is there: from the kernel's own high-water mark (Linux)."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_Result = TypeVar("_Result")
_PROCESS = Path("/proc/self")


def peak_memory(run: Callable[[], _Result]) -> tuple[_Result, int | None]:
    """Result of ``run`` and the bytes of resident memory that it took at its peak; None where unknown."""
    _return_free_memory()
    before = _status("VmRSS") if _reset_peak() else None
    result = run()
    peak = _status("VmHWM")
    return result, None if before is None or peak is None else max(peak - before, 0)


def _reset_peak() -> bool:
    """Starts the high-water mark anew; whether this system lets us."""
    try:
        (_PROCESS / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status(name: str) -> int | None:
    """One entry of /proc/self/status in bytes."""
    try:
        lines = (_PROCESS / "status").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return 1024 * int(found[0]) if found else None


def _return_free_memory() -> None:
    """Memory that the allocator kept would be taken again unnoticed."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError, TypeError):  # not the GNU library: a little less is seen
        return
