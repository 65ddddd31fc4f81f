"""Ordinary convolutions by our engines are torch's, values and gradients."""

import copy

import pytest
import torch
from torch import nn

from experiments import by_engines
from experiments.by_engines import ByEngines
from flexkern.engines import convolve


def outcome(conv, x):
    x = x.clone().requires_grad_()
    y = conv(x)
    y.square().sum().backward()
    return [y.detach(), x.grad, *(parameter.grad for parameter in conv.parameters())]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # torch's own copy
@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 15, "padding": "same"},
        {"kernel_size": (4, 9), "padding": "same", "dilation": (1, 2), "bias": False},
        {"kernel_size": 5, "padding": "valid", "stride": 2, "groups": 2},
        {"kernel_size": (3, 7), "padding": (1, 5), "stride": (2, 1)},
        {"kernel_size": 3, "padding": 1, "padding_mode": "circular"},
    ],
    ids=str,
)
def test_layers_stay_what_they_are(options):
    torch.manual_seed(0)
    plain = nn.Conv2d(4, 6, **options, dtype=torch.float64)
    x = torch.randn(2, 4, 14, 17, dtype=torch.float64)
    expected = outcome(copy.deepcopy(plain), x)
    with ByEngines():
        found = outcome(plain, x)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_only_convolutions_inside_go_by_the_engines(monkeypatch):
    calls = []
    monkeypatch.setattr(by_engines, "convolve", lambda *args, **kwargs: calls.append(1) or convolve(*args, **kwargs))
    net, x = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU(), nn.Conv2d(1, 1, 3)), torch.zeros(1, 1, 9, 9)
    net(x)
    assert not calls
    with ByEngines():
        net(x)
    assert len(calls) == 2
    net(x)
    assert len(calls) == 2
