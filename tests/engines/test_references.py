"""The cost of a direct convolution is looked up among reference convolutions."""

import dataclasses
import itertools
import math

import pytest
import torch

from flexkern.engines import ConvProblem, PassPlan, convolve, lies_channels_last
from flexkern.engines.choice.candidates import candidates
from flexkern.engines.choice.chooser import make_plan
from flexkern.engines.choice.cost_model import (
    SIGNALS,
    CostModel,
    case_of,
    cases,
    constant_names,
    direct_seconds,
    references,
)
from flexkern.engines.choice.workload import direct_work
from flexkern.engines.plan import PASSES
from tolerances import assert_matches, float32_bound

CASE = "direct/2d/dense/forward/contiguous/single/5"


def test_every_reference_has_its_constant_in_every_pass():
    names = set(constant_names())
    for problem, name in itertools.product(references(), PASSES):
        assert f"{case_of(problem, PassPlan('direct'), name)}/{problem.signal[0]}" in names


def test_references_of_a_case_grow():
    for points in cases().values():
        work = list(points.values())
        assert work == sorted(set(work))


@pytest.mark.parametrize("power", [0.5, 1.0, 1.7])
def test_a_power_law_is_interpolated_exactly(power):
    points = cases()[CASE]
    constants = {name: 1e-9 * work**power for name, work in points.items()}
    low, *_, high = points.values()
    for share in (0, 0.1, 0.5, 0.77, 1):
        work = low ** (1 - share) * high**share
        assert direct_seconds(CASE, work, constants) == pytest.approx(1e-9 * work**power, rel=1e-9)


def test_beyond_the_references_time_grows_with_work_and_below_them_with_its_root():
    points = cases()[CASE]
    constants = dict(zip(points, (1.0, 2.0, 8.0), strict=True))
    low, *_, high = points.values()
    assert direct_seconds(CASE, 3 * high, constants) == pytest.approx(24)
    assert direct_seconds(CASE, low / 100, constants) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("kernel", "padding", "stride", "dilation"),
    [
        (1, (0, 0), 1, 1),
        (17, (8, 8), 1, 1),
        (31, (30, 0), 1, 1),
        (5, (4, 2), 1, 2),
        (9, (4, 4), 2, 1),
        (24, (0, 0), 1, 1),
    ],
)
def test_taps_on_padding_are_not_work(kernel, padding, stride, dilation):
    problem = ConvProblem(3, 1, 1, (24,), (kernel,), (stride,), (padding,), (dilation,))
    (signal,), (taps,), (outputs,) = problem.geometry
    met = sum(u + tap in signal for u in outputs for tap in taps)
    assert direct_work(problem).flops == pytest.approx(2 * 3 * met, rel=0 if stride == dilation == 1 else 0.05)


