"""Facts about the machine."""

import functools
import platform
from pathlib import Path


@functools.cache
def processor_name() -> str:
    """Return the name of the processor as the operating system reports it.

    Example:
        >>> processor_name() != ""
        True
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
