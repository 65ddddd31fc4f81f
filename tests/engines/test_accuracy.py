"""Relative error against float64 sums written out, values and gradients.

In float64 it is at most 1e-12; in float32 at most what follows from the number of terms summed.
"""

import math

import pytest
import torch

import oracles
from contracts.engine import EDGE_CASES, case, plan_case, summed_terms
from flexkern.engines import ENGINES, FactoredWeight, convolve
from tolerances import TOLERANCE, assert_matches, float32_bound, relative_error

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
EACH = pytest.mark.parametrize("engine", ENGINES)
ALL = pytest.mark.parametrize("engine", ["auto", *ENGINES])
LONG = 2**18
PROBES = 48

CASES = {
    "dense_2d": case((19, 23), (11, 9), channels=(8, 8), padding=((5, 5), (4, 4))),
    "many_channels_2d": case((32, 32), (11, 11), batch=1, channels=(24, 24), padding=((5, 5), (5, 5))),
    "depthwise_2d": case((32, 32), (13, 11), channels=(6, 6), groups=6, padding=((6, 6), (5, 5))),
    "dense_1d": case((257,), (101,), channels=(6, 5), padding=((100, 0),)),
    "strided_dilated": case((61, 47), (7, 5), channels=(4, 6), groups=2, stride=(3, 2), dilation=(2, 3)),
    "volumes": case((9, 10, 11), (5, 3, 4), channels=(3, 4), padding=((2, 2), (1, 1), (2, 1))),
}


