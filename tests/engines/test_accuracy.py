"""Relative error against float64 sums written out: 1e-6 in float32, 1e-12 in float64, values and gradients.

Direct convolution is torch's: in float32 it adds thousands of products one after the other and misses 1e-6 by itself.
There, and where auto chooses it, the bound is what ``F.conv*d`` reaches on the same tensors.
"""

import pytest
import torch
import torch.nn.functional as F

import oracles
from contracts.engine import EDGE_CASES, case
from flexkern.engines import ENGINES, ConvProblem, FactoredWeight, convolve, plan_conv
from tolerances import relative_error

ALLOWED = {torch.float32: 1e-6, torch.float64: 1e-12}
DTYPES = pytest.mark.parametrize("dtype", ALLOWED, ids=str)
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


def check(names, ours, exact, dtype, reached=()):
    errors = {name: relative_error(a, b) for name, a, b in zip(names, ours, exact, strict=True)}
    assert all(value.dtype is dtype for value in ours)
    assert max(errors.values()) <= max(ALLOWED[dtype], 1.5 * max(reached, default=0)), errors


def torch_s_errors(problem, arguments) -> list[float]:
    """Of output and gradients of ``F.conv*d``; its noise, like ours, is of the tensors that it is given."""
    ours, exact = pairs(
        lambda *a: oracles.torch_convolve(*a, mode="zeros", **problem["options"]),
        lambda *a: oracles.tap_convolve(*a, **problem["options"]),
        arguments,
    )
    return [relative_error(a, b) for a, b in zip(ours, exact, strict=True)]


def runs_direct(problem, engine) -> bool:
    _, channels, *signal = problem["input"]
    out, _, *kernel = problem["weight"]
    plan = plan_conv(
        ConvProblem(problem["input"][0], channels, out, tuple(signal), tuple(kernel), **problem["options"]), engine
    )
    return "direct" in {step.engine for step in plan.passes}


@ALL
@DTYPES
@pytest.mark.parametrize("name", [*CASES, *(f"edge_{name}" for name in EDGE_CASES)])
def test_relative_error(name, dtype, engine):
    problem = CASES[name] if name in CASES else EDGE_CASES[name.removeprefix("edge_")]
    arguments = [torch.randn(s, dtype=dtype) for s in (problem["input"], problem["weight"], problem["weight"][0])]
    ours, exact = pairs(
        lambda *a: convolve(*a, engine=engine, **problem["options"]),
        lambda *a: oracles.tap_convolve(*a, **problem["options"]),
        arguments,
    )
    reached = torch_s_errors(problem, arguments) if runs_direct(problem, engine) else ()
    check(("output", "input", "weight", "bias"), ours, exact, dtype, reached)


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
    product = torch.einsum("oim,m...->oi...", *arguments[1:])
    reached = torch_s_errors(problem, [arguments[0], product, torch.zeros(out, dtype=dtype)])
    reached = reached if runs_direct(problem, engine) else ()
    check(("output", "input", "readout", "features"), ours, exact, dtype, reached)


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

    def found(function):
        leaves = x.clone().requires_grad_(), w.clone().requires_grad_()
        y = function(*leaves)
        of_input, of_weight = torch.autograd.grad(y, leaves, g)
        values = y[0], of_input[0], of_weight
        return [value.detach()[..., at] for value, at in zip(values, places, strict=True)]

    ours = found(lambda x, w: convolve(x, w, padding=((kernel - 1, 0),), engine=engine))
    reached = []
    if engine == "direct":
        theirs = found(lambda x, w: F.conv1d(F.pad(x, (kernel - 1, 0)), w))
        reached = [relative_error(a, b) for a, b in zip(theirs, exact, strict=True)]
    check(("output", "input", "weight"), ours, exact, dtype, reached)


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
