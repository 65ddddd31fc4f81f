"""Plans: they consist of integers, are explained in words, and are followed."""

import dataclasses
import math
import pickle
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import oracles
from contracts.engine import EDGE_CASES, problems
from flexkern.engines import ENGINES, ConvProblem, FactoredWeight, check_engine, convolve, dense, plan_conv
from flexkern.engines.choice import chooser, machine
from flexkern.engines.choice.candidates import fast_length
from flexkern.engines.choice.chooser import make_plan
from flexkern.engines.choice.cost_model import CostModel
from flexkern.engines.plan import PASSES

PROBLEMS = {
    "sequence": ConvProblem(8, 30, 30, (784,), (784,), padding=((783, 0),)),
    "long_sequence": ConvProblem(1, 30, 30, (16000,), (1301,), padding=((1300, 0),)),
    "images": ConvProblem(64, 24, 24, (32, 32), (11, 11), padding=((5, 5),) * 2),
    "depthwise_images": ConvProblem(8, 64, 64, (32, 32), (33, 33), padding=((16, 16),) * 2, groups=64),
    "small_kernel": ConvProblem(64, 24, 24, (32, 32), (3, 3), padding=((1, 1),) * 2),
    "volumes": ConvProblem(2, 4, 4, (16, 16, 16), (9, 9, 9), padding=((4, 4),) * 3),
    "strided": ConvProblem(4, 6, 8, (301, 299), (31, 7), stride=(3, 2), dilation=(1, 2), groups=2),
}


@pytest.fixture(autouse=True)
def _shipped_constants(tmp_path, monkeypatch):
    """Use the shipped constants, whatever machine the tests run on."""
    monkeypatch.setenv("FLEXKERN_CACHE", str(tmp_path))
    machine.forget_costs()
    chooser._cached_plan.cache_clear()


def problem_of(case):
    batch, channels, *signal = case["input"]
    out, _, *kernel = case["weight"]
    return ConvProblem(batch, channels, out, tuple(signal), tuple(kernel), **case["options"])


@pytest.mark.parametrize("name", ["rectangular", "depthwise", "stride_and_dilation", "three_axes"])
@pytest.mark.parametrize("engine", ["auto", *ENGINES])
def test_plan_is_frozen_plain_values(name, engine):
    plan = plan_conv(problem_of(EDGE_CASES[name]), engine)
    leaves = [dataclasses.astuple(part) for part in (plan.problem, *plan.passes)]
    while leaves:
        leaf = leaves.pop()
        if isinstance(leaf, tuple):
            leaves.extend(leaf)
        else:
            assert type(leaf) in (int, float, str, bool)
    assert {step.engine for step in plan.passes} <= set(ENGINES)
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.forward = plan.weight_gradient
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.forward.engine = "direct"
    assert hash(plan) == hash(plan_conv(problem_of(EDGE_CASES[name]), engine))
    assert plan == pickle.loads(pickle.dumps(plan))


@pytest.mark.parametrize("name", EDGE_CASES)
def test_output_size_is_torch_s(name):
    case = EDGE_CASES[name]
    y = oracles.torch_convolve(
        torch.ones(case["input"]), torch.ones(case["weight"]), None, mode="zeros", **case["options"]
    )
    assert problem_of(case).output_size == tuple(y.shape[2:])


@pytest.mark.parametrize("engine", ["fft", "dft"])
def test_lengths_are_no_longer_than_the_padded_signal_needs(engine):
    for name, case in EDGE_CASES.items():
        problem = problem_of(case)
        for step in plan_conv(problem, engine).passes:
            axes = zip(step.lengths, problem.signal, problem.padding, problem.extent, strict=True)
            for length, n, (left, right), extent in axes:
                assert length <= fast_length(n + max(left, 0) + max(right, 0) + extent), name
                if engine == "fft":
                    assert oracles.is_smooth(length), name


@pytest.mark.parametrize("name", PROBLEMS)
def test_fields_say_what_an_engine_needs(name):
    problem = PROBLEMS[name]
    for step in plan_conv(problem, "direct").passes:
        assert (step.lengths, step.tile, step.batch_chunk) == ((), (), 0)
    for engine in ("fft", "dft"):
        for step in plan_conv(problem, engine).passes:
            assert len(step.lengths) == len(problem.signal)
            assert step.tile == ()
            assert 0 <= step.batch_chunk < problem.batch
    for step in plan_conv(problem, "overlap_save").passes:
        assert len(step.lengths) == len(step.tile) == len(problem.signal)
        assert all(1 <= b <= out for b, out in zip(step.tile, problem.output_size, strict=True))
        assert all(length >= b for b, length in zip(step.tile, step.lengths, strict=True))


@given(problems())
def test_every_problem_has_plans_by_every_engine(case):
    problem = problem_of(case)
    for engine in ENGINES:
        plan = plan_conv(problem, engine)
        assert [step.engine for step in plan.passes] == [engine] * 3
        assert all(0 < step.seconds < math.inf for step in plan.passes)


def test_multiplications_are_counted():
    problem = ConvProblem(2, 4, 6, (10, 9), (3, 2), groups=2)
    assert problem.multiplications == 2 * 6 * (8 * 8) * 2 * 6


