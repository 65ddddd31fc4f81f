"""Compare run times on a noisy machine: contestants take turns, so that disturbances hit all of them alike."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Run = Callable[[], Any]

ROUNDS = 5
ROUND_SECONDS = 2e-3
"""Shortest duration of a round: shorter work is repeated, because clocks and caches are noisy below this."""
SHORT = 5e-3
"""Seconds of the fastest contestant below which there are SHORT_FACTOR times the rounds: short runs are noisier."""
SHORT_FACTOR = 3
SLOW = 1.0
"""Seconds above which a run is timed twice only."""
VERY_SLOW = 5.0
"""Seconds above which the warm-up is the only timing."""
WARM_AGAIN = 0.1
"""Seconds below which every round begins with an untimed run: the previous contestant has filled the caches."""
BEHIND = 5.0
"""A run this many times slower than the fastest, and longer than BEHIND_SECONDS, is timed twice only."""
BEHIND_SECONDS = 0.02
BEHIND_LIMIT = 0.3
"""Seconds above which the warm-up of such a run is its only timing."""


@dataclass(frozen=True)
class Timing:
    """Seconds of one run: median and interquartile range over ``rounds``, each the mean of ``repeats`` runs."""

    seconds: float
    iqr: float
    rounds: int
    repeats: int


def interleave(
    runs: Mapping[str, Run], first: Mapping[str, float], rounds: int = ROUNDS, *, give_up: bool = True
) -> dict[str, Timing]:
    """Time all runs in turns, A B C B C A ...

    Args:
        runs: the contestants by name.
        first: seconds of a warm-up of each.
        rounds: rounds per contestant; more where the fastest is short.
        give_up: save rounds of contestants far behind the fastest.

    Example:
        >>> sorted(interleave({"a": list, "b": dict}, {"a": 1e-3, "b": 1e-3}))
        ['a', 'b']
    """
    names = list(runs)
    fastest = min(first.values(), default=0.0) if give_up else math.inf
    turns = _turns(first, names, rounds, fastest)
    repeats = {name: max(1, math.ceil(ROUND_SECONDS / max(first[name], 1e-6))) for name in names}
    samples: dict[str, list[float]] = {name: [] for name in names}
    with garbage_collection_off():
        for turn in range(max(turns.values(), default=0)):
            for name in rotated(names, turn):
                if turn >= turns[name]:
                    continue
                if first[name] < WARM_AGAIN and not is_behind(first[name], fastest):
                    runs[name]()
                samples[name].append(time_runs(runs[name], repeats[name]))
    return {name: summarise(samples[name] or [first[name]], repeats[name]) for name in names}


def _turns(first: Mapping[str, float], names: list[str], rounds: int, fastest: float) -> dict[str, int]:
    """Return the number of timed rounds of every contestant."""
    turns = {name: rounds_for(first[name], fastest, rounds) for name in names}
    if min(first.values(), default=SHORT) >= SHORT:
        return turns
    # All contestants that get every round get more of them, so that disturbances still hit all alike.
    return {name: number * SHORT_FACTOR if number == rounds else number for name, number in turns.items()}


def rotated(names: list[str], turn: int) -> list[str]:
    """Return the names rotated by ``turn``, so that another contestant begins each turn.

    Example:
        >>> rotated(["a", "b", "c"], 1)
        ['b', 'c', 'a']
    """
    first = turn % max(len(names), 1)
    return names[first:] + names[:first]


def rounds_for(seconds: float, fastest: float, rounds: int = ROUNDS) -> int:
    """Return the rounds for a run whose warm-up took ``seconds``; 0 if the warm-up is its only timing.

    Example:
        >>> rounds_for(0.1, 0.1), rounds_for(0.1, 0.01), rounds_for(2, 2), rounds_for(6, 1)
        (5, 2, 2, 0)
    """
    behind = is_behind(seconds, fastest)
    limit = BEHIND_LIMIT if behind else VERY_SLOW
    if seconds > limit:
        return 0
    if behind or seconds > SLOW:
        return min(2, rounds)
    return rounds


def is_behind(seconds: float, fastest: float) -> bool:
    """Return whether a run is so much slower than the fastest that more rounds would not change its place."""
    return seconds > max(BEHIND_SECONDS, BEHIND * fastest)


def time_runs(run: Run, repeats: int = 1) -> float:
    """Return the mean seconds of one run."""
    began = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - began) / repeats


def summarise(samples: list[float], repeats: int = 1) -> Timing:
    """Return median and interquartile range; the range of a single sample is 0."""
    spread = 0.0
    if len(samples) > 1:
        low, _, high = statistics.quantiles(samples, n=4, method="inclusive")
        spread = high - low
    return Timing(statistics.median(samples), spread, len(samples), repeats)


@contextmanager
def garbage_collection_off() -> Iterator[None]:
    """Collect garbage once, then not inside the block."""
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
