"""Fair timing on a noisy machine: the contestants take turns, so that each meets the same weather."""

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
"""A round repeats short work for at least this long; clocks and caches are noisy below."""
SHORT, SHORT_FACTOR = 5e-3, 3
"""Seconds of the fastest below which there are that many times the rounds: they are cheap, and disturbed the most."""
SLOW, VERY_SLOW = 1.0, 5.0
"""Seconds of one run above which it runs twice, or (its warm-up counting) once."""
WARM_AGAIN = 0.1
"""Seconds below which an untimed run goes first in every turn: the predecessor left caches and free memory its way."""
BEHIND, BEHIND_SECONDS = 5.0, 0.02
"""Runs this many times slower than the fastest, and longer than this, run twice: their place is decided."""
BEHIND_LIMIT = 0.3
"""Seconds above which such a run's warm-up is all there is."""


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
    """Times all runs in turns, A B C A B C ...; ``first`` has the seconds of a warm-up of each.

    ``give_up`` saves rounds of those far behind the fastest.

    Example:
        >>> sorted(interleave({"a": list, "b": dict}, {"a": 1e-3, "b": 1e-3}))
        ['a', 'b']
    """
    fastest = min(first.values(), default=0.0) if give_up else math.inf
    turns = {name: rounds_for(first[name], fastest, rounds) for name in runs}
    if min(first.values(), default=SHORT) < SHORT:  # for all that are not behind, so that they meet the same weather
        turns = {name: number * SHORT_FACTOR if number == rounds else number for name, number in turns.items()}
    repeats = {name: max(1, math.ceil(ROUND_SECONDS / max(first[name], 1e-6))) for name in runs}
    samples: dict[str, list[float]] = {name: [] if turns[name] else [first[name]] for name in runs}
    with garbage_collection_off():
        for turn in range(max(turns.values(), default=0)):
            for name in rotated(list(runs), turn):
                run = runs[name]
                if turn < turns[name]:
                    if first[name] < WARM_AGAIN and not is_behind(first[name], fastest):
                        run()
                    samples[name].append(time_runs(run, repeats[name]))
    return {name: summarise(samples[name], repeats[name]) for name in runs}


def rotated(names: list[str], turn: int) -> list[str]:
    """Another one begins each turn, and none always follows the same.

    Example:
        >>> rotated(["a", "b", "c"], 1)
        ['b', 'c', 'a']
    """
    first = turn % max(len(names), 1)
    return names[first:] + names[:first]


def rounds_for(seconds: float, fastest: float, rounds: int = ROUNDS) -> int:
    """Rounds for a run that took ``seconds`` to warm up; 0 where the warm-up is all that can be afforded.

    Example:
        >>> rounds_for(0.1, 0.1), rounds_for(0.1, 0.01), rounds_for(2, 2), rounds_for(6, 1)
        (5, 2, 2, 0)
    """
    behind = is_behind(seconds, fastest)
    if seconds > (BEHIND_LIMIT if behind else VERY_SLOW):
        return 0
    return min(2, rounds) if behind or seconds > SLOW else rounds


def is_behind(seconds: float, fastest: float) -> bool:
    """Whether a run is so much slower than the fastest that its place is decided."""
    return seconds > max(BEHIND_SECONDS, BEHIND * fastest)


def time_runs(run: Run, repeats: int = 1) -> float:
    """Mean seconds of one run."""
    began = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - began) / repeats


def summarise(samples: list[float], repeats: int = 1) -> Timing:
    """Median and interquartile range; the range of a single sample is 0."""
    low, _, high = statistics.quantiles(samples, n=4, method="inclusive") if len(samples) > 1 else samples * 3
    return Timing(statistics.median(samples), high - low, len(samples), repeats)


@contextmanager
def garbage_collection_off() -> Iterator[None]:
    """No collection in between; one beforehand."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