@pytest.mark.parametrize("name", PROBLEMS)
def test_explain_says_sizes_engines_and_reasons(name):
    plan = plan_conv(PROBLEMS[name])
    first, *rest = plan.explain().splitlines()
    problem, text = plan.problem, "\n".join(rest)
    assert f"{problem.in_channels} -> {problem.out_channels} channels" in first
    for sizes in (problem.signal, problem.kernel):
        assert "x".join(map(str, sizes)) in first
    assert f"groups {problem.groups}, batch {problem.batch}" in first
    for words, step in zip(("forward", "input gradient", "weight gradient"), plan.passes, strict=True):
        assert words in text
        assert step.engine in text
        assert "x".join(map(str, step.lengths)) in text
        assert "x".join(map(str, step.tile)) in text
    assert set(ENGINES) <= set(re.findall(r"\w+", text))  # what the other engines were expected to cost
    assert not re.search(r"[A-Z]\w*\(|=\w", text), "a repr is no words"


def test_explain_of_a_forced_engine_has_no_others():
    text = plan_conv(PROBLEMS["images"], "direct").explain()
    assert "direct" in text
    assert "engine was given" in text
    assert not set(ENGINES[1:]) & set(re.findall(r"\w+", text))


def test_explain_says_why_the_lowest_estimate_was_not_taken():
    """Torch computes gradients for which another engine is faster, if our autograd function costs more."""
    names = CostModel.shipped().constants
    dear = dict.fromkeys(names, 1e-6) | {"autograd/calls": 10.0}
    dear |= {name: 1e-9 if "/forward/" in name else 1.0 for name in names if name.startswith("direct")}
    plan = make_plan(ConvProblem(1, 4, 4, (64,), (3,)), costs=CostModel(dear))
    assert plan.by_torch
    assert "would not save its extra call" in plan.explain()
    cheap = dear | {name: 1e-9 for name in names if name.startswith("direct")}
    assert "would not save" not in make_plan(ConvProblem(1, 4, 4, (64,), (3,)), costs=CostModel(cheap)).explain()


@pytest.mark.parametrize("groups", [0, 2, 4])
def test_groups_that_do_not_divide_the_channels_are_refused(groups):
    with pytest.raises(ValueError, match="`groups` must be positive and divide the channels 6 -> 9"):
        ConvProblem(1, 6, 9, (8,), (3,), groups=groups)


@pytest.mark.parametrize("engine", ENGINES)
def test_forced_engine_is_obeyed(engine):
    for name, case in EDGE_CASES.items():
        plan = plan_conv(problem_of(case), engine)
        assert [step.engine for step in plan.passes] == [engine] * 3, name
        assert plan.engine == engine, name


@pytest.mark.parametrize("name", PROBLEMS)
def test_auto_takes_for_each_pass_the_lowest_estimate(name):
    """Both gradients may share one plan, which is cheaper because they share a transform."""
    problem = PROBLEMS[name]
    plan, forced = plan_conv(problem), [plan_conv(problem, engine) for engine in ENGINES]
    lowest = [min(each.passes[index].seconds for each in forced) for index in range(3)]
    assert plan.forward.seconds == lowest[0]
    assert plan.forward in [each.forward for each in forced]
    if plan.input_gradient == plan.weight_gradient:
        saved = machine.load_costs().shared_seconds(problem, plan.input_gradient)
        assert plan.input_gradient.seconds + plan.weight_gradient.seconds - saved <= sum(lowest[1:])
    else:
        assert [step.seconds for step in plan.passes] == [min(plan.estimates[name].values()) for name in PASSES]
        # No more than: an engine by itself may have taken a dearer plan for one gradient, to share it with the other.
        assert all(step.seconds <= least for step, least in zip(plan.passes, lowest, strict=True))


def test_auto_where_the_answer_is_plain():
    assert plan_conv(ConvProblem(1, 1, 1, (8,), (3,))).engine == "direct"
    for name in ("sequence", "long_sequence", "depthwise_images"):
        assert all(step.engine != "direct" for step in plan_conv(PROBLEMS[name]).passes), name


def test_same_problem_same_plan():
    assert plan_conv(ConvProblem(1, 1, 1, (8,), (3,))) == plan_conv(ConvProblem(1, 1, 1, (8,), (3,)))


def test_unknown_engine_is_refused():
    message = r"`engine` must be one of auto, direct, fft, dft, overlap_save, got 'winograd'"
    with pytest.raises(ValueError, match=message):
        check_engine("winograd")
    with pytest.raises(ValueError, match=message):
        convolve(torch.ones(1, 1, 4), torch.ones(1, 1, 2), engine="winograd")


def test_kernel_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"the kernel spans \(9,\) samples but the padded signal only \(7,\)"):
        convolve(torch.ones(1, 1, 5), torch.ones(1, 1, 5), dilation=(2,), padding=((1, 1),))


@given(st.integers(-3, 5000))
def test_fast_length_is_the_next_smooth_number_of_enough_twos(minimum):
    length = fast_length(minimum)
    if minimum <= 1:
        assert length == 1
        return
    step = 2 if minimum <= 256 else 8
    assert length >= minimum
    assert length % step == 0
    assert oracles.is_smooth(length)
    assert not any(oracles.is_smooth(n) for n in range(minimum + -minimum % step, length, step))


def test_factored_weight_knows_its_shape():
    weight = FactoredWeight(torch.randn(4, 3, 5), torch.randn(5, 7, 6))
    assert weight.shape == (4, 3, 7, 6) == tuple(dense(weight).shape)
    assert dense(weight) is not None
    assert math.prod(weight.shape) == dense(weight).numel()
