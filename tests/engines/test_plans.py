"""Plans: made of integers, printed in words, obeyed."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import oracles
from engine_contract import EDGE_CASES
from flexkern.engines import ENGINES, ConvProblem, FactoredWeight, check_engine, convolve, dense, plan_conv
from flexkern.engines.chooser import estimate_cost
from flexkern.engines.spectral import fast_length


def problem_of(case):
    batch, channels, *signal = case["input"]
    out, _, *kernel = case["weight"]
    return ConvProblem(batch, channels, out, tuple(signal), tuple(kernel), **case["options"])


@pytest.mark.parametrize("name", EDGE_CASES)
@pytest.mark.parametrize("engine", ["auto", "direct", "fft"])
def test_plan_is_integers_only(name, engine):
    plan = plan_conv(problem_of(EDGE_CASES[name]), engine)
    leaves = [plan.transform, *dataclasses.astuple(plan.problem)]
    while leaves:
        leaf = leaves.pop()
        if isinstance(leaf, tuple):
            leaves.extend(leaf)
        else:
            assert type(leaf) is int
    assert plan.engine in ENGINES
    assert hash(plan.problem) == hash(problem_of(EDGE_CASES[name]))


@pytest.mark.parametrize("name", EDGE_CASES)
def test_output_size_is_torch_s(name):
    case = EDGE_CASES[name]
    y = oracles.torch_convolve(
        torch.ones(case["input"]), torch.ones(case["weight"]), None, mode="zeros", **case["options"]
    )
    assert problem_of(case).output_size == tuple(y.shape[2:])


@pytest.mark.parametrize("name", EDGE_CASES)
def test_transform_is_fast_and_no_longer_than_the_padded_signal_needs(name):
    problem = problem_of(EDGE_CASES[name])
    axes = zip(problem.transform, problem.signal, problem.padding, problem.extent, strict=True)
    for length, n, (left, right), extent in axes:
        assert oracles.is_smooth(length)
        assert length <= fast_length(n + max(left, 0) + max(right, 0) + extent)


def test_multiplications_are_counted():
    problem = ConvProblem(2, 4, 6, (10, 9), (3, 2), groups=2)
    assert problem.multiplications == 2 * 6 * (8 * 8) * 2 * 6


def test_explain_names_engine_sizes_and_reason():
    problem = ConvProblem(8, 16, 32, (28, 26), (5, 3), padding=((2, 2), (1, 1)))
    text = plan_conv(problem, "fft").explain()
    assert text.splitlines()[0] == "fft: 16 -> 32 channels, signal 28x26, kernel 5x3, groups 1, batch 8."
    assert "Transforms of 30x" in text
    assert "direct" in text.splitlines()[-1]  # what the other engine was expected to cost
    assert "Transforms" not in plan_conv(problem, "direct").explain()


@pytest.mark.parametrize("engine", ["direct", "fft"])
@pytest.mark.parametrize("name", EDGE_CASES)
def test_forced_engine_is_obeyed(engine, name):
    assert plan_conv(problem_of(EDGE_CASES[name]), engine).engine == engine


def test_auto_takes_the_cheaper_estimate():
    tiny, long = ConvProblem(1, 1, 1, (8,), (3,)), ConvProblem(4, 32, 32, (8000,), (8000,), padding=((7999, 0),))
    assert plan_conv(tiny).engine == "direct"
    assert plan_conv(long).engine == "fft"
    for problem in (tiny, long):
        estimates = estimate_cost(problem)
        assert plan_conv(problem).engine == min(estimates, key=estimates.get)


def test_same_problem_same_plan():
    assert plan_conv(ConvProblem(1, 1, 1, (8,), (3,))) == plan_conv(ConvProblem(1, 1, 1, (8,), (3,)))


def test_unknown_engine_is_refused():
    message = r"`engine` must be one of auto, direct, fft, got 'winograd'"
    with pytest.raises(ValueError, match=message):
        check_engine("winograd")
    with pytest.raises(ValueError, match=message):
        convolve(torch.ones(1, 1, 4), torch.ones(1, 1, 2), engine="winograd")


def test_kernel_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"the kernel spans \(9,\) samples but the padded signal only \(7,\)"):
        convolve(torch.ones(1, 1, 5), torch.ones(1, 1, 5), dilation=(2,), padding=((1, 1),))


@pytest.mark.parametrize("engine", ["direct", "fft"])
def test_channels_that_do_not_agree_are_refused(engine):
    with pytest.raises((ValueError, RuntimeError)):
        convolve(torch.ones(1, 4, 8), torch.ones(2, 3, 3), engine=engine)


@given(st.integers(-3, 5000))
def test_fast_length_is_the_next_even_smooth_number(minimum):
    length = fast_length(minimum)
    if minimum <= 1:
        assert length == 1
        return
    assert length >= minimum
    assert length % 2 == 0
    assert oracles.is_smooth(length)
    assert not any(oracles.is_smooth(n) for n in range(minimum + minimum % 2, length, 2))


def test_factored_weight_knows_its_shape():
    weight = FactoredWeight(torch.randn(4, 3, 5), torch.randn(5, 7, 6))
    assert weight.shape == (4, 3, 7, 6) == tuple(dense(weight).shape)
    assert dense(weight) is not None
    assert math.prod(weight.shape) == dense(weight).numel()


def test_empty_batch():
    for engine in ENGINES:
        assert convolve(torch.ones(0, 2, 8), torch.ones(3, 2, 3), engine=engine).shape == (0, 3, 6)
