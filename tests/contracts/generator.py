"""The contract of every generator: subclass GeneratorContract and define ``make`` and ``factory``."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import oracles
from tolerances import assert_all_match, assert_matches


class GeneratorContract:
    """Laws of features and readout. Subclasses set ``bandlimited`` if the generator has a bound on its frequencies."""

    bandlimited = False

    def make(self, dims: int, channels: int, **options: Any):
        """Return a small generator; ``options`` are region, device and dtype."""
        raise NotImplementedError

    def factory(self) -> Callable[..., Any]:
        """Return the generator called with options only, as layers accept it."""
        raise NotImplementedError

    def double(self, dims=2, channels=6, **options):
        return self.make(dims, channels, dtype=torch.float64, **options)

    @pytest.mark.parametrize("dims", [1, 2, 3, 4])
    def test_values_are_readout_times_features(self, dims):
        generator = self.double(dims, 5)
        positions = torch.rand(dims, *(3, 4, 2, 2)[:dims], dtype=torch.float64) * 2 - 1
        features = generator.features(positions)
        assert features.shape == (generator.num_features, *positions.shape[1:])
        expected = torch.einsum("cm,m...->c...", generator.readout_weight, features)
        if generator.readout_bias is not None:
            expected = expected + generator.readout_bias.view(-1, *(1,) * dims)
        assert_matches(generator(positions), expected)

    def test_every_point_is_independent_of_the_others(self):
        generator, positions = self.double(), torch.rand(2, 5, 4, dtype=torch.float64) * 2 - 1
        one_by_one = [generator(point.view(2, 1, 1)).flatten() for point in positions.flatten(1).T]
        assert_matches(generator(positions).flatten(1), torch.stack(one_by_one, dim=1))

    def test_gradients(self):
        generator, positions = self.double(2, 3), torch.rand(2, 4, dtype=torch.float64) * 1.6 - 0.83
        names, values = zip(*generator.named_parameters(), strict=True)

        def evaluate(positions, *values):
            parameters = dict(zip(names, values, strict=True))
            return torch.func.functional_call(generator, parameters, (positions,))

        assert torch.autograd.gradcheck(evaluate, (positions.requires_grad_(), *values), fast_mode=True)

    def test_every_parameter_gets_a_gradient(self):
        generator = self.double()
        generator(oracles.grid((9, 9))).square().sum().backward()
        for name, parameter in generator.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().sum() > 0, name

    def draw(self, seed):
        torch.manual_seed(seed)
        return self.make(2, 4)

    def test_the_seed_determines_the_parameters(self):
        generator, twin, other = self.draw(3), self.draw(3), self.draw(4)
        assert_all_match(dict(twin.named_parameters()), dict(generator.named_parameters()), 1e-300)
        pairs = zip(generator.parameters(), other.parameters(), strict=True)
        assert any(not torch.equal(value, other_value) for value, other_value in pairs)

    def test_a_reset_forgets_the_old_parameters(self):
        generator, twin, other = self.draw(3), self.draw(3), self.draw(4)
        for module in (generator, other):
            torch.manual_seed(5)
            module.reset_parameters()
        assert_all_match(dict(other.state_dict()), dict(generator.state_dict()), 1e-300)
        assert not torch.equal(generator.readout_weight, twin.readout_weight)

    def test_dtype_and_device(self):
        assert {p.dtype for p in self.double().parameters()} == {torch.float64}
        assert all(p.is_meta for p in self.make(2, 4, device="meta").parameters())
        half = self.make(2, 4).to(torch.bfloat16)
        assert half(torch.zeros(2, 3, dtype=torch.bfloat16)).dtype is torch.bfloat16

    def test_copies_and_state(self):
        generator, positions = self.double(), oracles.grid((5, 4))
        loaded = self.double()
        loaded.load_state_dict(generator.state_dict())
        unpickled = pickle.loads(pickle.dumps(generator))
        for twin in (copy.deepcopy(generator), unpickled, loaded):
            torch.testing.assert_close(twin(positions), generator(positions), rtol=0, atol=0)

    def test_options_alone_give_a_factory(self):
        factory = self.factory()
        assert not isinstance(factory, nn.Module)
        assert factory(2, 3)(torch.zeros(2, 1, 1)).shape == (3, 1, 1)
        assert pickle.loads(pickle.dumps(factory))(1, 2).channels == 2

    def test_a_misspelt_option_fails_where_it_is_written(self):
        with pytest.raises(TypeError, match="hiden"):
            type(self.make(1, 1))(hiden=8)

    def test_wrong_arguments(self):
        with pytest.raises(ValueError, match=r"`channels` must be positive, got 0"):
            self.make(2, 0)
        with pytest.raises(ValueError, match=r"`positions` must have 2 rows, one per axis, got 3"):
            self.make(2, 1)(torch.zeros(3, 4))

    def test_repr_shows_dims_and_channels(self):
        assert "dims=2, channels=4" in repr(self.make(2, 4))

    def test_values_depend_on_positions_only(self):
        """No batch statistics and no randomness, in training mode too."""
        generator, positions = self.double().train(), oracles.grid((5, 4))
        torch.testing.assert_close(generator(positions), generator(positions), rtol=0, atol=0)
        assert_matches(generator(positions[:, :2]), generator(positions)[:, :2])

    @pytest.mark.parametrize("dims", [1, 2])
    def test_bandwidth_is_an_upper_bound(self, dims):
        """Above the bound, with Gaussians cut at 3 standard deviations, there is almost no energy."""
        generator = self.double(dims, 3)
        bound = generator.bandwidth(3.0)
        if not self.bandlimited:
            assert bound is None
            return
        # Sampled on a long line, under a wide Gaussian whose own bandwidth (0.04 Hz) is covered by a margin of 0.2 Hz.
        samples, half = 1 << 14, 16.0
        t = torch.linspace(-half, half, samples, dtype=torch.float64)
        line = torch.zeros(dims, samples, dtype=torch.float64)
        line[0] = t
        taper = torch.exp(-0.5 * (t / 4) ** 2)
        energy = torch.fft.rfft(generator.features(line) * taper).abs().square()
        frequency = torch.fft.rfftfreq(samples, d=2 * half / (samples - 1), dtype=torch.float64)
        assert bound < frequency[-1]
        energy_above = energy[:, frequency > bound + 0.2].sum(1)
        assert (energy_above / energy.sum(1)).max() < 1e-3

    def test_bandwidth_grows_with_the_cut_off_and_has_gradients(self):
        generator = self.double(2, 3)
        if not self.bandlimited:
            assert generator.bandwidth() is None
            return
        assert generator.bandwidth(2.0) >= generator.bandwidth(1.0) > 0
        generator.bandwidth(2.0).backward()
        assert generator.wave_vector.grad.abs().sum() > 0
