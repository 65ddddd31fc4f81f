"""The rule that preserves the variance of white noise."""

import pytest
import torch

from flexkern.functional import kernel_gain, readout_std


def test_gain_is_the_standard_deviation_of_filtered_noise():
    weight = torch.randn(8, 3, 5) / 4
    filtered = torch.nn.functional.conv1d(torch.randn(64, 3, 512), weight)
    std = filtered.square().mean().sqrt()
    assert std.item() == pytest.approx(kernel_gain(weight).item(), rel=0.02)


@pytest.mark.parametrize("in_channels", [1, 4])
def test_readout_of_this_standard_deviation_gives_a_gain_of_one(in_channels):
    amplitudes = torch.tensor([0.01, 1, 5, 0.3, 2, 0]).view(-1, 1, 1)
    features = torch.randn(6, 3, 7) * amplitudes
    std = readout_std(features, in_channels)
    readout = std * torch.randn(4000, in_channels, 6)
    weight = (readout @ features.flatten(1)).unflatten(-1, (3, 7))
    assert kernel_gain(weight).item() == pytest.approx(1, rel=0.05)


def test_features_of_zero_are_rejected():
    with pytest.raises(ValueError, match="all zero"):
        readout_std(torch.zeros(3, 5), 1)
