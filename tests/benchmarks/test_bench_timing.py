"""Turns, rounds and medians; memory."""

import gc
import itertools

import pytest
import torch

from flexkern.app.measure.memory import peak_memory
from flexkern.app.measure.timing import ROUND_SECONDS, SHORT_FACTOR, interleave, rounds_for, summarise


def test_contestants_take_turns():
    order = []
    runs = {name: (lambda name=name: order.append(name)) for name in "abc"}
    timings = interleave(runs, dict.fromkeys("abc", 0.2), rounds=5)
    assert order == list("abcbcacababcbca")  # another one first each time
    assert all(timing.rounds == 5 and timing.repeats == 1 for timing in timings.values())


def test_short_runs_repeat_within_a_round_and_warm_up_in_every_turn():
    order = []
    runs = {name: (lambda name=name: order.append(name)) for name in "ab"}
    timings = interleave(runs, dict.fromkeys("ab", ROUND_SECONDS / 4), rounds=3)
    assert timings["a"].repeats == 4
    assert [name for name, _ in itertools.groupby(order)] == ["a", "b"] * 5  # ab, ba, ab, ...
    assert len(order) == 2 * 3 * SHORT_FACTOR * 5


@pytest.mark.parametrize(
    ("seconds", "fastest", "rounds"),
    [(0.9, 0.9, 5), (1.5, 1.5, 2), (6, 6, 0), (0.1, 0.01, 2), (0.01, 0.001, 5), (0.5, 0.01, 0)],
)
def test_slow_runs_get_fewer_rounds(seconds, fastest, rounds):
    assert rounds_for(seconds, fastest) == rounds


def test_the_warm_up_counts_where_it_is_all():
    def never():
        raise AssertionError

    timing = interleave({"a": never}, {"a": 7.0})["a"]
    assert (timing.seconds, timing.iqr, timing.rounds) == (7.0, 0.0, 1)


def test_those_behind_run_in_full_where_nobody_gives_up():
    runs = {"a": lambda: None, "b": lambda: None}
    first = {"a": 0.001, "b": 0.9}
    assert interleave(runs, first)["b"].rounds == 1
    assert interleave(runs, first, give_up=False)["b"].rounds == 5 * SHORT_FACTOR


def test_median_and_range():
    timing = summarise([1.0, 2.0, 3.0, 4.0, 100.0])
    assert (timing.seconds, timing.iqr, timing.rounds) == (3.0, 2.0, 5)


def test_no_garbage_collection_in_between():
    seen = []
    interleave({"a": lambda: seen.append(gc.isenabled())}, {"a": 0.5}, rounds=2)
    assert seen == [False, False]
    assert gc.isenabled()


def test_peak_memory_sees_what_was_freed_again():
    def run():
        return torch.ones(2**23).sum().item()  # 32 MiB

    result, memory = peak_memory(run)
    assert result == 2**23
    if memory is None:
        pytest.skip("this system does not tell")
    assert 0.9 * 2**25 <= memory < 2**27


def test_peak_memory_is_unknown_without_proc(monkeypatch, tmp_path):
    monkeypatch.setattr("flexkern.app.measure.memory._PROCESS", tmp_path / "absent")
    assert peak_memory(lambda: 3) == (3, None)
