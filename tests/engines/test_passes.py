"""Plans of three passes: any combination of engines computes one convolution and saves input and weight only."""

import dataclasses
import gc
import itertools

import pytest
import torch

import oracles
from contracts.engine import EDGE_CASES, OperatorLog, values_and_gradients
from flexkern.engines import ENGINES, ConvProblem, FactoredWeight, Plan, convolve, plan_conv, run
from tolerances import assert_matches

SPECTRAL = ("fft", "dft", "overlap_save")
COMBINATIONS = list(itertools.product(("direct", *SPECTRAL), repeat=3))
COMBINED_CASES = ("rectangular", "groups", "depthwise", "stride_and_dilation")
DOUBLE = {"dtype": torch.float64}


def problem_of(case) -> ConvProblem:
    batch, channels, *signal = case["input"]
    out, _, *kernel = case["weight"]
    return ConvProblem(batch, channels, out, tuple(signal), tuple(kernel), **case["options"])


def mixed_plan(problem: ConvProblem, forward: str, input_gradient: str, weight_gradient: str) -> Plan:
    """Return a plan whose passes are those of three forced engines."""
    return dataclasses.replace(
        plan_conv(problem, forward),
        input_gradient=plan_conv(problem, input_gradient).input_gradient,
        weight_gradient=plan_conv(problem, weight_gradient).weight_gradient,
    )


def saved_tensors(function) -> list[torch.Tensor]:
    """Return the tensors that autograd saves for the backward pass of ``function()``, each storage once."""
    saved = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        function()
    return list(saved.values())


def test_all_engines_can_be_forced():
    assert set(ENGINES) == {"direct", *SPECTRAL}


@pytest.mark.parametrize("engines", COMBINATIONS, ids="-".join)
def test_every_combination_of_engines_is_the_same_convolution(engines):
    """In a Latin square over the cases: any two passes by any two engines meet every case."""
    case = EDGE_CASES[COMBINED_CASES[sum(map(ENGINES.index, engines)) % len(COMBINED_CASES)]]
    plan = mixed_plan(problem_of(case), *engines)
    assert [step.engine for step in plan.passes] == list(engines)
    x, w, b = (torch.randn(s, **DOUBLE) for s in (case["input"], case["weight"], case["weight"][0]))
    ours = values_and_gradients(lambda x, w, b: run(x, w, plan, b), (x, w, b))
    exact = values_and_gradients(lambda x, w, b: oracles.tap_convolve(x, w, b, **case["options"]), (x, w, b))
    for part, one, other in zip(("output", "input", "weight", "bias"), ours, exact, strict=True):
        assert_matches(one, other, name=part)


@pytest.mark.parametrize("engines", [("direct", "fft", "dft"), ("dft", "overlap_save", "direct"), ("fft",) * 3])
def test_every_combination_takes_factors(engines):
    case = EDGE_CASES["groups"]
    plan = mixed_plan(problem_of(case), *engines)
    out, per_group, *kernel = case["weight"]
    arguments = [torch.randn(s, **DOUBLE) for s in (case["input"], (out, per_group, 2), (2, *kernel))]
    ours = values_and_gradients(lambda x, r, f: run(x, FactoredWeight(r, f), plan), arguments)
    exact = values_and_gradients(
        lambda x, r, f: oracles.tap_convolve(x, torch.einsum("oim,m...->oi...", r, f), **case["options"]), arguments
    )
    for one, other in zip(ours, exact, strict=True):
        assert_matches(one, other)


@pytest.mark.parametrize(
    "engines", [("direct", "fft", "dft"), ("fft", "direct", "overlap_save"), ("dft", "dft", "direct")], ids="-".join
)
def test_gradients_of_gradients(engines):
    case = EDGE_CASES["groups"]
    plan = mixed_plan(problem_of(case), *engines)
    x, w = (torch.randn(case[part], **DOUBLE, requires_grad=True) for part in ("input", "weight"))
    assert torch.autograd.gradgradcheck(lambda x, w: run(x, w, plan), (x, w), fast_mode=True)


@pytest.mark.parametrize("engine", SPECTRAL)
def test_gradients_of_gradients_through_factors(engine):
    shapes = (2, 4, 9), (6, 2, 2), (2, 5)
    x, readout, features = (torch.randn(shape, **DOUBLE, requires_grad=True) for shape in shapes)

    def function(x, readout, features):
        return convolve(x, FactoredWeight(readout, features), groups=2, padding=((2, 3),), engine=engine)

    assert torch.autograd.gradgradcheck(function, (x, readout, features), fast_mode=True)


