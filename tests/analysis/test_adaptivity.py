"""Measurements of adaptivity and cost."""

import pytest
import torch
from torch import nn

from flexkern import (
    AdaptiveConv1d,
    AdaptiveConv2d,
    AdaptiveFlexConv1d,
    AdaptiveFlexConv2d,
    FlexConv2d,
    SeparableFlexConv2d,
    create_model,
)
from flexkern.analysis import adaptivity, count_cost, with_mean_kernels
from flexkern.analysis.mean_kernels import inputs_of
from tolerances import assert_matches


def test_kernels_that_do_not_see_the_input_do_not_vary():
    layer = AdaptiveConv2d(2, 3, 3, padding="same")
    with torch.no_grad():
        layer.generator_weight.zero_()
    found = adaptivity(layer, torch.randn(4, 2, 6, 6))
    assert found.share == pytest.approx(0, abs=1e-12)
    assert_matches(found.mean, layer.spec.as_weight(layer.generator_bias.tanh()), 1e-6)
    assert found.map.shape == (4, 6, 6)


def test_even_kernels_have_no_mean():
    layer = AdaptiveConv2d(1, 3, 3, bias_generator=False)
    x = torch.randn(4, 1, 6, 6)
    assert adaptivity(layer, torch.cat([x, -x])).share == pytest.approx(1, abs=1e-5)


def test_the_map_shows_where_kernels_differ():
    layer = AdaptiveConv2d(1, 2, 3, padding="same")
    x = torch.zeros(1, 1, 16, 16)
    x[..., 8, 8] = 3
    found = adaptivity(layer, x)
    near = found.map[0, 7:10, 7:10]
    assert near.mean() > 10 * found.map[0, :5].mean()


@pytest.mark.parametrize("sharing", ["pair", "shared", "full"])
@pytest.mark.parametrize("options", [{"stride": 2, "padding": 1}, {"padding": "same", "padding_mode": "circular"}])
def test_mean_kernels_replace_layers_that_do_not_vary(sharing, options):
    model = nn.Sequential(AdaptiveConv2d(4, 6, 3, groups=2, sharing=sharing, **options), nn.ReLU()).eval()
    with torch.no_grad():
        model[0].generator_weight.zero_()
    x = torch.randn(2, 4, 8, 8)
    twin = with_mean_kernels(model, x)
    assert_matches(twin(x), model(x), 1e-5)
    assert isinstance(model[0], AdaptiveConv2d)  # the model itself is left alone
    assert not isinstance(twin[0], AdaptiveConv2d)


def test_inputs_are_those_of_the_layers():
    model = nn.Sequential(nn.ReLU(), AdaptiveConv1d(1, 2, 3))
    x = torch.randn(3, 1, 9)
    assert_matches(inputs_of(model, x)["1"], x.relu())
    with pytest.raises(ValueError, match="no adaptive convolution"):
        with_mean_kernels(nn.Sequential(nn.ReLU()), x)


@pytest.mark.parametrize("shared", ["layer", "block"])
def test_a_layer_used_twice_is_replaced_twice_by_the_mean_over_both(shared):
    layer = AdaptiveConv1d(2, 2, 3, padding="same")
    part = layer if shared == "layer" else nn.Sequential(layer, nn.ReLU())
    x = torch.randn(3, 2, 9)
    twin = with_mean_kernels(nn.Sequential(part, part), x)
    assert not [module for module in twin.modules() if isinstance(module, AdaptiveConv1d)]
    mean = adaptivity(layer, torch.cat([x, part(x)])).mean
    (found,) = {id(one): one for one in twin.modules() if hasattr(one, "arguments")}.values()
    assert_matches(found.weight, mean.expand_as(found.weight))


def test_a_layer_that_meets_two_sizes_is_measured_on_the_first():
    layer = AdaptiveConv1d(2, 2, 3, padding="same")
    x = torch.randn(3, 2, 8)
    assert_matches(inputs_of(nn.Sequential(layer, nn.MaxPool1d(2), layer), x)["0"], x)


