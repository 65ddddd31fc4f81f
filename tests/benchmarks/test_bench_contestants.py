"""Every contestant computes the same convolution, and refuses what it cannot."""

import functools
import sys
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

import oracles
from benchmarks import peers
from benchmarks.contestants import CONTESTANTS, DENSE_LIMIT, make_run, make_tensors, restore, select
from benchmarks.convolutions import enter
from benchmarks.problems import Point, make_point
from benchmarks.reference import exact_results, fourier_convolution, relative_errors
from flexkern._support.axes import CONVOLUTIONS
from flexkern.engines import ConvProblem

POINTS = {
    "dense_1d": make_point("dense", 2, (31,), 9, backward=True, channels=3),
    "kernel_even_and_as_long_as_the_signal": make_point("dense", 1, (16,), 16, backward=True, channels=2),
    "causal": make_point("dense", 2, (21,), 6, backward=True, channels=2, causal=True),
    "depthwise_1d": make_point("depthwise", 2, (33,), 7, backward=True, channels=4),
    "depthwise_causal": make_point("depthwise", 1, (20,), 9, backward=True, channels=4, causal=True),
    "dense_2d": make_point("dense", 2, (9, 11), 5, backward=True, channels=3),
    "depthwise_2d": make_point("depthwise", 2, (8, 9), 5, backward=True, channels=4),
    "forward_only": make_point("depthwise", 1, (8, 8), 3, backward=False, channels=2),
    "dense_3d": make_point("dense", 1, (6, 5, 7), 3, backward=True, channels=2),
    "depthwise_3d": make_point("depthwise", 2, (6, 5, 7), 3, backward=True, channels=3),
    "rectangular": Point(ConvProblem(2, 3, 3, (9, 12), (3, 7), padding=((1, 1), (3, 3))), True),
    "rectangular_depthwise": Point(ConvProblem(2, 4, 4, (9, 12), (7, 3), padding=((3, 3), (1, 1)), groups=4), True),
}


@pytest.mark.parametrize("name", POINTS)
def test_reference_is_the_plain_convolution(name):
    point = POINTS[name]
    x, weight, gradient = (tensor.double() for tensor in make_tensors(point.problem))
    p = point.problem
    options = {"stride": p.stride, "padding": p.padding, "dilation": p.dilation, "groups": p.groups}
    x.requires_grad_()
    weight.requires_grad_()
    output = oracles.tap_convolve(x, weight, **options)
    exact = [output.detach(), *torch.autograd.grad(output, (x, weight), gradient)]
    found = exact_results(point, make_tensors(p))
    assert max(relative_errors(found, exact).values()) < 1e-12
    assert relative_errors([fourier_convolution(x, weight, p)], exact)["output"] < 1e-12


def torch_convolution(x, weight, padding=0, groups=1):
    return CONVOLUTIONS[x.dim() - 2](x, weight, padding=padding, groups=groups)


def convolution_of_same_length(x, kernel, *, causal=False):
    """Convolve depthwise in the mathematical sense, by a kernel (1, C, *K)."""
    weight = kernel.transpose(0, 1).flip(tuple(range(2, kernel.dim())))
    sides = [(k - 1, 0) if causal else (k // 2, k // 2) for k in reversed(kernel.shape[2:])]
    padded = F.pad(x, [side for pair in sides for side in pair])
    return torch_convolution(padded, weight, groups=x.shape[1])


STUBS = {
    "fft_conv_pytorch": {"fft_conv": torch_convolution},
    "torch_fftconv": {f"fft_conv{axes}d": torch_convolution for axes in (1, 2, 3)},
    "julius": {"fft_conv1d": torch_convolution},
    "nvsubquadratic.ops.fftconv": {
        **{f"fftconv{axes}d_fp32_bhl": convolution_of_same_length for axes in (1, 2, 3)},
        "causal_fftconv1d_fp32_bhl": functools.partial(convolution_of_same_length, causal=True),
    },
}
"""The functions of other libraries, computed by torch: constraints.txt installs none of them. Where they are installed,
every benchmark compares their own results with float64 before it measures."""


@pytest.mark.parametrize("contestant", CONTESTANTS)
def test_contestants_agree_with_float64(contestant, monkeypatch):
    monkeypatch.setattr(peers, "_load", lambda name: SimpleNamespace(**STUBS[name]))
    entrant, names = CONTESTANTS[contestant], []
    for name, point in POINTS.items():
        if entrant.refuse(point):
            continue
        names.append(name)
        tensors = make_tensors(point.problem)
        results = restore(entrant, make_run(entrant, point, tensors)())
        errors = relative_errors(results, exact_results(point, tensors))
        assert len(errors) == (3 if point.backward else 1), name
        assert max(errors.values()) < 1e-5, name
    assert names


def test_ours_and_torch_take_every_point_unless_slow():
    for point in POINTS.values():
        assert all(CONTESTANTS[name].refuse(point) is None for name in ("auto", "direct", "fft", "torch"))


def test_refusals_say_why():
    large = make_point("dense", 1, (65536,), 8192, backward=True)
    assert large.problem.multiplications > DENSE_LIMIT / 3
    assert "too slow" in CONTESTANTS["torch"].refuse(large)
    assert CONTESTANTS["auto"].refuse(large) is None
    assert CONTESTANTS["authors"].refuse(POINTS["dense_2d"]) == "the same as torch"
    assert CONTESTANTS["nvsubquadratic"].refuse(POINTS["dense_2d"]) == "depthwise only"
    long = make_point("depthwise", 1, (16, 16), 33, backward=False)
    assert CONTESTANTS["nvsubquadratic"].refuse(long) == "kernel longer than twice the signal"
    assert CONTESTANTS["julius"].refuse(POINTS["depthwise_1d"]) == "one axis and one group only"
    assert "products of spectra" in CONTESTANTS["torch-fftconv"].refuse(
        make_point("dense", 64, (8192,), 8192, backward=False)
    )


def test_a_missing_package_is_skipped_with_its_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "fft_conv_pytorch", None)
    point = POINTS["dense_1d"]
    tensors = make_tensors(point.problem)
    entry, run = enter(CONTESTANTS["fft-conv-pytorch"], point, tensors, exact_results(point, tensors))
    assert run is None
    assert "not installed" in entry["skipped"]
    assert "fft_conv_pytorch" in entry["skipped"]


def test_wrong_results_and_errors_of_others_are_failures(monkeypatch):
    point = POINTS["dense_1d"]
    tensors = make_tensors(point.problem)
    exact = exact_results(point, tensors)
    monkeypatch.setattr(
        peers, "_load", lambda name: type("Wrong", (), {"fft_conv1d": lambda x, w: 2 * (x + 0 * w.sum())})
    )
    entry, run = enter(CONTESTANTS["julius"], point, tensors, exact)
    assert run is None
    assert "failed" in entry
    monkeypatch.setattr(peers, "_load", lambda name: type("Broken", (), {"fft_conv1d": lambda x, w: 1 / 0}))
    assert "ZeroDivisionError" in enter(CONTESTANTS["julius"], point, tensors, exact)[0]["failed"]


def test_nan_is_an_infinite_error():
    bad = torch.tensor([1.0, float("nan")])
    assert relative_errors([bad], [torch.ones(2).double()])["output"] == float("inf")


def test_unknown_contestant_names_the_nearest():
    assert [contestant.name for contestant in select(["auto", "torch"])] == ["auto", "torch"]
    assert len(select()) == len(CONTESTANTS)
    with pytest.raises(ValueError, match=r"unknown contestant 'torhc'.*did you mean 'torch'"):
        select(["torhc"])
