"""Comparisons of networks: the rivals, the differences and their p-values."""

import pytest

from experiments.common.statistics import compare_pairs, compare_with_equals, mean_and_sd, permutation_test


def test_permutation_test_counts_every_exchange():
    assert permutation_test([1, 1, 1, 1, 1], [0, 0, 0, 0, 0]) == pytest.approx(2 / 252)
    assert permutation_test([1, 0], [0, 1]) == 1


def test_rivals_are_chosen_by_validation_among_equals():
    def net(parameters, latency, validation, tests):
        runs = [{"test": test} for test in tests]
        return {"parameters": parameters, "latency": latency, "validation_mean": validation, "runs": runs}

    nets = {
        "adaptive 8": net(100, 2.0, 0.9, [0.8, 0.9]),
        "plain a": net(101, 1.0, 0.7, [0.6, 0.7]),
        "plain b": net(99, 3.0, 0.6, [0.9, 0.9]),
        "plain c": net(500, 1.5, 0.8, [0.9, 1.0]),
    }
    found = compare_with_equals(nets, ["adaptive 8"], ["plain a", "plain b", "plain c"])
    assert {name: one["rival"] for name, one in found.items()} == {
        "adaptive 8, equal parameters": "plain a",
        "adaptive 8, equal latency": "plain c",
    }
    assert found["adaptive 8, equal latency"]["gain"] == pytest.approx(-0.1)


def test_pairs_without_results_are_left_out():
    nets = {"a": {"runs": [{"test": 0.5}]}, "b": {"runs": [{"test": 0.25}]}}
    comparisons = compare_pairs(nets, [("a", "b"), ("a", "c")])
    assert comparisons == {"a against b": {"rival": "b", "gain": 0.25, "p": 1.0}}


def test_one_run_has_no_deviation():
    assert mean_and_sd([{"test": 0.5}], "test") == {"test_mean": 0.5, "test_sd": None}
