"""A new layer keeps the variance of white noise: whatever the generator, the window and the initial size."""

import pytest
import torch

from flexkern import (
    GENERATORS,
    CKConv1d,
    CKConv2d,
    CKConv3d,
    FlexConv1d,
    FlexConv2d,
    FlexConv3d,
    GaussianWindow,
    SeparableFlexConv1d,
    SeparableFlexConv2d,
)
from flexkern.functional import kernel_gain

SUBJECTS = {
    "centred_1d": lambda g: FlexConv1d(8, 8, 65, generator=g),
    "causal": lambda g: FlexConv1d(8, 8, 65, causal=True, generator=g),
    "causal_small": lambda g: FlexConv1d(8, 8, 64, causal=True, init_size=3, generator=g),
    "causal_whole": lambda g: FlexConv1d(8, 8, 64, causal=True, init_size=64, generator=g),
    "centred_2d": lambda g: FlexConv2d(8, 8, 17, generator=g),
    "smallest": lambda g: FlexConv2d(8, 8, 17, init_size=3, generator=g),
    "rectangular": lambda g: FlexConv2d(8, 8, (17, 9), init_size=(13, 5), generator=g),
    "groups": lambda g: FlexConv2d(8, 16, 9, groups=4, generator=g),
    "depthwise": lambda g: FlexConv2d(16, 16, 9, groups=16, generator=g),
    "continuous": lambda g: FlexConv2d(8, 8, 17, window=GaussianWindow(continuous=True, width=0.3), generator=g),
    "per_channel": lambda g: FlexConv2d(8, 8, 17, window=GaussianWindow(per_channel=True), generator=g),
    "off_centre": lambda g: FlexConv1d(8, 8, 65, window=GaussianWindow(centre=0.4), generator=g),
    "no_window": lambda g: CKConv2d(8, 8, 9, generator=g),
    "no_window_causal": lambda g: CKConv1d(8, 8, 33, causal=True, generator=g),
    "three_axes": lambda g: FlexConv3d(4, 8, 5, generator=g),
    "three_axes_no_window": lambda g: CKConv3d(4, 8, 3, generator=g),
    "one_sample": lambda g: CKConv2d(8, 8, 1, generator=g),
}


def mean_gain(make, seeds=20):
    squares = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        squares.append(kernel_gain(make().weight.detach()).item() ** 2)
    return (sum(squares) / seeds) ** 0.5


def gain_cases():
    """Return every subject with the default generator and with two of the others."""
    cases = []
    for place, generator in enumerate(GENERATORS):
        for index, name in enumerate(SUBJECTS):
            if generator == "magnet" or (index + place) % 3 == 0:
                cases.append((generator, name))
    return cases


@pytest.mark.parametrize(("generator", "name"), gain_cases())
def test_gain_of_the_cropped_kernel_is_one(generator, name):
    assert mean_gain(lambda: SUBJECTS[name](generator)) == pytest.approx(1, rel=0.15)


@pytest.mark.parametrize("cls", [SeparableFlexConv1d, SeparableFlexConv2d])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_separable_layer_keeps_the_variance_in_both_parts(cls, dtype):
    def gains(seed):
        torch.manual_seed(seed)
        layer = cls(16, 16, 17, dtype=dtype)
        return kernel_gain(layer.depthwise.weight.detach().float()), kernel_gain(
            layer.pointwise.weight.detach().float()
        )

    squares = torch.tensor([gains(seed) for seed in range(12)]).square().mean(0).sqrt()
    assert squares.tolist() == pytest.approx([1, 1], rel=0.15)


@pytest.mark.parametrize(
    "make",
    [
        lambda: FlexConv1d(16, 16, 65, causal=True, bias=False),
        lambda: FlexConv2d(16, 16, 17, padding="same", padding_mode="circular"),
        lambda: CKConv1d(16, 16, 33, generator="siren"),
        lambda: SeparableFlexConv2d(16, 16, 17, padding="same", padding_mode="circular"),
    ],
)
def test_white_noise_keeps_its_variance(make):
    variances = []
    for seed in range(8):
        torch.manual_seed(seed)
        layer = make()
        dims = len(layer.kernel_size)
        y = layer(torch.randn(4, 16, *(256, 32)[dims - 1 : dims] * dims)).detach()
        variances.append((y[..., 64:] if dims == 1 else y).square().mean())
    assert torch.stack(variances).mean().sqrt().item() == pytest.approx(1, rel=0.15)


def test_bias_starts_at_zero_and_resetting_draws_anew():
    layer = FlexConv2d(2, 3, 9)
    before = layer.weight.detach().clone()
    assert layer.bias.tolist() == [0, 0, 0]
    with torch.no_grad():
        layer.bias.fill_(3)
    layer.reset_parameters()
    assert layer.bias.tolist() == [0, 0, 0]
    assert not torch.equal(layer.weight, before)
    assert kernel_gain(layer.weight.detach()).item() == pytest.approx(1, rel=0.6)
