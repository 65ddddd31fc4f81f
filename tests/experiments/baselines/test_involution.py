"""Involution2d against loops over positions, groups and channels."""

import itertools

import pytest
import torch

from contracts.baseline import CASES, BaselineContract, Geometry, patch, read
from experiments.baselines import Involution2d
from tolerances import assert_matches


def seen_by_generator(sample, place, geometry):
    """The middle of the window; with a stride, the average from there on, as far as windows could still follow."""
    middle, last = geometry.middle(place), geometry.last_middle(sample.shape[1:])
    axes = [range(m, min(m + s, end + 1)) for m, s, end in zip(middle, geometry.stride, last, strict=True)]
    samples = [read(sample, at, geometry.mode) for at in itertools.product(*axes)]
    return sum(samples) / len(samples)


def normalised(norm, hidden):
    """Batch normalisation of a list of vectors."""
    mean, var = norm.running_mean, norm.running_var
    if norm.training:
        mean = sum(hidden) / len(hidden)
        var = sum((h - mean) ** 2 for h in hidden) / len(hidden)
    return [(h - mean) / (var + norm.eps).sqrt() * norm.weight + norm.bias for h in hidden]


class TestInvolution2d(BaselineContract):
    cls, options, channels = Involution2d, {"group_channels": 2, "reduction": 2}, (4, 4)

    @classmethod
    def conv_cases(cls):
        return [name for name, given in CASES.items() if "groups" not in given]

    def oracle(self, layer, x, given):
        geometry = Geometry.of(given)
        output = x.new_zeros(len(x), layer.out_channels, *geometry.lengths(x.shape[2:]))
        everywhere = [(b, *place) for b in range(len(x)) for place in geometry.places(x.shape[2:])]
        first, norm, _, second = layer.generator
        hidden = [first.weight[:, :, 0, 0] @ seen_by_generator(x[b], place, geometry) for b, *place in everywhere]
        for (b, *place), h in zip(everywhere, normalised(norm, hidden), strict=True):
            kernels = second.weight[:, :, 0, 0] @ h.clamp_min(0) + second.bias
            kernels = kernels.view(-1, *geometry.kernel)  # one per group
            seen = patch(x[b], place, geometry)
            for c in range(layer.out_channels):
                bias = 0 if layer.bias is None else layer.bias[c]
                output[b, c, place[0], place[1]] = (kernels[c // layer.group_channels] * seen[c]).sum() + bias
        return output

    @pytest.mark.parametrize("name", ["same", "stride"])
    def test_statistics_of_the_batch_in_training(self, name):
        layer, x = self.make(**CASES[name]).train(), self.input()
        assert_matches(layer(x), self.oracle(layer, x, CASES[name]))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"out_channels": 8}, "`out_channels` must equal `in_channels` for an involution.*, got 8 and 4"),
            ({"groups": 2}, "`groups` must be 1 for an involution, set `group_channels`, got 2"),
            ({"group_channels": 3}, "`in_channels` must be divisible by `group_channels`, got 4 and 3"),
            ({"group_channels": 0}, "`group_channels` must be positive, got 0"),
            ({"reduction": 0}, "`reduction` must be positive, got 0"),
        ],
    )
    def test_own_arguments_are_checked(self, changes, message):
        with pytest.raises(ValueError, match=message):
            self.make(**changes)

    def test_stride_averages_as_the_paper(self):
        """An even signal, an odd kernel, padding "same" and stride 2: plain average pooling, nothing cut."""
        layer = self.make(stride=2, padding=1)
        x = torch.randn(1, 4, 8, 6, dtype=torch.float64)
        kernels = layer.generator(torch.nn.functional.avg_pool2d(x, 2)).unflatten(1, (2, 1, 9))
        assert_matches(layer.kernels(x), kernels)
