"""Laws of single generators: formulas, options, errors, and the authors' results."""

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
def test_recursion_equals_the_formula(cls, layers):
    net = cls(2, 3, hidden=4, layers=layers, dtype=torch.float64).requires_grad_(False)
    points = torch.rand(2, 5, dtype=torch.float64) * 2 - 1

    def sine_filter(index):
        weight, bias = net.wave_vector[index], net.phase[index]
        return lambda point: [math.sin(float((w * point).sum() + b)) for w, b in zip(weight, bias, strict=True)]

    def gabor_filter(index):
        parameters = net.wave_vector[index], net.phase[index], net.gamma[index], net.mu[index]
        return lambda point: oracles.gabor(point, *parameters)

    filter_at = sine_filter if cls is FourierNet else gabor_filter
    filters = [filter_at(index) for index in range(layers + 1)]
    mixing = list(zip(net.mixing_weight.tolist(), net.mixing_bias.tolist(), strict=True))
    readout = net.readout_weight.tolist(), net.readout_bias.tolist()
    assert_matches(net(points), oracles.multiplicative_network(points, filters, mixing, readout))


def test_atoms_widen_with_depth_in_a_magnet():
    gammas = torch.stack([MAGNet(2, 1, hidden=64, input_scale=25.6).gamma for _ in range(20)])
    assert gammas.mean(dim=(0, 2, 3)).tolist() == pytest.approx([6, 3, 2, 1.5], rel=0.1)


def test_angles_rotate_the_atoms():
    rotated = MAGNet(2, 3, hidden=4, input_scale=8.0, rotated=True, dtype=torch.float64).requires_grad_(False)
    state = rotated.state_dict()
    del state["angle"]
    plain = MAGNet(2, 3, hidden=4, dtype=torch.float64)
    plain.load_state_dict(state)
    positions = oracles.grid((4, 5))
    rotated.angle.zero_()
    assert_matches(rotated(positions), plain(positions))
    rotated.angle.fill_(0.7)
    assert (rotated(positions) - plain(positions)).abs().max() > 1e-3


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
def test_every_kind_of_mlp_equals_the_formula(activation, norm, fourier):
    net = MLP(2, 3, hidden=5, layers=4, activation=activation, norm=norm, fourier=fourier, dtype=torch.float64)
    points = torch.rand(2, 6, dtype=torch.float64) * 2 - 1
    hidden = points.T
    if fourier:
        cycles = points.T @ net.frequencies.T
        hidden = torch.cat([torch.sin(2 * math.pi * cycles), torch.cos(2 * math.pi * cycles)], dim=1)
    for layer in net.hidden_layers:
        hidden = hidden @ layer.weight.T + layer.bias
        if norm:
            mean, variance = hidden.mean(1, keepdim=True), hidden.var(1, keepdim=True, unbiased=False)
            hidden = (hidden - mean) / (variance + 1e-5).sqrt()
        hidden = getattr(torch.nn.functional, activation)(hidden)
    assert len(net.hidden_layers) == 3
    assert_matches(net(points), (hidden @ net.readout_weight.T + net.readout_bias).T)


def test_random_frequencies_are_stored_in_the_state_dict():
    net = MLP(2, 3, fourier=4)
    assert "frequencies" in net.state_dict()
    assert "frequencies" not in dict(net.named_parameters())


def test_omega_of_siren_multiplies_the_bias_too():
    net = SIREN(1, 1, hidden=1, layers=2, omega=30.0, dtype=torch.float64).requires_grad_(False)
    net.weights[0].fill_(0.0)
    net.biases[0].fill_(0.01)
    net.readout_weight.fill_(1.0)
    net.readout_bias.zero_()
    assert net(torch.zeros(1, 1, dtype=torch.float64)).item() == pytest.approx(math.sin(0.3), rel=1e-14)


class TestTable:
    def test_values_at_the_grid_points_are_the_readout(self):
        table = Table(2, 3, size=(4, 5), dtype=torch.float64)
        assert_matches(table(oracles.grid((4, 5))), table.readout_weight.view(3, 4, 5))

    def test_values_between_grid_points_are_linear(self):
        table = Table(1, 1, size=(3,), dtype=torch.float64)
        a, b, c = table.readout_weight[0].tolist()
        points = torch.tensor([[-0.75, -0.5, 0.25]], dtype=torch.float64)
        assert table(points)[0].tolist() == pytest.approx([0.75 * a + 0.25 * b, (a + b) / 2, 0.75 * b + 0.25 * c])

    def test_values_outside_the_grid_are_those_at_the_border(self):
        table = Table(1, 1, size=(3,), dtype=torch.float64)
        points = torch.tensor([[-5.0, -1.0, 1.0, 7.0]], dtype=torch.float64)
        a, _, c = table.readout_weight[0].tolist()
        assert table(points)[0].tolist() == pytest.approx([a, a, c, c])

    def test_default_size_is_that_of_the_layer(self):
        layer = CKConv1d(2, 3, 7, generator="table")
        assert layer.generator.size == (7,)
        assert_matches(layer.weight, layer.generator.readout_weight.view(3, 2, 7))

    def test_the_table_may_be_coarser_than_the_layer(self):
        layer = FlexConv2d(1, 1, 9, generator=Table(size=(3, 3)), window=GaussianWindow(width=2.0))
        assert layer.generator.num_features == 9
        assert layer.weight.shape == (1, 1, 9, 9)

    def test_a_single_value_is_constant(self):
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
    for neither in (3, None, MAGNet(1, 1)):
        with pytest.raises(TypeError, match=r"`generator` must be a name or a factory"):
            get_generator(neither)


def test_own_generators_define_features_only():
    class Cosines(Generator):
        """Features cos(pi m x) for m = 0 .. 3, on one axis."""

        def __init__(self, dims, channels, **options):
            super().__init__(dims, channels, num_features=4, **options)
            self.reset_parameters()

        def features_at(self, points):
            order = torch.arange(4, device=points.device, dtype=points.dtype)
            return torch.cos(math.pi * order[:, None] * points)

        def reset_features(self):
            pass

    layer = CKConv1d(2, 3, 9, padding="same", generator=Cosines)
    assert layer(torch.randn(1, 2, 20)).shape == (1, 3, 20)
    assert Cosines()(1, 2).channels == 2
