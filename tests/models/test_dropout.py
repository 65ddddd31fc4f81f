"""The faster dropout: the distribution and the behaviour of torch's."""

import copy
import pickle

import pytest
import torch
from torch import nn

from flexkern.models.blocks import Dropout
from tolerances import assert_matches


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.9])
def test_share_and_scale_of_the_remaining_values(p):
    x = torch.randn(400, 1000)
    y = Dropout(p)(x)
    remains = y != 0
    standard_error = (p * (1 - p) / x.numel()) ** 0.5
    assert remains.double().mean().item() == pytest.approx(1 - p, abs=4 * standard_error + 2**-16)
    assert_matches(y[remains], x[remains] / (1 - p), 1e-4)


def test_values_are_dropped_independently():
    """Neighbours at any distance up to eight are uncorrelated, although one random number decides four of them."""
    is_dropped = Dropout(0.3)(torch.ones(2**20)) == 0
    deviation = is_dropped.double() - 0.3
    for distance in range(1, 9):
        covariance = (deviation[distance:] * deviation[:-distance]).mean().item()
        assert abs(covariance / 0.21) < 5e-3, distance


@pytest.mark.parametrize("lane", range(4))
def test_every_lane_has_the_same_share(lane):
    is_dropped = Dropout(0.2)(torch.ones(2**20)) == 0
    assert is_dropped[lane::4].double().mean().item() == pytest.approx(0.2, abs=4e-3)


def test_evaluation_changes_nothing():
    x = torch.randn(3, 5)
    assert Dropout(0.5).eval()(x) is x


@pytest.mark.parametrize("p", [0.0, 1.0, 1e-9])
def test_all_or_nothing(p):
    x = torch.randn(1000)
    assert_matches(Dropout(p)(x), nn.functional.dropout(x, p))


def test_the_seed_determines_the_values():
    def drop(seed):
        torch.manual_seed(seed)
        return Dropout(0.5)(torch.ones(1001))

    assert torch.equal(drop(3), drop(3))
    assert not torch.equal(drop(3), drop(4))


def test_gradients_pass_through_the_remaining_values():
    x = torch.randn(101, requires_grad=True)
    y = Dropout(0.4)(x)
    y.sum().backward()
    assert_matches(x.grad, torch.where(y != 0, 1 / 0.6, 0.0), 1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3, 5)])
def test_shapes_and_dtypes(shape, dtype):
    y = Dropout(0.5)(torch.ones(shape, dtype=dtype))
    assert (y.shape, y.dtype) == (torch.Size(shape), dtype)
    is_zero = y == 0
    is_doubled = (y - 2).abs() < 1e-2
    assert bool((is_zero | is_doubled).all())


def test_in_place():
    x = torch.ones(100)
    assert Dropout(0.5, inplace=True)(x) is x
    assert 0 < int((x == 0).sum()) < 100


def test_it_is_torch_s_module():
    module = Dropout(0.3)
    assert isinstance(module, nn.Dropout)
    assert repr(module) == "Dropout(p=0.3, inplace=False)"
    assert pickle.loads(pickle.dumps(module)).p == 0.3
    assert copy.deepcopy(module).p == 0.3


def test_it_compiles_in_one_graph():
    compiled = torch.compile(Dropout(0.3), fullgraph=True, backend="eager")
    assert 0 < int((compiled(torch.ones(100)) == 0).sum()) < 100
