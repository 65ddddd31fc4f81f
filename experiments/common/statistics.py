"""Means, deviations, and whether one network is better than another."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

EQUAL = 1.02
"""Up to this factor more parameters count as equal."""
ROUNDING = 1e-12
"""Differences of means that are closer than this count as equal."""

Result = dict[str, Any]


class Scale(NamedTuple):
    """How scores are written: the factor, the names of the measure, its unit and the unit of differences."""

    factor: int
    measure: str
    unit: str
    gain_unit: str


def score_scale(result: Result) -> Scale:
    """Return how the scores of a result are written.

    Example:
        >>> score_scale({"unit": "dB"}).measure
        'PSNR'
    """
    if result.get("unit") == "dB":
        return Scale(1, "PSNR", "dB", "dB")
    return Scale(100, "accuracy", "%", "points")


def mean_and_sd(runs: Sequence[Mapping[str, Any]], key: str) -> dict[str, float | None]:
    """Return the mean and the standard deviation of a value over runs; the deviation of one run is None.

    Example:
        >>> mean_and_sd([{"test": 1.0}, {"test": 3.0}], "test")
        {'test_mean': 2.0, 'test_sd': 1.4142135623730951}
    """
    values = [run[key] for run in runs]
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {f"{key}_mean": statistics.mean(values), f"{key}_sd": deviation}


def compare_with_equals(
    nets: Mapping[str, Result],
    ours: Sequence[str],
    rivals: Sequence[str],
) -> dict[str, Result]:
    """Compare each of ours with its best rival at equal parameters, and at equal latency in ONNX Runtime.

    The best rival is the one with the highest accuracy on validation data.
    """
    comparisons = {}
    for name, (key, slack) in itertools.product(ours, (("parameters", EQUAL), ("latency", 1.0))):
        limit = slack * nets[name][key]
        equals = [rival for rival in rivals if nets[rival][key] <= limit]
        if equals:
            best = max(equals, key=lambda rival: nets[rival]["validation_mean"])
            comparisons[f"{name}, equal {key}"] = compare(nets, name, best)
    return comparisons


def compare_pairs(nets: Mapping[str, Result], pairs: Sequence[tuple[str, str]]) -> dict[str, Result]:
    """Compare the first of each pair with the second, where both have results."""
    comparisons = {}
    for name, rival in pairs:
        if name in nets and rival in nets:
            comparisons[f"{name} against {rival}"] = compare(nets, name, rival)
    return comparisons


def compare(nets: Mapping[str, Result], name: str, rival: str) -> Result:
    """Return the rival, the difference of mean test accuracies, and its p-value."""
    ours = [run["test"] for run in nets[name]["runs"]]
    theirs = [run["test"] for run in nets[rival]["runs"]]
    gain = statistics.mean(ours) - statistics.mean(theirs)
    return {"rival": rival, "gain": gain, "p": permutation_test(ours, theirs)}


def permutation_test(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the two-sided p-value of a difference of means, from all ways to exchange the labels.

    Example:
        >>> permutation_test([3.0, 4.0, 5.0], [0.0, 1.0, 2.0])
        0.1
    """
    values = [*a, *b]
    total = sum(a) + sum(b)

    def difference(first: Sequence[float]) -> float:
        sum_of_first = sum(first)
        mean_of_first = sum_of_first / len(a)
        mean_of_others = (total - sum_of_first) / len(b)
        return abs(mean_of_first - mean_of_others)

    observed = difference(a) - ROUNDING
    ways = list(itertools.combinations(values, len(a)))
    extreme = 0
    for first in ways:
        if difference(first) >= observed:
            extreme += 1
    return extreme / len(ways)
