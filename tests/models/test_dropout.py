"""The faster dropout: torch's distribution, torch's behaviour."""

import copy
import pickle

import pytest
import torch
from torch import nn

from flexkern.models.blocks import Dropout
from tolerances import assert_matches


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.9])
def test_share_and_scale_of_what_is_kept(p):
    x = torch.randn(400, 1000)
    y = Dropout(p)(x)
    kept = y != 0
    assert abs(kept.double().mean().item() - (1 - p)) < 4 * (p * (1 - p) / x.numel()) ** 0.5 + 2**-16
    assert_matches(y[kept], x[kept] / (1 - p), 1e-4)


def test_values_are_dropped_independently():
    """Also those decided by one random number: neighbours, and neighbours at any distance up to eight."""
    dropped = (Dropout(0.3)(torch.ones(2**20)) == 0).double() - 0.3
    for distance in range(1, 9):
        correlation = (dropped[distance:] * dropped[:-distance]).mean().item() / 0.21
        assert abs(correlation) < 5e-3, distance


@pytest.mark.parametrize("lane", range(4))
def test_every_lane_has_the_same_share(lane):
    assert abs((Dropout(0.2)(torch.ones(2**20))[lane::4] == 0).double().mean().item() - 0.2) < 4e-3


def test_evaluation_changes_nothing():
    x = torch.randn(3, 5)
    assert Dropout(0.5).eval()(x) is x


@pytest.mark.parametrize("p", [0.0, 1.0, 1e-9])
def test_all_or_nothing(p):
    x = torch.randn(1000)
    assert_matches(Dropout(p)(x), nn.functional.dropout(x, p))


def test_seed_decides():
    x = torch.ones(1001)
    results = [(torch.manual_seed(seed), Dropout(0.5)(x))[1] for seed in (3, 3, 4)]
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_gradient_is_that_of_what_was_kept():
    x = torch.randn(101, requires_grad=True)
    y = Dropout(0.4)(x)
    y.sum().backward()
    assert_matches(x.grad, torch.where(y != 0, 1 / 0.6, 0.0), 1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3, 5)])
def test_shapes_and_dtypes(shape, dtype):
    y = Dropout(0.5)(torch.ones(shape, dtype=dtype))
    assert (y.shape, y.dtype) == (torch.Size(shape), dtype)
    assert bool(((y == 0) | ((y - 2).abs() < 1e-2)).all())


def test_in_place():
    x = torch.ones(100)
    assert Dropout(0.5, inplace=True)(x) is x
    assert 0 < int((x == 0).sum()) < 100


def test_it_is_a_dropout():
    module = Dropout(0.3)
    assert isinstance(module, nn.Dropout)
    assert repr(module) == "Dropout(p=0.3, inplace=False)"
    assert pickle.loads(pickle.dumps(module)).p == copy.deepcopy(module).p == 0.3
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    assert 0 < int((compiled(torch.ones(100)) == 0).sum()) < 100
