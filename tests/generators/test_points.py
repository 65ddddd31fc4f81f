"""Points against loops over output channels, input channels, points and positions; their initial positions."""

import math

import pytest
import torch

import oracles
from flexkern import CKConv1d, FlexConv1d, FlexConv2d, GaussianWindow, MAGNet, Points, Table
from flexkern.functional import kernel_gain
from flexkern.generators import Region
from flexkern.layers.kernel_sampling import count_features
from tolerances import assert_all_match, assert_matches


def make(dims, out, fan_in, **options):
    """Return a generator whose radii differ."""
    region = Region.whole((5, 4, 3)[:dims], fan_in)
    generator = Points(dims, out * fan_in, points=4, spread=0.4, region=region, dtype=torch.float64, **options)
    with torch.no_grad():
        generator.log_radius.add_(0.3 * torch.randn_like(generator.log_radius))
    return generator


@pytest.mark.parametrize("fan_in", [1, 3])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_values_and_gradients_equal_the_formula(dims, fan_in):
    generator = make(dims, 2, fan_in)
    positions = oracles.grid((5, 4, 3)[:dims])
    readout = generator.readout_weight.unflatten(0, (2, fan_in))
    values = generator(positions).flatten(1)
    expected = oracles.self_moving_points(positions.flatten(1), generator.position, generator.radius, readout)
    assert_matches(values, expected)
    cotangent = torch.randn_like(expected)
    names, parameters = zip(*generator.named_parameters(), strict=True)
    gradients = torch.autograd.grad(values, parameters, cotangent)
    exact = torch.autograd.grad(expected, parameters, cotangent)
    assert_all_match(dict(zip(names, gradients, strict=True)), dict(zip(names, exact, strict=True)))


def test_overlapping_points_are_averaged():
    generator = Points(1, 1, points=2, radius=0.5, dtype=torch.float64)
    with torch.no_grad():
        generator.position.copy_(torch.tensor([[[0.0], [0.25]]]))
        generator.readout_weight.copy_(torch.tensor([[2.0, 4.0]]))
    positions = torch.tensor([[-0.25, 0.0, 0.25, 0.6, 0.9]], dtype=torch.float64)
    # Tents of radius 0.5 at 0 and 0.25: only the first covers -0.25, only the second 0.6, both cover 0 and 0.25.
    expected = [2 * 0.5, (2 * 1 + 4 * 0.5) / 2, (2 * 0.5 + 4 * 1) / 2, 4 * 0.3, 0]
    assert generator(positions)[0].tolist() == pytest.approx(expected, rel=1e-5)


def test_each_output_channel_has_its_own_points():
    layer = FlexConv2d(4, 6, 9, groups=2, generator="points")
    generator = layer.generator
    assert generator.out_channels == 6
    assert generator.position.shape == (6, 16, 2)
    assert generator.radius.shape == (6, 16)
    assert generator.readout_weight.shape == (12, 16)
    assert generator.features_per_output(torch.zeros(2, 5)).shape == (6, 16, 5)
    assert FlexConv1d(1, 1, 9, generator=Points(points=3)).generator.position.shape == (1, 3, 1)


def test_features_need_a_single_output_channel():
    single = Points(2, 3, region=Region.whole((5, 5), fan_in=3))
    assert single.features(torch.zeros(2, 4, 1)).shape == (16, 4, 1)
    with pytest.raises(ValueError, match=r"features differ by output channel \(3 of them\).*`features_per_output`"):
        Points(2, 3).features(torch.zeros(2, 4))


def test_layers_do_not_factor_the_kernel():
    layer = FlexConv2d(2, 3, 9, generator="points")
    assert isinstance(layer.factored_weight(), torch.Tensor)
    assert count_features(layer.generator, layer.window) == 0
    assert not Points.factored
    assert not Table.factored
    assert MAGNet.factored


