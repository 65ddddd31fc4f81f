"""What is particular to one generator: formulas, options, errors, and the authors' numbers."""

import math

import pytest
import torch

import oracles
from flexkern import MLP, SIREN, CKConv1d, FlexConv2d, FourierNet, GaborNet, GaussianWindow, Generator, MAGNet, Table
from flexkern.generators import Region, get_generator
from golden import fill_generator, generator_arrays, load_golden
from tolerances import assert_all_match, assert_matches

KINDS = {
    "magnet": lambda dims: MAGNet(dims, 6, hidden=8, dtype=torch.float64),
    "magnet_paper": lambda dims: MAGNet(dims, 12, hidden=32, dtype=torch.float64),
    "gabor": lambda dims: GaborNet(dims, 6, hidden=8, dtype=torch.float64),
    "fourier": lambda dims: FourierNet(dims, 6, hidden=8, dtype=torch.float64),
    "siren": lambda dims: SIREN(dims, 6, hidden=8, omega=30, dtype=torch.float64),
    "mlp": lambda dims: MLP(dims, 6, hidden=8, activation="relu", dtype=torch.float64),
}


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients_of_the_authors_code(kind, dims):
    golden = load_golden(f"generator_{kind}_{dims}d.npz")
    generator = KINDS[kind](dims)
    fill_generator(generator, golden)
    positions = golden["positions"].requires_grad_()
    values = generator(positions)
    assert_matches(values, golden["values"])
    values.backward(golden["cotangent"])
    assert_matches(positions.grad, golden["grad_positions"])
    gradients = {name: parameter.grad for name, parameter in generator.named_parameters()}
    assert_all_match(gradients, generator_arrays(generator, golden, "grad_"))


@pytest.mark.parametrize("cls", [MAGNet, GaborNet, FourierNet])
@pytest.mark.parametrize("layers", [0, 1, 3])
def test_recursion_is_the_formula(cls, layers):
    net = cls(2, 3, hidden=4, layers=layers, dtype=torch.float64)
    points = torch.rand(2, 5, dtype=torch.float64) * 2 - 1

    def filter_of(index):
        weight, bias = net.wave_vector[index].detach(), net.phase[index].detach()
        if cls is FourierNet:
            return lambda p: [math.sin(float((w * p).sum() + b)) for w, b in zip(weight, bias, strict=True)]
        return lambda p: oracles.gabor(p, weight, bias, net.gamma[index].detach(), net.mu[index].detach())

    mixing = list(zip(net.mixing_weight.tolist(), net.mixing_bias.tolist(), strict=True))
    readout = net.readout_weight.tolist(), net.readout_bias.tolist()
    expected = oracles.multiplicative_network(points, [filter_of(i) for i in range(layers + 1)], mixing, readout)
    assert_matches(net(points), expected)


def test_atoms_widen_with_depth_in_a_magnet():
    draws = torch.stack([MAGNet(2, 1, hidden=64, input_scale=25.6).gamma for _ in range(20)])
    assert draws.mean(dim=(0, 2, 3)).tolist() == pytest.approx([6, 3, 2, 1.5], rel=0.1)


def test_angles_turn_the_atoms():
    net = MAGNet(2, 3, hidden=4, input_scale=8.0, rotated=True, dtype=torch.float64)
    with torch.no_grad():
        net.angle.zero_()
    plain = MAGNet(2, 3, hidden=4, dtype=torch.float64)
    plain.load_state_dict({k: v for k, v in net.state_dict().items() if k != "angle"})
    positions = oracles.grid((4, 5))
    assert_matches(net(positions), plain(positions))
    with torch.no_grad():
        net.angle.fill_(0.7)
    assert (net(positions) - plain(positions)).abs().max() > 1e-3


def test_rotation_in_one_dimension_fails_at_construction():
    # The authors' steerable MAGNet fails in forward with an einsum error.
    with pytest.raises(ValueError, match=r"`rotated` needs two dimensions, got dims=1"):
        MAGNet(1, 2, rotated=True)
    with pytest.raises(ValueError, match=r"`rotated` needs two dimensions, got dims=1"):
        CKConv1d(1, 1, 5, generator=MAGNet(rotated=True))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MAGNet(1, 1, layers=-1), r"`layers` must not be negative, got -1"),
        (lambda: MAGNet(1, 1, hidden=0), r"`hidden` must be positive, got 0"),
        (lambda: MAGNet(0, 1), r"`dims` must be positive, got 0"),
        (lambda: FourierNet(1, 1, input_scale=0.0), r"`input_scale` must be positive, got 0.0"),
        (lambda: SIREN(1, 1, omega=0.0), r"`omega` must be positive, got 0.0"),
        (lambda: SIREN(1, 1, layers=1), r"`layers` must be at least 2"),
        (lambda: MLP(1, 1, layers=1), r"`layers` must be at least 2"),
        (lambda: MLP(1, 1, fourier=-1), r"`fourier` must not be negative, got -1"),
        (lambda: MLP(1, 1, activation="relo"), r"`activation` must be one of relu, .*, got 'relo'"),
        (lambda: Table(2, 1, size=(3,)), r"`size` must have 2 positive entries, got \(3,\)"),
        (lambda: Table(1, 1, size=(0,)), r"`size` must have 1 positive entries, got \(0,\)"),
    ],
)
def test_errors_name_the_option(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "silu", "gelu", "tanh"])
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("fourier", [0, 4])
def test_every_kind_of_mlp_is_the_formula(activation, norm, fourier):
    net = MLP(2, 3, hidden=5, layers=4, activation=activation, norm=norm, fourier=fourier, dtype=torch.float64)
    points = torch.rand(2, 6, dtype=torch.float64) * 2 - 1
    hidden = points.T
    if fourier:
        turns = points.T @ net.frequencies.T
        hidden = torch.cat([torch.sin(2 * math.pi * turns), torch.cos(2 * math.pi * turns)], dim=1)
    for layer in net.hidden_layers:
        hidden = hidden @ layer.weight.T + layer.bias
        if norm:
            mean, variance = hidden.mean(1, keepdim=True), hidden.var(1, keepdim=True, unbiased=False)
            hidden = (hidden - mean) / (variance + 1e-5).sqrt()
        hidden = getattr(torch.nn.functional, activation)(hidden)
    assert len(net.hidden_layers) == 3
    assert_matches(net(points), (hidden @ net.readout_weight.T + net.readout_bias).T)