def pairs(ours, oracle, arguments) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Values and gradients of both, for the same arguments and the same random cotangent, rounded once."""
    found, cotangent = [], None
    for function, leaves in ((ours, arguments), (oracle, [each.double() for each in arguments])):
        leaves = [each.detach().requires_grad_() for each in leaves]
        y = function(*leaves)
        cotangent = torch.randn_like(y) if cotangent is None else cotangent.to(y.dtype)
        found.append([y.detach(), *torch.autograd.grad(y, leaves, cotangent)])
    return found[0], found[1]


def check(terms, ours, exact, dtype):
    """``terms`` has one number per value, in the same order."""
    for (name, count), value, expected in zip(terms.items(), ours, exact, strict=True):
        assert value.dtype is dtype
        assert_matches(value, expected, float32_bound(count) if dtype is torch.float32 else TOLERANCE[dtype], name)


@EACH
@DTYPES
@pytest.mark.parametrize("name", CASES)
def test_relative_error(name, dtype, engine):
    check_problem(CASES[name], dtype, engine)


@ALL
def test_relative_error_of_edge_cases_in_float32(engine):
    """In float64 the contract of engines compares them with nested loops."""
    for problem in EDGE_CASES.values():
        check_problem(problem, torch.float32, engine)


def check_problem(problem, dtype, engine):
    arguments = [torch.randn(s, dtype=dtype) for s in (problem["input"], problem["weight"], problem["weight"][0])]
    ours, exact = pairs(
        lambda *a: convolve(*a, engine=engine, **problem["options"]),
        lambda *a: oracles.tap_convolve(*a, **problem["options"]),
        arguments,
    )
    check(summed_terms(plan_case(problem, engine)), ours, exact, dtype)


@ALL
@DTYPES
def test_relative_error_of_a_factored_weight(engine, dtype):
    problem = CASES["dense_2d"]
    out, per_group, *kernel = problem["weight"]
    arguments = [torch.randn(s, dtype=dtype) for s in (problem["input"], (out, per_group, 9), (9, *kernel))]
    ours, exact = pairs(
        lambda x, r, f: convolve(x, FactoredWeight(r, f), engine=engine, **problem["options"]),
        lambda x, r, f: oracles.tap_convolve(x, torch.einsum("oim,m...->oi...", r, f), **problem["options"]),
        arguments,
    )
    plan = plan_case(problem, engine, features=9)
    dense = summed_terms(plan)
    places = max(math.prod(kernel), math.prod(plan.weight_gradient.lengths))  # taps, or as many frequencies
    terms = {
        "output": dense["output"] + 9,
        "input": dense["input"] + 9,
        "readout": dense["weight"] + places,
        "features": dense["weight"] + out * per_group,
    }
    check(terms, ours, exact, dtype)


# A signal too long for nested loops: the sums are written out at some outputs, samples and taps.


def probes(count: int) -> list[int]:
    """Both ends and places in between, none of them special."""
    return sorted({0, 1, count - 2, count - 1, *torch.randint(count, (PROBES,)).tolist()})


def sum_over(a: torch.Tensor, b: torch.Tensor, offset: int) -> torch.Tensor:
    """Sum of a(..., j) b(..., j + offset) over all j at which both exist."""
    start, stop = max(0, -offset), min(a.shape[-1], b.shape[-1] - offset)
    return (a[..., start:stop] * b[..., start + offset : stop + offset]).sum(-1)


def exact_probes(x, w, g, left, places) -> list[torch.Tensor]:
    """Output, input gradient and weight gradient of one batch entry at some places; two channels in, two out.

    y_o(t) = sum_ij w_oi(j) x_i(t + j - left); its cotangent is g.
    """
    x, w, g = x[0].double(), w.double(), g[0].double()
    output = [sum_over(w, x[None], t - left).sum(1) for t in places[0]]
    # Sample n is read by output n - j + left, with tap j: the sum runs over the taps backwards.
    reversed_w, last = w.flip(-1), w.shape[-1] - 1
    of_input = [sum_over(reversed_w, g[:, None], n + left - last).sum(0) for n in places[1]]
    of_weight = [sum_over(g[:, None], x[None], j - left) for j in places[2]]
    return [torch.stack(values, dim=-1) for values in (output, of_input, of_weight)]


def check_long(engine, dtype, length, kernel, channels=2):
    x, w = torch.randn(1, channels, length, dtype=dtype), torch.randn(channels, channels, kernel, dtype=dtype)
    g = torch.randn(1, channels, length, dtype=dtype)
    places = probes(length), probes(length), probes(kernel)
    exact = exact_probes(x, w, g, kernel - 1, places)

    leaves = x.clone().requires_grad_(), w.clone().requires_grad_()
    y = convolve(*leaves, padding=((kernel - 1, 0),), engine=engine)
    of_input, of_weight = torch.autograd.grad(y, leaves, g)
    values = y[0], of_input[0], of_weight
    ours = [value.detach()[..., at] for value, at in zip(values, places, strict=True)]
    problem = case((length,), (kernel,), batch=1, channels=(channels, channels), padding=((kernel - 1, 0),))
    terms = summed_terms(plan_case(problem, engine))
    del terms["bias"]
    check(terms, ours, exact, dtype)


@DTYPES
@pytest.mark.parametrize("engine", ["auto", "fft", "overlap_save"])
@pytest.mark.parametrize("kernel", [31, 1301])
def test_relative_error_at_a_quarter_million_samples(engine, kernel, dtype):
    check_long(engine, dtype, LONG, kernel)


@DTYPES
def test_relative_error_of_the_direct_engine_at_a_quarter_million_samples(dtype):
    check_long("direct", dtype, LONG, 31)


@DTYPES
@pytest.mark.parametrize("engine", ["auto", "fft", "overlap_save"])
def test_relative_error_of_a_kernel_as_long_as_the_signal(engine, dtype):
    check_long(engine, dtype, LONG, LONG, channels=1)


@DTYPES
@pytest.mark.parametrize(("length", "kernel"), [(4093, 1301), (8192, 8192)])
@pytest.mark.parametrize("engine", ["auto", "fft", "overlap_save", "dft"])
def test_relative_error_of_long_axes(engine, length, kernel, dtype):
    check_long(engine, dtype, length, kernel)


def test_the_written_out_sums_are_those_of_nested_loops():
    x, w = torch.randn(1, 2, 23, dtype=torch.float64), torch.randn(2, 2, 7, dtype=torch.float64)
    options = {"stride": (1,), "padding": ((6, 0),), "dilation": (1,), "groups": 1}
    x.requires_grad_(), w.requires_grad_()
    y = oracles.loop_convolve(x, w, **options)
    g = torch.randn_like(y)
    of_input, of_weight = torch.autograd.grad(y, (x, w), g)
    places = range(23), range(23), range(7)
    exact = exact_probes(x.detach(), w.detach(), g, 6, places)
    for one, other in zip((y[0], of_input[0], of_weight), exact, strict=True):
        assert relative_error(other, one.detach()) < 1e-14
