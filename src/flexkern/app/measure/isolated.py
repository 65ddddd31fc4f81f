"""Run work in a process of its own, so that its memory can be measured."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

_Result = TypeVar("_Result")

MAP_THRESHOLD = "MALLOC_MMAP_THRESHOLD_"
"""Environment variable of the GNU C library: larger blocks are mapped separately and unmapped when freed."""


def in_own_process(work: Callable[..., _Result], *arguments: object) -> _Result:
    """Return ``work(*arguments)`` computed in a new process.

    The process returns freed memory at once: what an allocator keeps for later varies from run to run.
    """
    before = os.environ.get(MAP_THRESHOLD)
    os.environ[MAP_THRESHOLD] = str(2**20)
    try:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            return pool.submit(work, *arguments).result()  # raises if the process was killed
    finally:
        os.environ.pop(MAP_THRESHOLD)
        if before is not None:
            os.environ[MAP_THRESHOLD] = before