def test_costs_are_those_of_the_formula():
    cost = count_cost(AdaptiveConv2d(3, 16, 3, padding="same", bias=False), (3, 8, 8))
    assert cost.macs == 64 * 3 * 16 * 9 * (9 + 1)
    assert cost.activations == 64 * 3 * 16 * 9
    assert cost.parameters == 4_320
    shared = count_cost(AdaptiveConv2d(3, 16, 3, padding="same", bias=False, sharing="shared"), (3, 8, 8))
    assert shared.macs == 64 * 16 * 9 * (27 + 1)
    depthwise = count_cost(AdaptiveConv2d(4, 4, 3, padding="same", bias=False, sharing="depthwise"), (4, 8, 8))
    assert depthwise.macs == 64 * 4 * 9 * 10


def test_costs_without_squash_and_of_learned_sizes():
    linear = AdaptiveConv2d(4, 4, 1, bias=False, sharing="depthwise", squash=nn.Identity())
    assert count_cost(linear, (4, 8, 8)).activations == 0
    assert count_cost(FlexConv2d(2, 3, 33, padding="same", init_size=(5, 7)), (2, 8, 8)).macs == 64 * 3 * 2 * 35
    separable = SeparableFlexConv2d(2, 3, 33, padding="same", init_size=5)
    assert count_cost(separable, (2, 8, 8)).macs == 64 * 2 * 25 + 64 * 3 * 2
    mixed = AdaptiveFlexConv2d(2, 3, 33, padding="same", init_size=5, rank=4)
    assert count_cost(mixed, (2, 8, 8)).macs == 64 * 4 * 2 * 25 + 64 * 3 * 4 * (2 * 1 + 1)
    assert count_cost(mixed, (2, 8, 8)).activations == 64 * 3 * 4


def test_costs_of_a_network():
    cost = count_cost(create_model("lenet_caffe"), (1, 28, 28))
    assert cost.macs == 20 * 576 * 25 + 50 * 64 * 20 * 25 + 800 * 500 + 500 * 10
    assert cost.activations == 20 * 576 + 50 * 64 + 500
    assert cost.parameters == 431_080


@pytest.mark.parametrize("dims", [1, 2])
def test_mixed_kernels_vary_as_their_sums_do(dims):
    """Compare with the kernels of all positions, computed explicitly."""
    layer = (AdaptiveFlexConv1d, AdaptiveFlexConv2d)[dims - 1](2, 3, 5, padding="same", rank=2)
    x = torch.randn(3, 2, *(6,) * dims)
    found = adaptivity(layer, x)
    mixing, kernels = layer.mixing(x).flatten(3), layer.basis.weight
    every = torch.einsum("borp,ri...->bpoi...", mixing, kernels)  # (B, P, out, in, *K)
    mean = every.mean((0, 1))
    assert_matches(found.mean, mean, 1e-5)
    off = (every - mean).square()
    assert found.share == pytest.approx((off.sum() / every.square().sum()).item(), rel=1e-4)
    assert 0 < found.share < 1
    assert_matches(found.map.flatten(1), off.flatten(2).mean(2), 1e-5)


def test_mixed_kernels_are_replaced_by_their_mean():
    model = nn.Sequential(AdaptiveFlexConv2d(2, 3, 5, padding=2, stride=2), nn.ReLU()).eval()
    x = torch.randn(4, 2, 9, 9)
    twin = with_mean_kernels(model, x)
    assert not any(isinstance(module, AdaptiveFlexConv2d) for module in twin.modules())
    with torch.no_grad():
        assert not torch.allclose(twin(x), model(x))
        assert_matches(twin(x[0]), twin(x)[0], 1e-5)
        model[0].mixing_weight.zero_()
        assert_matches(with_mean_kernels(model, x)(x), model(x), 1e-5)
