"""Free weights under a Gaussian envelope against loops: torch's convolution of the product, cut where it is low."""

import math

import pytest
import torch

import oracles
from experiments.baselines import envelope_conv1d, envelope_conv2d
from flexkern import FlexConv1d, FlexConv2d
from tolerances import assert_all_match, assert_matches

LAYERS = {1: envelope_conv1d, 2: envelope_conv2d}
KERNEL, SIGNAL = {1: (9,), 2: (7, 5)}, {1: (13,), 2: (8, 9)}


def make(dims, widths=(0.2, 0.3, 0.5), **options):
    """A layer of three output channels of different widths per axis and channel."""
    options = {"bias": False, "dtype": torch.float64, **options}
    layer = LAYERS[dims](2, 3, KERNEL[dims], **options)
    with torch.no_grad():
        layer.window.set_width(torch.tensor(widths, dtype=torch.float64)[:, None] * torch.linspace(1, 1.2, dims))
    return layer


def kept(layer):
    """1 where a sample is kept: within the support of the widest envelope, per axis."""
    reach = (layer.window.width.detach() * math.sqrt(-2 * math.log(layer.window.threshold))).amax(0)
    keep = torch.zeros(layer.kernel_size, dtype=torch.float64)
    axes = [oracles.kept_samples(k, r) for k, r in zip(layer.kernel_size, reach.tolist(), strict=True)]
    keep[torch.meshgrid(*[torch.tensor(axis) for axis in axes], indexing="ij")] = 1
    return keep


def expected_weight(layer):
    """Free weights times the Gaussian of each output channel."""
    free = layer.generator.readout_weight.view(3, -1, *layer.kernel_size)
    positions, centre = oracles.grid(layer.kernel_size), (0.0,) * len(layer.kernel_size)
    envelopes = [oracles.gaussian(positions, centre, width) for width in layer.window.width]
    return free * torch.stack(envelopes)[:, None]


@pytest.mark.parametrize(
    "given", [{}, {"padding": "same"}, {"stride": 2, "padding": 3}, {"dilation": 2, "padding": "same"}]
)
@pytest.mark.parametrize("dims", [1, 2])
def test_equals_torch_on_the_product_where_it_is_kept(dims, given):
    layer = make(dims, threshold=0.2, **given)
    x = torch.randn(2, 2, *SIGNAL[dims], dtype=torch.float64)
    spread = lambda value: (value,) * dims  # noqa: E731
    exact = oracles.loop_convolve(
        x,
        expected_weight(layer) * kept(layer),
        stride=spread(given.get("stride", 1)),
        padding=oracles.torch_padding(given.get("padding", 0), KERNEL[dims], spread(given.get("dilation", 1))),
        dilation=spread(given.get("dilation", 1)),
        groups=1,
    )
    assert_matches(layer(x), exact)
    cotangent, leaves = torch.randn_like(exact), dict(layer.named_parameters())
    gradients = [dict(zip(leaves, torch.autograd.grad(y, [*leaves.values()], cotangent), strict=True))
                 for y in (layer(x), exact)]  # fmt: skip
    assert_all_match(*gradients)


@pytest.mark.parametrize("dims", [1, 2])
def test_by_default_the_whole_grid_counts_up_to_a_thousandth(dims):
    layer = make(dims)
    whole = expected_weight(layer)
    found = torch.zeros_like(whole)
    found[(..., *(slice(*b) for b in layer.bounds))] = layer.weight
    envelope = whole / layer.generator.readout_weight.view_as(whole)
    assert envelope[found == 0].numel() == 0 or envelope[found == 0].max() < 1e-3
    assert_matches(found, whole * kept(layer))


def test_each_output_channel_learns_its_own_size_about_the_middle():
    layer = envelope_conv2d(4, 8, kernel_size=9, padding="same", width=0.4)
    assert isinstance(layer, FlexConv2d)
    assert isinstance(envelope_conv1d(4, 8, kernel_size=9), FlexConv1d)
    assert layer.window.width.shape == (8, 2)
    assert layer.window.width.detach().unique().tolist() == pytest.approx([0.4])
    assert [name for name, _ in layer.named_parameters()] == [
        "bias", "window.log_width", "generator.readout_weight"
    ]  # fmt: skip
    layer(torch.randn(1, 4, 12, 12)).square().sum().backward()
    assert (layer.window.log_width.grad != 0).all()


def test_may_start_from_a_size():
    layer = envelope_conv2d(1, 2, 33, init_size=7)
    assert layer.size == (7, 7)
    with pytest.raises(ValueError, match="`init_size` and a window's own `width`"):
        envelope_conv2d(1, 2, 33, init_size=7, width=0.3)


def test_errors_are_those_of_the_parts():
    with pytest.raises(ValueError, match="`width` must exceed half a sample"):
        envelope_conv2d(1, 1, 9, width=0.01)
    with pytest.raises(ValueError, match="`threshold` must lie between 0 and 1"):
        envelope_conv2d(1, 1, 9, threshold=0.0)
    with pytest.raises(TypeError, match="generator"):
        envelope_conv2d(1, 1, 9, generator="magnet")


def test_white_noise_keeps_its_variance():
    variances = []
    for seed in range(12):
        torch.manual_seed(seed)
        layer = envelope_conv2d(32, 32, 9, padding="same", padding_mode="circular")
        variances.append(layer(torch.randn(4, 32, 12, 12)).detach().square().mean().item())
    assert sum(variances) / 12 == pytest.approx(1, rel=0.15)
