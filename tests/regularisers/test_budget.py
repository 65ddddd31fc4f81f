"""The size budget: compared with counted products, its gradient, its effect in training."""

import math

import pytest
import torch
from torch import nn

import flexkern
from flexkern import size_budget
from flexkern.analysis import count_cost
from flexkern.regularisers import expected_macs, output_positions


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda w: flexkern.FlexConv2d(2, 3, 65, padding="same", window=w), (2, 20, 24)),
        (lambda w: flexkern.FlexConv2d(2, 4, (65, 33), padding=9, stride=2, groups=2, window=w), (2, 64, 40)),
        (lambda w: flexkern.FlexConv1d(2, 3, 301, causal=True, window=w), (2, 50)),
    ],
)
@pytest.mark.parametrize("width", [0.1, 0.23])
def test_it_is_the_cost_that_is_counted(make, shape, width):
    layer = make(flexkern.GaussianWindow(width=width))
    expected = expected_macs(layer, output_positions(layer, shape)).item()
    assert expected == pytest.approx(count_cost(layer, shape).macs, rel=0.12)


def test_it_averages_the_cost_of_whole_sizes():
    layer = flexkern.FlexConv1d(1, 1, 65, padding="same")
    found, counted = [], []
    for width in torch.linspace(0.05, 0.3, 400):
        layer.window.set_width(width[None])
        found.append(expected_macs(layer, {"": 1}).item())
        counted.append(layer.size[0])
    assert sum(found) / len(found) == pytest.approx(sum(counted) / len(counted), rel=0.02)


def test_whole_horizons_count_all_their_samples():
    wide = flexkern.GaussianWindow(width=2.0)
    assert expected_macs(flexkern.FlexConv2d(1, 1, (5, 1), window=wide), {"": 1}).item() == pytest.approx(5)
    assert expected_macs(flexkern.FlexConv1d(1, 1, 6, causal=True, window=wide), {"": 1}).item() == pytest.approx(6)


def test_a_layer_used_twice_counts_twice():
    layer = flexkern.FlexConv2d(1, 1, 9, padding="same")
    assert output_positions(nn.Sequential(layer, nn.AvgPool2d(2), layer), (1, 8, 8)) == {"0": 64 + 16}


def test_counting_leaves_the_model_as_it_was():
    net = nn.Sequential(flexkern.FlexConv2d(1, 1, 9, padding="same"), nn.BatchNorm2d(1), nn.Dropout(0.5))
    net[2].eval()
    before = net[1].running_mean.clone()
    output_positions(net, (1, 8, 8))
    assert [module.training for module in net] == [True, True, False]
    assert torch.equal(net[1].running_mean, before)


def test_kernels_shrink_into_the_budget():
    layer = flexkern.FlexConv2d(1, 2, 33, padding="same", window=flexkern.GaussianWindow(width=0.6))
    counts = output_positions(layer, (1, 28, 28))
    optimiser = torch.optim.Adam(layer.window.parameters(), 0.05)
    for _ in range(100):
        optimiser.zero_grad()
        size_budget(layer, 784 * 2 * 81, counts).backward()
        optimiser.step()
    assert math.prod(layer.size) <= 121
    assert size_budget(layer, 784 * 2 * 2000, counts).item() == 0


def test_gradients():
    layer = flexkern.FlexConv2d(1, 2, 33, dtype=torch.float64, window=flexkern.GaussianWindow(per_channel=True))
    with torch.no_grad():
        layer.window.log_width.add_(torch.randn(2, 2) / 9)
    size_budget(layer, 10.0, {"": 5}).backward()
    step = torch.zeros_like(layer.window.log_width)
    step[0, 1] = 1e-6
    with torch.no_grad():
        low, high = (_moved(layer, sign * step) for sign in (-1, 1))
    assert ((high - low) / 2e-6).item() == pytest.approx(layer.window.log_width.grad[0, 1].item(), rel=1e-5)


def _moved(layer, step):
    layer.window.log_width.add_(step)
    found = size_budget(layer, 10.0, {"": 5})
    layer.window.log_width.sub_(step)
    return found


def test_errors():
    layer = flexkern.FlexConv2d(1, 1, 9)
    with pytest.raises(ValueError, match="`macs` must be positive, got 0"):
        size_budget(layer, 0, {"": 1})
    for model in (nn.Conv2d(1, 1, 3), flexkern.freeze_sizes(flexkern.FlexConv2d(1, 1, 9))):
        with pytest.raises(ValueError, match="no layer whose size is learned"):
            size_budget(model, 1e6, {"": 1})
    with pytest.raises(ValueError, match="`positions` has none for '0'"):
        size_budget(nn.Sequential(layer), 1e6, {"_orig_mod.0": 5})
