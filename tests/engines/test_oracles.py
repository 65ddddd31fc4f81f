"""The oracles themselves, compared with torch and with problems whose solution is known."""

import itertools

import pytest
import torch

import oracles
from contracts.engine import EDGE_CASES
from flexkern.engines import ENGINES, convolve, pad
from problems import Delta, GaussianBlur, Sinusoid
from tolerances import assert_matches

EACH = pytest.mark.parametrize("engine", ENGINES)


@pytest.mark.parametrize("name", EDGE_CASES)
def test_loops_taps_and_torch_agree(name):
    problem = EDGE_CASES[name]
    x, weight = (torch.randn(problem[part], dtype=torch.float64) for part in ("input", "weight"))
    loops = oracles.loop_convolve(x, weight, **problem["options"])
    assert_matches(oracles.tap_convolve(x, weight, **problem["options"]), loops)
    assert_matches(oracles.torch_convolve(x, weight, None, mode="zeros", **problem["options"]), loops)


@EACH
def test_delta_shifts(engine):
    x = torch.randn(2, 1, 9, dtype=torch.float64)
    for tap, left in itertools.product((0, 2, 4), repeat=2):
        problem = Delta(5, tap)
        y = convolve(x, problem.kernel(), padding=((left, 4 - left),), engine=engine)
        assert_matches(y, problem.exact(x, left), name=f"tap {tap}, left {left}")


@EACH
def test_gaussian_of_gaussian_is_gaussian(engine):
    problem = GaussianBlur(7.0, 11.0)
    y = convolve(problem.signal(), problem.kernel(), padding=((128, 128),), engine=engine)
    assert_matches(y, problem.exact(), 1e-9)


@EACH
def test_sinusoid_is_scaled_by_the_transfer_function(engine):
    problem, half = Sinusoid(0.083), [0.4, 0.25, -0.1]
    kernel = torch.tensor([[half[:0:-1] + half]], dtype=torch.float64)
    assert_matches(convolve(problem.signal(), kernel, engine=engine), problem.exact(half))


@EACH
def test_kernel_is_not_flipped(engine):
    y = convolve(torch.eye(3)[1].view(1, 1, 3), torch.tensor([[[1.0, 2.0, 3.0]]]), padding=((1, 1),), engine=engine)
    assert_matches(y, torch.tensor([[[3.0, 2.0, 1.0]]]))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes_extend_first_and_then_cut(mode):
    x = torch.arange(24.0).view(1, 2, 4, 3)
    whole = torch.nn.functional.pad(x, (2, 1, 3, 2), mode=mode)
    assert_matches(pad(x, ((3, 2), (2, 1)), mode), whole)
    assert_matches(pad(x, ((3, -2), (-1, 1)), mode), torch.nn.functional.pad(x, (0, 1, 3, 0), mode=mode)[:, :, :-2, 1:])