def test_random_frequencies_are_kept_in_the_state():
    net = MLP(2, 3, fourier=4)
    assert "frequencies" in net.state_dict()
    assert "frequencies" not in dict(net.named_parameters())


def test_sirens_omega_multiplies_the_bias_too():
    net = SIREN(1, 1, hidden=1, layers=2, omega=30.0, dtype=torch.float64)
    with torch.no_grad():
        net.weights[0].fill_(0.0), net.biases[0].fill_(0.01), net.readout_weight.fill_(1.0), net.readout_bias.zero_()
    assert net(torch.zeros(1, 1, dtype=torch.float64)).item() == pytest.approx(math.sin(0.3), rel=1e-14)


class TestTable:
    def test_values_at_the_grid_points_are_the_weights(self):
        table = Table(2, 3, size=(4, 5), dtype=torch.float64)
        assert_matches(table(oracles.grid((4, 5))), table.readout_weight.view(3, 4, 5))

    def test_between_them_it_is_linear(self):
        table = Table(1, 1, size=(3,), dtype=torch.float64)
        a, b, c = table.readout_weight[0].tolist()
        points = torch.tensor([[-0.75, -0.5, 0.25]], dtype=torch.float64)
        assert table(points)[0].tolist() == pytest.approx([0.75 * a + 0.25 * b, (a + b) / 2, 0.75 * b + 0.25 * c])

    def test_beyond_the_grid_it_continues_as_at_the_border(self):
        table = Table(1, 1, size=(3,), dtype=torch.float64)
        points = torch.tensor([[-5.0, -1.0, 1.0, 7.0]], dtype=torch.float64)
        a, _, c = table.readout_weight[0].tolist()
        assert table(points)[0].tolist() == pytest.approx([a, a, c, c])

    def test_takes_the_size_of_its_layer(self):
        layer = CKConv1d(2, 3, 7, generator="table")
        assert layer.generator.size == (7,)
        assert_matches(layer.weight, layer.generator.readout_weight.view(3, 2, 7))

    def test_may_be_coarser_than_its_layer(self):
        layer = FlexConv2d(1, 1, 9, generator=Table(size=(3, 3)), window=GaussianWindow(width=2.0))
        assert layer.generator.num_features == 9
        assert layer.weight.shape == (1, 1, 9, 9)

    def test_one_weight_is_constant(self):
        table = Table(2, 1, size=(1, 1))
        assert table(torch.rand(2, 5)).unique().numel() == 1


def test_region_draws_atoms_within_the_window():
    region = Region((65,), ((20, 45),), centre=(0.5,), width=(0.1,))
    mu = MAGNet(1, 1, hidden=256, region=region).mu
    assert mu.min() >= 0.5 - 0.1667 - 1e-6
    assert mu.max() <= 0.5 + 0.1667 + 1e-6
    assert mu.mean().item() == pytest.approx(0.5, abs=0.02)


def test_names_and_factories():
    assert get_generator("siren") is SIREN
    factory = MAGNet(hidden=4)
    assert get_generator(factory) is factory
    with pytest.raises(ValueError, match=r"unknown `generator` 'magnett'; did you mean 'magnet'\?"):
        get_generator("magnett")
    with pytest.raises(ValueError, match=r"Known: magnet, gabornet, fouriernet, siren, mlp, table"):
        get_generator("zzz")
    for wrong in (3, None, MAGNet(1, 1)):
        with pytest.raises(TypeError, match=r"`generator` must be a name or a factory"):
            get_generator(wrong)


def test_own_generator_by_stating_features():
    class Cosines(Generator):
        """cos(pi m x) for m = 0 .. 3; one axis."""

        def __init__(self, dims, channels, **base):
            super().__init__(dims, channels, num_features=4, **base)
            self.reset_parameters()

        def features_at(self, points):
            order = torch.arange(4, device=points.device, dtype=points.dtype)
            return torch.cos(math.pi * order[:, None] * points)

        def reset_features(self):
            pass

    layer = CKConv1d(2, 3, 9, padding="same", generator=Cosines)
    assert layer(torch.randn(1, 2, 20)).shape == (1, 3, 20)
    assert Cosines()(1, 2).channels == 2
