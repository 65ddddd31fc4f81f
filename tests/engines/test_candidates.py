"""All plans that could be chosen compute the same convolution, however it is cut into tiles and chunks."""

import dataclasses

import pytest
import torch

import oracles
from contracts.engine import case, values_and_gradients
from flexkern.engines import ENGINES, ConvProblem, FactoredWeight, PassPlan, Plan, plan_conv, run
from flexkern.engines.choice.candidates import MATRIX_LENGTHS, candidates
from tolerances import assert_matches

CASES = {
    "sequence": case((97,), (12,), padding=((11, 0),)),
    "strided_sequence": case((101,), (7,), stride=(3,), dilation=(4,), padding=((-5, 30),)),
    "depthwise_sequence": case((90,), (33,), channels=(3, 3), groups=3, padding=((16, 16),)),
    "image": case((29, 23), (5, 4), padding=((2, 2), (2, 1))),
    "strided_image": case((29, 31), (3, 4), channels=(4, 6), groups=2, stride=(2, 3), dilation=(2, 1)),
    "depthwise_image": case((26, 25), (7, 3), channels=(3, 3), groups=3, padding=((3, 3), (-1, 5))),
    "volume": case((11, 10, 9), (3, 2, 3), channels=(2, 2), groups=2, padding=((1, 1), (1, 0), (0, 0))),
}


def problem_of(problem: dict) -> ConvProblem:
    batch, channels, *signal = problem["input"]
    out, _, *kernel = problem["weight"]
    return ConvProblem(batch, channels, out, tuple(signal), tuple(kernel), **problem["options"])


def check(problem: dict, steps: list[PassPlan], *, features: int = 0) -> None:
    """Compare each step, used for all three passes, with a convolution of one tap at a time."""
    out, per_group, *kernel = problem["weight"]
    shapes = [(out, per_group, features), (features, *kernel)] if features else [problem["weight"]]
    arguments = [torch.randn(shape, dtype=torch.float64) for shape in (problem["input"], *shapes)]

    def exact(x, *factors):
        weight = torch.einsum("oim,m...->oi...", *factors) if features else factors[0]
        return oracles.tap_convolve(x, weight, **problem["options"])

    expected = values_and_gradients(exact, arguments)
    for step in steps:
        plan = Plan(problem_of(problem), step, step, step)
        ours = values_and_gradients(
            lambda x, *w, plan=plan: run(x, FactoredWeight(*w) if features else w[0], plan), arguments
        )
        for one, other in zip(ours, expected, strict=True):
            assert_matches(one, other, name=str(step))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_every_candidate_is_the_same_convolution(name, engine):
    steps = list(candidates(problem_of(CASES[name]), engine))
    assert steps
    assert {step.engine for step in steps} == {engine}
    check(CASES[name], steps)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["sequence", "strided_image", "depthwise_image"])
def test_every_candidate_takes_factors(name, engine):
    check(CASES[name], list(candidates(problem_of(CASES[name]), engine)), features=2)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("features", [0, 2])
@pytest.mark.parametrize("name", CASES)
def test_chunks_change_nothing(name, features, engine):
    """The last chunk may be smaller than the others, and one chunk may contain the whole batch."""
    seven = {**CASES[name], "input": (7, *CASES[name]["input"][1:])}
    step = plan_conv(problem_of(seven), engine).forward
    check(seven, [dataclasses.replace(step, batch_chunk=chunk) for chunk in (1, 3, 7, 100)], features=features)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("length", [1, 2, 511, 513, 4096, 8191, 100_003, 2**18])
def test_there_is_a_candidate_for_every_length(length, engine):
    """Only an axis too long for matrices is refused, with a message that names engines which can transform it."""
    for kernel in {1, min(length, 31), length}:
        problem = ConvProblem(2, 3, 3, (length,), (kernel,), padding=((kernel - 1, 0),))
        assert plan_conv(problem).engine in ENGINES
        if engine == "dft" and max(problem.minimum_lengths) > MATRIX_LENGTHS:
            assert not list(candidates(problem, engine))
            with pytest.raises(ValueError, match=r"`engine='dft'` transforms at most .*; use 'fft' or 'overlap_save'"):
                plan_conv(problem, engine)
        else:
            assert list(candidates(problem, engine))
            assert plan_conv(problem, engine).engine == engine


def test_large_direct_convolutions_are_computed_in_chunks_of_the_batch():
    """Chunks have at most 16 MB if the input or the output exceeds 32 MB, which the allocator would not keep."""

    def chunks(batch, channels=24, out=24, length=8192):
        problem = ConvProblem(batch, channels, out, (length,), (9,), padding=((4, 4),))
        return [plan.batch_chunk for plan in candidates(problem, "direct")]

    assert chunks(42) == [0]
    assert chunks(43) == [15]
    assert chunks(64) == [16]
    assert chunks(43, channels=1) == [15]
    assert chunks(43, out=1) == [15]
    assert chunks(3, length=2**20) == [1]
    assert chunks(1, length=2**20) == [0]
    images = ConvProblem(16, 24, 24, (256, 256), (3, 3), padding=((1, 1),) * 2)
    assert {plan.batch_chunk for plan in candidates(images, "direct")} == {2}
    assert "direct, 16 signals at a time" in plan_conv(ConvProblem(64, 24, 24, (8192,), (3,)), "direct").explain()


def test_more_channels_allow_larger_chunks_of_the_batch():
    """The kernels' spectra, which are read once per chunk, are as large as those of several signals."""

    def chunk(channels, side, batch):
        problem = ConvProblem(batch, channels, channels, (side,) * 2, (33, 33), padding=((16, 16),) * 2)
        return next(candidates(problem, "dft")).batch_chunk

    assert chunk(48, 32, 64) == 32  # half of the batch, not a fifth
    assert chunk(24, 128, 16) == 0  # all of it, not four at a time
    assert chunk(24, 256, 8) == 4  # all of it would take too much memory


@pytest.mark.parametrize("stride", [1, 2])
def test_inputs_of_strided_pointwise_kernels_keep_their_layout(stride):
    """With AVX2, oneDNN corrupts memory in the weight gradient of such kernels in channels-last layout."""
    problem = ConvProblem(2, 3, 16, (16, 16), (1, 1), stride=(stride, stride))
    layouts = {plan.channels_last for plan in candidates(problem, "direct")}
    assert layouts == ({False} if stride > 1 else {False, True})
