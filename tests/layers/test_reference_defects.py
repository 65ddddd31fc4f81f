"""One test per defect of the authors' code that concerns the core; each would fail there.

The list: wrong results, crashes, ignored arguments and numerical traps found in rjbruin/flexconv 0f355d1.
"""

import contextlib
import copy
import math

import pytest
import torch

import oracles
from contracts.layer import embedded
from flexkern import CKConv1d, CKConv2d, CKConv3d, FlexConv1d, FlexConv2d, GaussianWindow, MAGNet, SeparableFlexConv2d
from tolerances import assert_matches

SMALL = MAGNet(hidden=4)
DOUBLE = {"dtype": torch.float64}


@contextlib.contextmanager
def broken(window):
    """A window of width NaN; healed afterwards, as other tests live in the same memory."""
    try:
        with torch.no_grad():
            window.log_width.fill_(math.nan)
        yield
    finally:
        window.reset_parameters()


@pytest.mark.parametrize("length", [15, 63, 64, 161])
def test_fft_is_right_for_odd_lengths(length):
    # Their inverse transform is given no length: relative error 0.6 to 0.8.
    layer = CKConv1d(2, 3, 31, causal=True, generator=SMALL, engine="fft", **DOUBLE)
    x = torch.randn(2, 2, length, **DOUBLE)
    expected = torch.nn.functional.conv1d(torch.nn.functional.pad(x, (30, 0)), layer.weight, layer.bias)
    assert_matches(layer(x), expected)


