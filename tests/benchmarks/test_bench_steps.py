"""Training steps: the authors' algorithm computes what ours does, and a step is measured as one."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from benchmarks.authors import AuthorsConv, authors_model
from benchmarks.steps import CASES, StepCase, make_batch, make_step, measure_case, measure_steps, parameter_groups
from flexkern import FlexConv1d, FlexConv2d, FlexConv3d, GaussianWindow, size_parameters, sizes
from tolerances import assert_matches

PAPER = GaussianWindow(continuous=False)
TINY = StepCase("flextcn2", (2, 1, 20), 20, 0.5)


@pytest.mark.parametrize("width", [0.2, 0.45, 2.0])
@pytest.mark.parametrize(
    ("cls", "shape", "options"),
    [
        (FlexConv1d, (2, 3, 21), {"kernel_size": 21, "causal": True}),
        (FlexConv1d, (2, 3, 20), {"kernel_size": 20, "causal": True}),
        (FlexConv2d, (2, 3, 9, 12), {"kernel_size": (9, 13), "padding": "same"}),
    ],
)
def test_authors_layer_has_our_values_and_gradients(cls, shape, options, width):
    layer = cls(3, 4, window=GaussianWindow(width=width, continuous=False), dtype=torch.float64, **options)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    wanted = [x, *layer.parameters()]
    ours, theirs = layer(x), AuthorsConv(layer)(x)
    assert_matches(theirs, ours, 1e-10)
    gradient = torch.randn_like(ours)
    pairs = zip(torch.autograd.grad(ours, wanted, gradient), torch.autograd.grad(theirs, wanted, gradient), strict=True)
    for one, other in pairs:
        assert_matches(other, one, 1e-10)


@pytest.mark.parametrize(
    "case", [TINY, StepCase("flexnet3", (2, 3, 8, 8), 9, 0.3), StepCase("flexnet3", (2, 3, 8, 8), 9, 0.9)], ids=str
)
def test_authors_model_has_our_loss(case):
    model = case.build().double()
    theirs = authors_model(model)
    assert any(isinstance(module, AuthorsConv) for module in theirs.modules())
    assert [p.shape for p in model.parameters()] == [p.shape for p in theirs.parameters()]
    x, labels = make_batch(case.input)
    losses, gradients = [], []
    for each in (model, theirs):
        torch.manual_seed(0)  # the same dropout
        loss = F.cross_entropy(each(x.double()), labels)
        loss.backward()
        losses.append(loss)
        gradients.append(torch.cat([p.grad.flatten() for p in each.parameters()]))
    assert_matches(losses[1], losses[0], 1e-10)
    assert_matches(gradients[1], gradients[0], 1e-10)


def test_what_the_authors_cannot_do_is_refused():
    for layer in (FlexConv2d(2, 2, 5, stride=2), FlexConv2d(2, 2, 5, groups=2), FlexConv3d(1, 1, 3)):
        with pytest.raises(ValueError, match="no stride"):
            AuthorsConv(layer)


def test_cases_are_those_of_the_table():
    assert {(case.model, case.input[2:], case.width, case.least) for case in CASES} == {
        ("flexnet7", (32, 32), 0.075, 1.2),
        ("flexnet7", (32, 32), 0.15, 5),
        ("flexnet7", (32, 32), 0.25, 20),
        ("flexnet7", (32, 32), 0.5, None),
        ("flextcn4", (784,), 1.0, 3),
        ("flextcn4", (16_000,), 0.075, 6),
    }
    first = {case.name: next(iter(sizes(case.build()).values())) for case in CASES}
    assert list(first.values()) == [(5, 5), (11, 11), (17, 17), (33, 33), (784,), (1288,)]


def test_sizes_have_gradients_but_stay():
    model = TINY.build()
    groups = parameter_groups(model)
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    assert [id(p) for p in groups[1]["params"]] == [id(p) for p in size_parameters(model)]
    step = make_step(TINY, "authors")
    losses = [step() for _ in range(3)]
    assert losses[2] != losses[0]


def test_steps_are_measured_once(tmp_path, monkeypatch):
    path, lines = tmp_path / "step.json", []
    monkeypatch.setattr("benchmarks.steps.step_memory", lambda *_: 2**20)
    slow = dataclasses.replace(TINY, width=0.4, slow=True)
    points = measure_steps(path, cases=[TINY, slow], skip_slow=True, rounds=2, say=lines.append)
    assert len(lines) == 2
    assert points[0]["results"]["authors"]["memory"] == 2**20
    assert points[0]["results"]["ours"]["rounds"] == 2
    assert 0 < points[0]["penalty"]["seconds"] < 1
    assert points[1]["results"]["authors"] == {"skipped": "takes minutes"}
    assert measure_steps(path, cases=[TINY], rounds=2, say=lambda text: pytest.fail("measured again")) == points[:1]


def test_memory_is_that_of_a_process_of_its_own():
    results = measure_case(TINY, ("ours",), rounds=1)["results"]
    assert results["ours"]["memory"] is None or 0 <= results["ours"]["memory"] < 2**30