# What a graph holds ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", [*SPECTRAL, "direct"])
@pytest.mark.parametrize("kind", ["dense", "depthwise", "factored", "biased", "causal"])
def test_a_graph_keeps_input_and_weight_only(engine, kind):
    if (engine, kind) in {("direct", "causal"), ("direct", "factored")}:
        pytest.skip("torch's convolution keeps the padded input, and the product of the factors")
    groups = 8 if kind == "depthwise" else 1
    x = torch.randn(4, 8, 64, requires_grad=True)
    held = [torch.randn(8, 8 // groups, 31, requires_grad=True)]
    if kind == "factored":
        held = [torch.randn(8, 8, 3, requires_grad=True), torch.randn(3, 31, requires_grad=True)]
    weight = FactoredWeight(*held) if kind == "factored" else held[0]
    padding = ((30, 0),) if kind == "causal" else ((15, 15),)
    bias = torch.randn(8, requires_grad=True) if kind == "biased" else None
    kept = saved_tensors(lambda: convolve(x, weight, bias, groups=groups, padding=padding, engine=engine))
    assert kept
    given = {tensor.untyped_storage().data_ptr() for tensor in (x, *held)}
    assert {tensor.untyped_storage().data_ptr() for tensor in kept} <= given


def test_a_mixed_plan_keeps_input_and_weight_only():
    x, w = torch.randn(4, 8, 64, requires_grad=True), torch.randn(8, 8, 31, requires_grad=True)
    plan = mixed_plan(ConvProblem(4, 8, 8, (64,), (31,)), "direct", "fft", "dft")
    kept = saved_tensors(lambda: run(x, w, plan))
    assert sum(tensor.untyped_storage().nbytes() for tensor in kept) <= x.nbytes + w.nbytes


def live_bytes() -> int:
    gc.collect()
    storages = (each.untyped_storage() for each in gc.get_objects() if type(each) is torch.Tensor)
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())  # views share one


@pytest.mark.parametrize("engine", SPECTRAL)
def test_nothing_is_kept_beside_what_autograd_saves(engine):
    x, w = torch.randn(4, 8, 256, requires_grad=True), torch.randn(8, 8, 31, requires_grad=True)
    convolve(x, w, engine=engine)  # matrices of the transform are made once
    before = live_bytes()
    y = convolve(x, w, engine=engine)
    after = live_bytes()
    assert y.requires_grad
    assert after - before <= y.nbytes + 1024


# What is asked for, and only that ----------------------------------------------------------------------------


def work_of_backward(needs: dict[str, bool], engines: tuple[str, str, str]) -> set[str]:
    """Return the kinds of work of a backward pass; check that its gradients are correct, and only those needed."""
    case = EDGE_CASES["rectangular"]
    given = {part: torch.randn(case[part], **DOUBLE).requires_grad_(needs[part]) for part in ("input", "weight")}
    y = run(given["input"], given["weight"], mixed_plan(problem_of(case), *engines))
    assert y.requires_grad
    cotangent = torch.randn_like(y)
    with OperatorLog() as log:
        y.backward(cotangent)
    twins = {part: value.detach().requires_grad_() for part, value in given.items()}
    oracles.tap_convolve(twins["input"], twins["weight"], **case["options"]).backward(cotangent)
    for part, value in given.items():
        if needs[part]:
            assert_matches(value.grad, twins[part].grad)
        else:
            assert value.grad is None
    return log.kinds


@pytest.mark.parametrize("engine", [*SPECTRAL, "direct"])
@pytest.mark.parametrize("part", ["input", "weight"])
def test_gradient_of_one_side_only(part, engine):
    work_of_backward({"input": part == "input", "weight": part == "weight"}, (engine,) * 3)


@pytest.mark.parametrize("engine", SPECTRAL)
def test_a_pass_that_nobody_needs_is_not_computed(engine):
    kinds = work_of_backward({"input": False, "weight": True}, (engine, "direct", engine))
    assert "convolution" not in kinds
    kinds = work_of_backward({"input": True, "weight": False}, (engine, engine, "direct"))
    assert "convolution" not in kinds
    kinds = work_of_backward({"input": True, "weight": True}, (engine, engine, "direct"))
    assert "convolution" in kinds


@pytest.mark.parametrize("engine", [*SPECTRAL, "direct"])
@pytest.mark.parametrize("frozen", ["readout", "features"])
def test_a_frozen_factor(frozen, engine):
    x = torch.randn(2, 4, 12, **DOUBLE, requires_grad=True)
    factors = {"readout": torch.randn(6, 2, 3, **DOUBLE), "features": torch.randn(3, 5, **DOUBLE)}
    for name, factor in factors.items():
        factor.requires_grad_(name != frozen)
    options = {"stride": (1,), "padding": ((2, 2),), "dilation": (1,), "groups": 2}
    y = convolve(x, FactoredWeight(**factors), engine=engine, **options)
    exact = oracles.tap_convolve(x, torch.einsum("oim,mk->oik", *factors.values()), **options)
    learned = next(factor for name, factor in factors.items() if name != frozen)
    cotangent = torch.randn_like(y)
    for ours, other in zip(*(torch.autograd.grad(one, (x, learned), cotangent) for one in (y, exact)), strict=True):
        assert_matches(ours, other)


@pytest.mark.parametrize("engine", ["auto", *SPECTRAL, "direct"])
def test_nothing_needs_a_gradient(engine):
    assert not convolve(torch.randn(1, 2, 9), torch.randn(3, 2, 3), torch.randn(3), engine=engine).requires_grad


@pytest.mark.parametrize("engine", SPECTRAL)
def test_a_graph_can_be_used_twice_and_notices_edits(engine):
    x, w = torch.randn(1, 2, 9, requires_grad=True), torch.randn(3, 2, 3, requires_grad=True)
    y = convolve(x, w, engine=engine).square().sum()
    first = torch.autograd.grad(y, (x, w), retain_graph=True)
    for one, other in zip(torch.autograd.grad(y, (x, w), retain_graph=True), first, strict=True):
        assert_matches(one, other)
    with torch.no_grad():
        w.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(y, (x, w))
