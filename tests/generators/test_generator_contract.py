"""Every generator satisfies the contract of generators."""

import pytest
import torch

from contracts.generator import GeneratorContract
from flexkern import GENERATORS, MLP, SIREN, FourierNet, GaborNet, MAGNet, Points, Table
from flexkern.generators import Region
from tolerances import assert_matches


class TestMAGNet(GeneratorContract):
    bandlimited = True

    def make(self, dims, channels, **options):
        return MAGNet(dims, channels, hidden=8, layers=2, **options)

    def factory(self):
        return MAGNet(hidden=8)


class TestRotatedMAGNet(GeneratorContract):
    bandlimited = True

    def make(self, dims, channels, **options):
        return MAGNet(dims, channels, hidden=8, layers=2, rotated=dims == 2, **options)

    def factory(self):
        return MAGNet(hidden=8, layers=1)


class TestDeepMAGNet(GeneratorContract):
    bandlimited = True

    def make(self, dims, channels, **options):
        return MAGNet(dims, channels, hidden=5, layers=4, input_scale=8.0, **options)

    def factory(self):
        return MAGNet(layers=4)


class TestGaborNet(GeneratorContract):
    bandlimited = True

    def make(self, dims, channels, **options):
        return GaborNet(dims, channels, hidden=8, layers=2, **options)

    def factory(self):
        return GaborNet(hidden=8)


class TestFourierNet(GeneratorContract):
    bandlimited = True

    def make(self, dims, channels, **options):
        return FourierNet(dims, channels, hidden=8, layers=2, **options)

    def factory(self):
        return FourierNet(input_scale=4.0)


class TestSIREN(GeneratorContract):
    def make(self, dims, channels, **options):
        return SIREN(dims, channels, hidden=8, **options)

    def factory(self):
        return SIREN(omega=12.0)


class TestMLP(GeneratorContract):
    def make(self, dims, channels, **options):
        return MLP(dims, channels, hidden=8, activation="gelu", **options)

    def factory(self):
        return MLP(hidden=8)


class TestNormedFourierMLP(GeneratorContract):
    def make(self, dims, channels, **options):
        return MLP(dims, channels, hidden=8, norm=True, fourier=6, activation="silu", **options)

    def factory(self):
        return MLP(norm=True, fourier=6)


class TestTable(GeneratorContract):
    def make(self, dims, channels, **options):
        return Table(dims, channels, size=(5, 4, 3, 2)[:dims], **options)

    def factory(self):
        return Table()


class TestPoints(GeneratorContract):
    def make(self, dims, channels, **options):
        return Points(dims, channels, points=8, spread=0.4, **options)

    def factory(self):
        return Points(points=8)

    @pytest.mark.parametrize("dims", [1, 2, 3, 4])
    def test_values_are_readout_times_features(self, dims):
        """As in the contract, but per output channel."""
        generator = self.double(dims, 6, region=Region.whole((5,) * dims, fan_in=2))
        positions = torch.rand(dims, *(3, 4, 2, 2)[:dims], dtype=torch.float64) * 2 - 1
        features = generator.features_per_output(positions.flatten(1))
        assert features.shape == (3, generator.num_features, positions[0].numel())
        readout = generator.readout_weight.unflatten(0, (3, 2))
        expected = torch.einsum("oim,omp->oip", readout, features)
        assert_matches(generator(positions).flatten(1), expected.flatten(0, 1))


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_registry_builds_any_number_of_axes(name, dims):
    generator = GENERATORS[name](dims, 2)
    lengths = (2,) * dims
    assert generator(torch.zeros(dims, *lengths)).shape == (2, *lengths)


def test_every_generator_of_the_registry_has_a_contract():
    tested = {type(cls().make(2, 1)) for cls in GeneratorContract.__subclasses__()}
    assert tested >= set(GENERATORS.values())