def test_fft_is_right_for_rectangular_kernels():
    # Theirs pads every axis by the last axis' kernel: relative error about 1.4 once sigma_x != sigma_y.
    layer = FlexConv2d(2, 3, 33, padding="same", generator=SMALL, engine="fft", **DOUBLE)
    layer.window.set_width(torch.tensor([0.1, 0.3], **DOUBLE))
    assert layer.size[0] != layer.size[1]
    x = torch.randn(1, 2, 20, 24, **DOUBLE)
    pads = tuple(k // 2 for k in layer.size)
    assert_matches(layer(x), torch.nn.functional.conv2d(x, layer.weight, layer.bias, padding=pads))


@pytest.mark.parametrize("engine", ["direct", "fft"])
def test_float64_stays_float64(engine):
    # Theirs ends in `.float()`.
    layer = CKConv1d(1, 1, 9, generator=SMALL, engine=engine, **DOUBLE)
    assert layer(torch.randn(1, 1, 20, **DOUBLE)).dtype is torch.float64


@pytest.mark.parametrize("cls", [CKConv2d, FlexConv2d])
def test_stride_is_obeyed(cls):
    # Theirs accepts conv_stride and returns 16x16 for 16x16.
    x = torch.randn(1, 2, 16, 16, **DOUBLE)
    one, two = (cls(2, 3, 5, stride=s, padding=2, generator=SMALL, **DOUBLE) for s in (1, 2))
    two.load_state_dict(one.state_dict())
    assert two(x).shape == (1, 3, 8, 8)
    assert_matches(two(x), one(x)[..., ::2, ::2])


def test_padding_is_obeyed():
    x = torch.randn(1, 2, 16, 16)
    shapes = [CKConv2d(2, 3, 5, padding=p, generator=SMALL)(x).shape[-1] for p in ("valid", 0, 1, "same", 4)]
    assert shapes == [12, 12, 14, 16, 20]


@pytest.mark.parametrize("horizon", [2, 4, 16, 28, 32])
def test_even_horizon_works(horizon):
    # horizon="same" on a 28- or 32-pixel image raises there, also once an even grid has been cropped.
    for layer in (
        FlexConv2d(1, 2, horizon, padding="same", generator=SMALL, **DOUBLE),
        CKConv2d(1, 2, horizon, padding="same", generator=SMALL, **DOUBLE),
    ):
        x = torch.randn(1, 1, 12, 12, **DOUBLE)
        left = (horizon - 1) // 2
        padded = torch.nn.functional.pad(x, (left, horizon - 1 - left) * 2)
        expected = torch.nn.functional.conv2d(padded, embedded(layer.weight, layer), layer.bias)
        assert_matches(layer(x), expected)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_centred_convolution_works_in_one_dimension(channels):
    # Their `conv` reads a channel count as a kernel length.
    layer = CKConv1d(channels, 2, 5, padding="same", generator=SMALL)
    assert layer(torch.randn(1, channels, 9)).shape == (1, 2, 9)


def test_three_dimensions_work():
    assert CKConv3d(1, 2, 3, padding="same", generator=SMALL)(torch.randn(1, 1, 4, 5, 6)).shape == (1, 2, 4, 5, 6)


def test_deepcopy_after_forward():
    # Their forward keeps the sampled kernel, a graph tensor, on the module.
    layer = FlexConv2d(1, 2, 9, padding="same", generator=SMALL)
    x = torch.randn(1, 1, 8, 8)
    y = layer(x)
    assert_matches(copy.deepcopy(layer)(x), y)
    y.sum().backward()


def test_input_length_may_change_between_calls():
    # Their grid is fixed at the first input and stale afterwards.
    layer = FlexConv1d(1, 1, 33, padding="same", generator=SMALL, **DOUBLE)
    for length in (17, 64, 33, 5):
        x = torch.randn(1, 1, length, **DOUBLE)
        expected = torch.nn.functional.conv1d(
            torch.nn.functional.pad(x, (16, 16)), embedded(layer.weight, layer), layer.bias
        )
        assert_matches(layer(x), expected)


def test_grid_follows_dtype_and_device():
    # Theirs is a plain attribute that `.to()` forgets.
    layer = FlexConv2d(1, 1, 5, generator=SMALL)
    layer(torch.randn(1, 1, 8, 8))
    assert layer.double()(torch.randn(1, 1, 8, 8, **DOUBLE)).dtype is torch.float64
    assert layer.weight.dtype is torch.float64
    assert layer.to("meta").weight.is_meta


@pytest.mark.parametrize("lengths", [(9, 5), (4, 7), (1, 6)])
def test_kernels_need_not_be_cubic(lengths):
    layer = CKConv2d(1, 1, lengths, generator=SMALL, **DOUBLE)
    assert_matches(layer.weight[0], layer.generator(oracles.grid(lengths)))


def test_unknown_generator_fails_at_construction():
    # Theirs builds a layer without a kernel; forward fails.
    with pytest.raises(ValueError, match=r"unknown `generator` 'magnett'; did you mean 'magnet'"):
        FlexConv2d(1, 1, 5, generator="magnett")


# ---------------------------------------------------------------------------- widths: sigma is unconstrained there


@pytest.mark.parametrize("log_width", [-1e4, -100.0, -20.0, 0.0, 5.0, 50.0])
@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_width_cannot_reach_zero(log_width, continuous, causal):
    # sigma -> 0 gives infinite gradients, NaN losses and empty crops there.
    window = GaussianWindow(continuous=continuous)
    layer = FlexConv1d(2, 3, 33, padding="same", generator=SMALL, window=window, causal=causal)
    with torch.no_grad():
        layer.window.log_width.fill_(log_width)
    assert (layer.window.width >= 0.5 * 2 / 32 * (1 - 1e-6)).all()
    y = layer(torch.randn(2, 2, 20))
    y.square().mean().backward()
    assert y.isfinite().all()
    for name, parameter in layer.named_parameters():
        assert parameter.grad.isfinite().all(), name
    assert layer.size[0] >= (2 if causal else 1)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("rate", [-30.0, 30.0])
def test_huge_steps_leave_finite_outputs(causal, rate):
    layer = FlexConv1d(1, 2, 33, padding="same", generator=SMALL, causal=causal)
    x = torch.randn(2, 1, 20)
    for _ in range(3):
        (gradient,) = torch.autograd.grad(layer(x).square().mean(), layer.window.log_width)
        with torch.no_grad():
            layer.window.log_width.add_(rate * gradient.sign())
    assert layer(x).isfinite().all()
    assert layer.window.width.isfinite().all() or rate > 0


def test_width_has_no_sign():
    # A negative sigma is silently accepted there.
    layer = FlexConv2d(1, 1, 9, generator=SMALL)
    layer.window.set_width(torch.tensor([-0.3, 0.3]))
    assert (layer.window.width > 0).all()
    for width in (-0.3, 0.0):
        with pytest.raises(ValueError, match=r"`width` must exceed half a sample"):
            FlexConv2d(1, 1, 9, window=GaussianWindow(width=width))


def test_nan_width_is_an_error_and_not_an_uncropped_kernel():
    layer = FlexConv1d(1, 1, 33, generator=SMALL)
    with broken(layer.window), pytest.raises(ValueError, match="NaN"):
        layer(torch.randn(1, 1, 64))


def test_a_layer_with_nan_does_not_disturb_the_others():
    # All windows in memory are read together: one ruined model must not stop another.
    ruined, healthy = (FlexConv1d(1, 1, 33, generator=SMALL) for _ in range(2))
    with broken(ruined.window):
        assert healthy(torch.randn(1, 1, 64)).isfinite().all()


def test_causal_window_that_left_the_grid_keeps_one_sample():
    # There "abs(root) >= 1" switches cropping off.
    layer = FlexConv1d(1, 1, 33, causal=True, generator=SMALL, window=GaussianWindow(continuous=False))
    with torch.no_grad():
        layer.window.centre.fill_(1.5)
    assert layer.size == (1,)
    assert layer(torch.randn(1, 1, 20)).shape == (1, 1, 20)


# ------------------------------------------------------------------------------------------------- initialisation


def position_dependent_share(layer):
    """Deviation over the grid of the generator, relative to its root mean square, under the initial window."""
    positions = layer.generator.region.positions(dtype=torch.float32)
    values, window = layer.generator(positions), layer.window(positions)
    weights = window.square() / window.square().sum()
    mean = (values * weights).sum(1, keepdim=True)
    varying = ((values - mean).square() * weights).sum(1)
    return (varying.sum() / (values.square() * weights).sum()).sqrt().item()


@torch.no_grad()
def test_causal_atoms_sit_where_the_window_is():
    # Their centres are drawn around 0 while the window sits at +1, where hardly any atom is alive.
    ours, theirs = 0.0, 0.0
    for _ in range(20):
        layer = FlexConv1d(1, 8, 784, causal=True)
        ours += position_dependent_share(layer) / 20
        layer.generator.mu.sub_(1)
        theirs += position_dependent_share(layer) / 20
    assert ours > 3 * theirs
    assert ours > 0.2
    mu = FlexConv1d(1, 8, 784, causal=True).generator.mu
    assert mu.min() >= 1 - 0.075 * 1.667 - 1e-5
    assert mu.max() <= 1


@torch.no_grad()
def test_causal_and_centred_kernels_vary_alike():
    shares = {
        causal: sum(position_dependent_share(FlexConv1d(1, 8, 785, causal=causal)) for _ in range(20)) / 20
        for causal in (False, True)
    }
    assert shares[True] == pytest.approx(shares[False], rel=0.3)


def test_separable_layer_needs_one_kernel_per_channel():
    # Theirs is dense only: in * out kernels.
    layer = SeparableFlexConv2d(16, 24, 9, generator=SMALL)
    assert layer.depthwise.generator.channels == 16
    assert FlexConv2d(16, 16, 9, groups=16, generator=SMALL).generator.channels == 16


def test_no_bias_is_allowed():
    layer = FlexConv2d(1, 2, 5, bias=False, generator=SMALL)
    assert layer.bias is None
    assert layer(torch.randn(1, 1, 8, 8)).shape == (1, 2, 4, 4)


def test_one_window_per_channel_is_possible():
    layer = FlexConv2d(1, 3, 33, window=GaussianWindow(per_channel=True), generator=SMALL)
    layer.window.set_width(torch.tensor([[0.05] * 2, [0.1] * 2, [0.2] * 2]))
    assert layer.window.width.shape == (3, 2)
    assert layer.size == FlexConv2d(1, 1, 33, window=GaussianWindow(width=0.2)).size


def test_evaluation_twice_is_the_same_and_loading_does_not_rescale():
    # A successor re-initialises its readout after a checkpoint has been loaded.
    layer, other = (FlexConv2d(1, 2, 9, generator=SMALL) for _ in range(2))
    x = torch.randn(1, 1, 12, 12)
    other.load_state_dict(layer.state_dict())
    for _ in range(2):
        torch.testing.assert_close(other(x), layer(x), rtol=0, atol=0)
