"""Work in a process of its own, whose memory is its own."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

_Result = TypeVar("_Result")

RETURN_AT_ONCE = "MALLOC_MMAP_THRESHOLD_"
"""Environment variable of the GNU C library: larger blocks are mapped by themselves and unmapped when freed."""


def in_own_process(work: Callable[..., _Result], *arguments: object) -> _Result:
    """``work(*arguments)`` in a new process.

    It gives freed memory back at once: what an allocator keeps for later varies from run to run.
    """
    before = os.environ.get(RETURN_AT_ONCE)
    os.environ[RETURN_AT_ONCE] = str(2**20)
    try:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            return pool.submit(work, *arguments).result()  # an error if the process was killed
    finally:
        os.environ.pop(RETURN_AT_ONCE)
        if before is not None:
            os.environ[RETURN_AT_ONCE] = before
