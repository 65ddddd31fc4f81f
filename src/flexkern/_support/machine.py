"""The name of this machine's processor."""

import functools
import platform
from pathlib import Path


@functools.cache
def processor_name() -> str:
    """Return the name that the operating system reports, such as ``AMD EPYC 7763 64-Core Processor``."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
