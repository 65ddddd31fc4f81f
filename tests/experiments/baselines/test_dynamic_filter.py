"""DynamicFilter2d against loops over positions, filters and channels."""

import copy

import pytest
import torch
from torch import nn

from contracts.baseline import CASES, BaselineContract, Geometry, loop_conv, patch, read
from experiments.baselines import DynamicFilter2d
from tolerances import assert_matches


def filters_at(layer, sample, geometry):
    """The default generator: a function from a position to the taps of all filters."""
    features = sample
    for conv in (layer.generator.features[0], layer.generator.features[2]):
        same = Geometry((3, 3), (1, 1), [(1, 1), (1, 1)], (1, 1), geometry.mode)
        features = loop_conv(features, conv.weight, conv.bias, same).clamp_min(0)
    readout = layer.generator.readout

    def at(place):
        return readout.weight[:, :, 0, 0] @ read(features, geometry.middle(place), geometry.mode) + readout.bias

    return at


class TestDynamicFilter2d(BaselineContract):
    cls, options = DynamicFilter2d, {"hidden": 5}

    def oracle(self, layer, x, given):
        geometry, groups = Geometry.of(given), given.get("groups", 1)
        output = x.new_zeros(len(x), layer.out_channels, *geometry.lengths(x.shape[2:]))
        for b, sample in enumerate(x):
            at = filters_at(layer, sample, geometry)
            for place in geometry.places(x.shape[2:]):
                seen, filters = patch(sample, place, geometry), at(place).view(layer.out_channels, *geometry.kernel)
                for o in range(layer.out_channels):
                    group = seen.tensor_split(groups)[o // (layer.out_channels // groups)]
                    taps = filters[o].exp() / filters[o].exp().sum() if given.get("softmax") else filters[o]
                    bias = 0 if layer.bias is None else layer.bias[o]
                    output[b, o, place[0], place[1]] = (taps * group.sum(0)).sum() + bias
        return output

    @pytest.mark.parametrize("name", ["plain", "stride_and_dilation", "groups"])
    def test_softmax(self, name):
        given = {**CASES[name], "softmax": True}
        layer, x = self.make(**given), self.input()
        assert_matches(layer(x), self.oracle(layer, x, given))
        assert_matches(layer.filters(x).sum(3), torch.ones_like(layer.filters(x)[:, :, :, 0]))

    def test_generator_of_the_user(self):
        generator = nn.Conv2d(4, 2 * 9, 1, stride=2, dtype=torch.float64)
        twin = copy.deepcopy(generator)
        kept = twin.weight.clone()
        layer = self.make(out_channels=2, stride=2, padding=1, hidden=None, generator=generator, bias=False)
        with torch.no_grad():
            generator.weight.zero_()
            generator.bias.copy_(torch.randn(18))
        x = self.input()
        weight = generator.bias.view(2, 1, 3, 3).expand(2, 4, 3, 3)  # the same filter everywhere: a convolution
        assert_matches(layer(x), nn.functional.conv2d(x, weight, stride=2, padding=1))
        fresh = self.cls(4, 2, 3, stride=2, padding=1, generator=twin, dtype=torch.float64)
        assert fresh.generator is twin
        assert torch.equal(fresh.generator.weight, kept), "a generator that was given is not drawn anew"
        fresh.reset_parameters()
        assert not torch.equal(fresh.generator.weight, kept)

    def test_half_precision_adds_up_in_single(self):
        generator = nn.Conv2d(1, 17 * 17, 17, dtype=torch.bfloat16)
        with torch.no_grad():
            generator.weight.zero_()
            generator.bias.fill_(1)
        layer = DynamicFilter2d(1, 1, 17, bias=False, dtype=torch.bfloat16, generator=generator)
        ones = torch.ones(1, 1, 17, 17, dtype=torch.bfloat16)
        assert layer(ones).item() == pytest.approx(289, abs=1)  # bfloat16 cannot count beyond 256

    def test_generator_of_another_shape_is_refused(self):
        layer = self.make(hidden=None, generator=nn.Conv2d(4, 6 * 9, 1, dtype=torch.float64))
        with pytest.raises(ValueError, match=r"`generator` must map .* = \(2, 54, 4, 3\), got \(2, 54, 6, 5\)"):
            layer(self.input())

    def test_hidden_with_a_generator_is_refused(self):
        with pytest.raises(ValueError, match="`hidden` must be None with a `generator` of your own, got 5"):
            self.make(generator=nn.Identity())

    def test_hidden_must_be_positive(self):
        with pytest.raises(ValueError, match="`hidden` must be positive, got 0"):
            self.make(hidden=0)

    def test_circular_layer_follows_a_shift(self):
        layer, x = self.make(padding="same", padding_mode="circular"), self.input()
        assert_matches(layer(x.roll((2, 1), (2, 3))), layer(x).roll((2, 1), (2, 3)))