@pytest.mark.parametrize("kernel", [1, 2, 4, 6, 8, 40])
def test_other_kernels_cost_as_the_nearest_case(kernel):
    problem = ConvProblem(1, 24, 24, (64, 64), (kernel, kernel), padding=((kernel // 2,) * 2,) * 2)
    nearest = int(case_of(problem, PassPlan("direct"), "forward").rpartition("/")[2])
    assert nearest in SIGNALS[2]
    assert abs(math.log(nearest / kernel)) == min(abs(math.log(one / kernel)) for one in SIGNALS[2])


def test_layouts_are_cases_of_their_own():
    problem = ConvProblem(4, 24, 24, (32, 32), (3, 3), padding=((1, 1),) * 2)
    last = dataclasses.replace(problem, channels_last=True)
    found = [
        case_of(one, PassPlan("direct", channels_last=layout), "forward").split("/")[4]
        for one, layout in ((problem, False), (problem, True), (last, True))
    ]
    assert found == ["contiguous", "converted", "channels_last"]


def test_direct_convolution_keeps_a_layout_that_is_channels_last():
    problem = ConvProblem(4, 24, 24, (32, 32), (3, 3), padding=((1, 1),) * 2, channels_last=True)
    assert [plan.channels_last for plan in candidates(problem, "direct")] == [True]
    x, weight = torch.randn(4, 24, 32, 32).contiguous(memory_format=torch.channels_last), torch.randn(24, 24, 3, 3)
    output = convolve(x, weight, padding=((1, 1),) * 2, engine="direct")
    assert output.is_contiguous(memory_format=torch.channels_last)
    expected = torch.nn.functional.conv2d(x.double(), weight.double(), padding=1)
    assert_matches(output, expected, float32_bound(24 * 9))


@pytest.mark.parametrize("engine", ["fft", "dft", "overlap_save", "direct", "auto"])
@pytest.mark.parametrize("axes", [2, 3])
def test_the_layout_of_the_input_changes_no_result(engine, axes):
    form = torch.channels_last if axes == 2 else torch.channels_last_3d
    x = torch.randn(3, 4, *(9,) * axes, dtype=torch.float64)
    weight, padding = torch.randn(5, 4, *(3,) * axes, dtype=torch.float64), ((1, 1),) * axes
    results = []
    for given in (x, x.contiguous(memory_format=form)):
        given, kernel = given.detach().requires_grad_(), weight.clone().requires_grad_()
        output = convolve(given, kernel, padding=padding, engine=engine)
        results.append((output, *torch.autograd.grad(output.square().sum(), (given, kernel))))
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, rtol=1e-10, atol=1e-10)


def test_an_autograd_function_of_ours_must_pay():
    problem = ConvProblem(1, 24, 24, (16, 16), (7, 7), padding=((3, 3),) * 2)
    shipped = dict(CostModel.shipped().constants)
    cheap = {name: 1e-9 for name in shipped if "/forward/" in name and name.startswith("direct")}
    dear = {name: 1.0 for name in shipped if "_gradient/" in name and name.startswith("direct")}
    mixed = make_plan(problem, "auto", CostModel({**shipped, **cheap, **dear, "autograd/calls": 1e-9}))
    plain = make_plan(problem, "auto", CostModel({**shipped, **cheap, **dear, "autograd/calls": 10.0}))
    assert mixed.forward.engine == "direct" != mixed.input_gradient.engine
    assert {step.engine for step in plain.passes} == {"direct"}


def test_layout_of_an_input():
    images = torch.randn(2, 3, 8, 8)
    assert not lies_channels_last(images)
    assert lies_channels_last(images.contiguous(memory_format=torch.channels_last))
    assert not lies_channels_last(images[:, :1].contiguous(memory_format=torch.channels_last))  # both at once
    assert not lies_channels_last(images.mT)
    assert lies_channels_last(torch.randn(2, 3, 4, 5, 6).contiguous(memory_format=torch.channels_last_3d))
    assert not lies_channels_last(torch.randn(2, 3, 8))
    with pytest.raises(ValueError, match="must have shapes"):
        convolve(torch.randn(5, 4).t(), torch.randn(2, 4, 3))


def test_shared_gradients_are_priced_as_such():
    problem = ConvProblem(1, 24, 24, (48, 48), (7, 7), padding=((3, 3),) * 2)
    shipped = dict(CostModel.shipped().constants)
    # Calls are dear, those of the library dearest: dft is the best of the spectral engines.
    shipped |= {name: 1e-4 if "matrices/" in name else 1e-1 for name in shipped if name.endswith("/calls")}
    model = CostModel(shipped)
    direct = {name: 1e-9 for name in shipped if name.startswith("direct/2d/dense/forward")}
    step, plain = (make_plan(problem, engine, model) for engine in ("dft", "direct"))
    assert step.input_gradient == step.weight_gradient
    shared = model.shared_seconds(problem, step.input_gradient)
    # Torch's input gradient is dearer than ours, its weight gradient cheaper, though not than what ours adds.
    gradients = {}
    for name, more in (("input_gradient", shared), ("weight_gradient", -shared / 2)):
        scale = (getattr(step, name).seconds + more) / getattr(plain, name).seconds
        of_pass = f"direct/2d/dense/{name}"
        gradients |= {key: value * scale for key, value in shipped.items() if key.startswith(of_pass)}
    constants = {
        **shipped,
        **direct,
        **gradients,
        "autograd/calls": 1e-12,
    }
    chosen = make_plan(problem, "auto", CostModel(constants))
    assert chosen.forward.engine == "direct"
    assert chosen.input_gradient.engine == chosen.weight_gradient.engine != "direct"