@pytest.mark.parametrize(
    ("lengths", "radius"),
    [((33, 33), 4 / 32), ((784,), 4 / 783), ((17, 9), 4 / 8), ((1, 9), 4 / 8), ((1,), 4.0), ((3, 3, 3), 2.0)],
)
def test_a_new_point_covers_two_samples_on_either_side(lengths, radius):
    generator = Points(len(lengths), 2, region=Region.whole(lengths), dtype=torch.float64)
    assert generator.initial_radius == pytest.approx(radius)
    assert_matches(generator.radius, torch.full((2, 16), radius, dtype=torch.float64))


def test_radius_stays_positive():
    generator = Points(1, 1, radius=0.12)
    assert generator.radius.max().item() == pytest.approx(0.12)
    with torch.no_grad():
        generator.log_radius.sub_(5)
    assert generator.radius.min() > 0


class TestInitialPositions:
    def draw(self, region, **options):
        dims = len(region.lengths)
        position = Points(dims, 64, points=64, region=region, **options).position.detach()
        assert position.abs().max() <= 1
        return position.flatten(0, 1)

    def test_close_to_the_middle_as_in_the_paper(self):
        positions = self.draw(Region.whole((33, 33)))
        # A sample: the 0.05 of the paper is less.
        assert positions.std(0).tolist() == pytest.approx([1 / 16, 1 / 16], rel=0.05)
        assert positions.mean(0).tolist() == pytest.approx([0, 0], abs=0.01)
        assert self.draw(Region.whole((101,))).std().item() == pytest.approx(0.05, rel=0.05)

    def test_dense_at_the_most_recent_sample_of_a_causal_axis(self):
        positions = self.draw(Region.whole((784,), causal=True))
        assert (1 - positions).square().mean().sqrt().item() == pytest.approx(0.2, rel=0.05)
        recent = (positions > 0.9).float().mean()
        old = (positions < 0.8).float().mean()
        assert recent > old

    def test_within_the_initial_window(self):
        region = Region((65, 65), ((20, 45), (20, 45)), centre=(0.5, 0.0), width=(0.1, 0.2))
        positions = self.draw(region)
        assert positions.mean(0).tolist() == pytest.approx([0.5, 0.0], abs=0.02)
        assert positions.std(0).tolist() == pytest.approx([0.1, 0.2], rel=0.05)

    def test_within_the_initial_window_of_a_layer(self):
        layer = FlexConv1d(1, 64, 65, causal=True, generator="points")
        distance = 1 - layer.generator.position.detach()
        assert distance.square().mean().sqrt().item() == pytest.approx(layer.window.initial_width[0], rel=0.1)

    def test_the_spread_can_be_set(self):
        positions = self.draw(Region.whole((33,)), spread=0.2)
        assert positions.std().item() == pytest.approx(0.2, rel=0.05)

    @pytest.mark.parametrize("options", [{"radius": 0.02}, {"radius": 0.5}, {"spread": 0.3}, {"points": 2}])
    def test_the_gain_is_one_for_any_radius_and_spread(self, options):
        energies = []
        for seed in range(20):
            torch.manual_seed(seed)
            layer = CKConv1d(8, 8, 65, generator=Points(**options))
            energies.append(kernel_gain(layer.weight.detach()).item() ** 2)
        assert math.sqrt(sum(energies) / 20) == pytest.approx(1, rel=0.15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Points(1, 1, points=0), r"`points` must be positive, got 0"),
        (lambda: Points(1, 1, radius=0.0), r"`radius` must be positive, got 0.0"),
        (lambda: Points(1, 1, spread=-1.0), r"`spread` must be positive, got -1.0"),
        (
            lambda: Points(1, 5, region=Region.whole((3,), fan_in=2)),
            r"`channels` must be a multiple of the region's `fan_in`, got 5 and 2",
        ),
    ],
)
def test_errors_name_the_option(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_window_may_differ_by_channel():
    layer = FlexConv2d(2, 3, 9, generator="points", window=GaussianWindow(per_channel=True), dtype=torch.float64)
    with torch.no_grad():
        layer.window.log_width.add_(torch.rand_like(layer.window.log_width))
    rows, columns = (slice(start, stop) for start, stop in layer.bounds)
    positions = oracles.grid((9, 9))[:, rows, columns]
    values = layer.generator(positions).unflatten(0, (3, 2))
    assert_matches(layer.weight, values * layer.window(positions)[:, None])
