"""Adaptive layers: what they can compute, their initial values, numbers of parameters, errors and warnings."""

import copy
import warnings
from contextlib import nullcontext
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from flexkern.adaptive import SHARINGS, SQUASHES
from flexkern.layers.adaptive import AdaptiveConv1d, AdaptiveConv2d, AdaptiveConv3d
from tolerances import assert_matches

CLASSES = {1: AdaptiveConv1d, 2: AdaptiveConv2d, 3: AdaptiveConv3d}


def count(layer):
    return sum(p.numel() for p in layer.parameters())


class TestParameterCounts:
    """The table of the fact sheet: (with, without) the generator's bias; no output bias."""

    TABLE: ClassVar = {  # (in, out, kernel): pair, shared, full
        (1, 1, 3): ((90, 81),) * 3,
        (1, 1, 5): ((650, 625),) * 3,
        (1, 5, 5): ((3_250, 3_125),) * 3,
        (1, 6, 5): ((3_900, 3_750),) * 3,
        (1, 10, 5): ((6_500, 6_250),) * 3,
        (1, 20, 5): ((13_000, 12_500),) * 3,
        (5, 10, 3): ((4_500, 4_050), (4_140, 4_050), (20_700, 20_250)),
        (6, 16, 5): ((62_400, 60_000), (60_400, 60_000), (362_400, 360_000)),
        (3, 16, 3): ((4_320, 3_888), (4_032, 3_888), (12_096, 11_664)),
        (3, 64, 3): ((17_280, 15_552), (16_128, 15_552), (48_384, 46_656)),
        (64, 64, 3): ((368_640, 331_776), (332_352, 331_776), (21_270_528, 21_233_664)),
    }
    DEPTHWISE: ClassVar = {(1, 5): 650, (5, 3): 450, (6, 5): 3_900, (3, 3): 270, (64, 3): 5_760}

    @pytest.mark.parametrize("name", TABLE)
    def test_table(self, name):
        for sharing, expected in zip(("pair", "shared", "full"), self.TABLE[name], strict=True):
            for bias_generator, number in zip((True, False), expected, strict=True):
                options = {"sharing": sharing, "bias_generator": bias_generator}
                assert count(AdaptiveConv2d(*name, bias=False, device="meta", **options)) == number, options

    @pytest.mark.parametrize("name", DEPTHWISE)
    def test_depthwise(self, name):
        channels, kernel = name
        layer = AdaptiveConv2d(channels, channels, kernel, bias=False, sharing="depthwise")
        assert count(layer) == self.DEPTHWISE[name]

    def test_documented_formulas(self):
        ins, outs, groups, k, q = 6, 4, 2, 3 * 2, 5 * 1
        i = ins // groups
        for sharing, expected in {
            "pair": outs * i * k * q + outs * i * k,
            "shared": outs * k * i * q + outs * k,
            "full": outs * i * k * i * q + outs * i * k,
        }.items():
            options = {"groups": groups, "generator_size": (5, 1), "sharing": sharing}
            assert count(AdaptiveConv2d(ins, outs, (3, 2), **options)) == expected + outs, sharing
        options = {"generator_size": (5, 1), "sharing": "depthwise"}
        assert count(AdaptiveConv2d(ins, ins, (3, 2), **options)) == ins * k * q + ins * k + ins

    def test_gain_and_scale(self):
        assert count(AdaptiveConv2d(1, 1, 3, bias=False, bias_generator=False, squash="gaussian")) == 81 + 9
        bilateral = AdaptiveConv2d(1, 1, 3, bias=False, bias_generator=False, squash="gaussian", normalize=True)
        assert count(bilateral) == 81 + 9 + 1
        assert count(AdaptiveConv2d(2, 3, 3, bias=False, squash="softmax")) == 6 * 90 + 6
        assert count(AdaptiveConv2d(2, 3, 3, bias=False, squash="softmax", sharing="shared")) == 3 * (2 * 81 + 9) + 3


class TestWhatItComputes:
    @pytest.mark.parametrize("squash", ["tanh", "hardtanh"])
    @pytest.mark.parametrize("sharing", SHARINGS)
    def test_without_a_bias_it_is_even(self, sharing, squash):
        layer = AdaptiveConv2d(
            4, 4, 3, bias=False, bias_generator=False, sharing=sharing, squash=squash, dtype=torch.float64
        )
        x = torch.randn(2, 4, 6, 5, dtype=torch.float64)
        assert_matches(layer(-x), layer(x))
        biased = AdaptiveConv2d(4, 4, 3, bias=False, sharing=sharing, squash=squash, dtype=torch.float64)
        assert (biased(-x) - biased(x)).abs().max() > 0.1

    @pytest.mark.parametrize("normalize", [False, True])
    def test_an_even_squash_makes_it_odd(self, normalize):
        options = {"squash": "gaussian", "normalize": normalize, "bias": False, "bias_generator": False}
        layer = AdaptiveConv2d(2, 3, 3, dtype=torch.float64, **options)
        x = torch.randn(2, 2, 6, 5, dtype=torch.float64)
        assert_matches(layer(-x), -layer(x))

    @pytest.mark.parametrize("sharing", SHARINGS)
    def test_without_a_bias_and_q_nothing_is_left(self, sharing):
        layer = AdaptiveConv1d(4, 4, 3, bias=False, bias_generator=False, sharing=sharing)
        nn.init.zeros_(layer.generator_weight)
        assert layer(torch.randn(2, 4, 9)).count_nonzero() == 0

    @pytest.mark.parametrize("squash", ["tanh", "hardtanh"])
    def test_small_inputs_see_a_quadratic_form(self, squash):
        """A Volterra filter of second order: y = sum_c x_c^T Q_oc x_c, so that half of Q is redundant."""
        layer = AdaptiveConv2d(2, 3, 3, bias=False, bias_generator=False, squash=squash, dtype=torch.float64)
        x = 1e-4 * torch.randn(2, 2, 6, 5, dtype=torch.float64)
        patches = F.unfold(x, 3).view(2, 2, 9, -1)
        q = layer.generator_weight.view(2, 3, 9, 9)  # (in, out, u, a)
        assert_matches(layer(x).flatten(2), torch.einsum("bcup,coua,bcap->bop", patches, q, patches), 1e-6)
        with torch.no_grad():
            q.copy_((q + q.transpose(2, 3)) / 2)
        assert_matches(layer(x).flatten(2), torch.einsum("bcup,coua,bcap->bop", patches, q, patches), 1e-6)

    @pytest.mark.parametrize("squash", SQUASHES)
    @pytest.mark.parametrize("sharing", SHARINGS)
    def test_shifting_the_input_shifts_the_output(self, sharing, squash):
        layer = AdaptiveConv2d(
            2, 2, (3, 2), padding="same", padding_mode="circular", sharing=sharing, squash=squash, dtype=torch.float64
        )
        x = torch.randn(2, 2, 6, 5, dtype=torch.float64)
        assert_matches(layer(x.roll((2, -1), (2, 3))), layer(x).roll((2, -1), (2, 3)))

    def test_bounded_by_the_absolute_sum_of_the_patch(self):
        layer = AdaptiveConv1d(1, 4, 5, bias=False)
        with torch.no_grad():
            layer.generator_weight.mul_(20)
        x = torch.randn(2, 1, 30)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert (layer(x).abs() <= x.abs().unfold(2, 5, 1).sum(-1) + 1e-5).all()

    def test_kernels_applied_by_hand(self):
        layer = AdaptiveConv2d(3, 2, 3, dtype=torch.float64)
        x = torch.randn(2, 3, 6, 5, dtype=torch.float64)
        kernels = layer.kernels(x)
        assert kernels.shape == (2, 2, 3, 3, 3, 4, 3)
        patches = F.unfold(x, 3).view(2, 3, 3, 3, 4, 3)
        assert_matches(layer(x), torch.einsum("bocuvij,bcuvij->boij", kernels, patches) + layer.bias.view(-1, 1, 1))

    def test_one_layer_serves_every_size_of_signal(self):
        layer = AdaptiveConv1d(2, 3, 5, dtype=torch.float64)
        x = torch.randn(1, 2, 40, dtype=torch.float64)
        assert_matches(layer(x[..., :17]), layer(x)[..., :13])

    def test_a_step_edge_stays_sharper_than_a_linear_filter_leaves_it(self):
        """With a Gaussian squash and normalisation one channel starts as a bilateral filter."""
        noise = 0.3 * torch.randn(8, 1, 24, 24, dtype=torch.float64)
        clean = torch.where(torch.arange(24) < 12, -4.0, 4.0).to(noise).expand_as(noise)
        options = {"bias": False, "padding": "same", "padding_mode": "replicate", "dtype": torch.float64}
        layer = AdaptiveConv2d(1, 1, 5, squash="gaussian", normalize=True, **options)
        linear = copy.deepcopy(layer)
        nn.init.zeros_(linear.generator_weight)
        with torch.no_grad():
            adaptive, box = layer(clean + noise), linear(clean + noise)
        assert_matches(
            box, F.conv2d(F.pad(clean + noise, (2, 2, 2, 2), mode="replicate"), box.new_ones(1, 1, 5, 5) / 25)
        )
        jump = lambda y: (y[..., 12] - y[..., 11]).mean().item()  # noqa: E731
        assert jump(box) == pytest.approx(8 / 5, rel=0.1)
        assert jump(adaptive) > 3 * jump(box)
        edge, flat = (slice(8, 16),), (slice(0, 8),)
        error = lambda y, part: (y - clean)[(..., *part)].square().mean().item()  # noqa: E731
        assert error(adaptive, edge) < error(box, edge) / 3
        assert error(adaptive, flat) < noise.square().mean().item() / 3  # and noise is averaged away elsewhere


def fit(model, x, target, steps=300):
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = F.binary_cross_entropy_with_logits(model(x).flatten(), target)
        if loss < 0.05:  # all are classified correctly
            break
        loss.backward()
        optimiser.step()
    return ((model(x).flatten() > 0) == (target > 0)).float().mean().item()


class TestXor:
    """The paper's argument: one unit detects whether two pixels differ, which no linear filter can."""

    PIXELS: ClassVar = {
        "signs": torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]),
        "bits": torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]),
    }
    TARGET = torch.tensor([0.0, 1.0, 1.0, 0.0])

    @pytest.mark.parametrize("pixels", PIXELS)
    def test_one_adaptive_unit_learns_it(self, pixels):
        for seed in range(3):
            torch.manual_seed(seed)
            unit = AdaptiveConv2d(1, 1, (1, 2))
            assert fit(unit, self.PIXELS[pixels].view(4, 1, 1, 2), self.TARGET) == 1, seed

    def test_so_does_one_that_is_cut_off(self):
        """Unless the initial values lie where hardtanh has no slope, as one in twelve does with zeros and ones."""
        unit = AdaptiveConv2d(1, 1, (1, 2), squash="hardtanh")
        assert fit(unit, self.PIXELS["signs"].view(4, 1, 1, 2), self.TARGET) == 1

    def test_even_without_any_bias(self):
        torch.manual_seed(1)
        unit = AdaptiveConv1d(1, 1, 2, bias=False, bias_generator=False)
        assert fit(unit, self.PIXELS["signs"].view(4, 1, 2), self.TARGET) == 1

    @pytest.mark.parametrize("pixels", PIXELS)
    def test_no_linear_convolution_can(self, pixels):
        x = self.PIXELS[pixels]
        assert fit(nn.Conv2d(1, 1, (1, 2)), x.view(4, 1, 1, 2), self.TARGET) < 1
        columns = torch.cat([x, torch.ones(4, 1)], 1)
        best = columns @ torch.linalg.lstsq(columns, self.TARGET[:, None]).solution
        assert best.flatten().tolist() == pytest.approx([0.5] * 4, abs=1e-6)
        # Whatever its weights, both classes have the same mean.
        y = nn.Conv1d(1, 50, 2)(x.view(4, 1, 2)).detach()
        assert_matches(y[0] + y[3], y[1] + y[2], 1e-5)


def rms(make, draw, seeds=8):
    """Return the root mean square of the output over seeds."""
    squares = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        layer = make()
        with torch.no_grad():
            squares.append(layer(draw(layer)).square().mean())
    return torch.stack(squares).mean().sqrt().item()


SUBJECTS = {
    "fan_9": (2, (1, 16, 3), {}),
    "fan_72": (2, (8, 8, 3), {}),
    "fan_25": (2, (1, 16, 5), {}),
    "shared": (2, (4, 16, 3), {"sharing": "shared"}),
    "full": (2, (3, 8, 3), {"sharing": "full"}),
    "depthwise": (2, (16, 16, 3), {"sharing": "depthwise"}),
    "groups": (2, (8, 16, 3), {"groups": 4}),
    "groups_full": (2, (8, 16, 3), {"groups": 4, "sharing": "full"}),
    "stride": (2, (2, 8, 3), {"stride": 2, "dilation": 2}),
    "even": (2, (1, 16, 4), {}),
    "small_generator": (2, (2, 16, 3), {"generator_size": 1}),
    "large_generator": (2, (2, 16, 3), {"generator_size": 5}),
    "one_axis": (1, (1, 16, 9), {}),
    "three_axes": (3, (1, 8, 3), {}),
}
SIDES = {1: (512,), 2: (24, 24), 3: (9, 9, 9)}


def white(layer):
    return torch.randn(4, layer.in_channels, *SIDES[layer.dims])


class TestStart:
    @pytest.mark.parametrize("name", SUBJECTS)
    @pytest.mark.parametrize("squash", ["tanh", "hardtanh", "gaussian"])
    def test_white_noise_keeps_its_variance(self, squash, name):
        dims, given, options = SUBJECTS[name]
        # Every squash meets every subject, and half of them with a bias of the generator.
        bias_generator = (list(SUBJECTS).index(name) + ["tanh", "hardtanh", "gaussian"].index(squash)) % 2 == 0
        options = {"squash": squash, "bias_generator": bias_generator, **options}
        assert rms(lambda: CLASSES[dims](*given, **options), white) == pytest.approx(1, rel=0.15)

    @pytest.mark.parametrize("name", SUBJECTS)
    @pytest.mark.parametrize("squash", ["tanh", "hardtanh", "gaussian"])
    def test_it_starts_near_an_ordinary_convolution(self, squash, name):
        """The best linear filter leaves a small fraction of the variance unexplained, but not zero."""
        dims, given, options = SUBJECTS[name]
        left = []
        for seed in range(3):
            torch.manual_seed(seed)
            layer = CLASSES[dims](*given, squash=squash, **options)
            left.append(unexplained(layer))
        blind = (
            squash == "gaussian" and name == "small_generator"
        )  # sees nothing to compare, and exp(-z^2) is flat at 0
        assert (0 if blind else 0.01) < sum(left) / len(left) < 0.25

    @pytest.mark.parametrize("sharing", SHARINGS)
    @pytest.mark.parametrize("options", [{"squash": "softmax"}, {"squash": "gaussian", "normalize": True}])
    def test_normalised_kernels_pass_a_constant_with_the_mean_scale(self, options, sharing):
        layer = AdaptiveConv2d(4, 4, 3, bias=False, sharing=sharing, dtype=torch.float64, **options)
        level = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
        y = layer(level.view(1, 4, 1, 1).expand(1, 4, 6, 5))
        scale = layer.spec.as_weight(layer.scale.flatten().repeat_interleave(layer.spec.taps))[
            ..., 0, 0
        ]  # (out, in / groups or 1)
        expected = (scale * level.view(-1, 1) if sharing == "depthwise" else scale * level).sum(1)
        assert_matches(y, expected.view(1, 4, 1, 1).expand_as(y))
        if sharing == "depthwise":
            assert_matches(y, level.view(1, 4, 1, 1).expand_as(y))

    @pytest.mark.parametrize("sharing", SHARINGS)
    @pytest.mark.parametrize("options", [{"squash": "softmax"}, {"squash": "gaussian", "normalize": True}])
    def test_normalised_kernels_keep_the_variance_of_flat_inputs(self, options, sharing):
        def flat(layer):
            return torch.randn(64, 16, 1, 1).expand(-1, -1, 3, 3)

        make = lambda: AdaptiveConv2d(16, 16, 3, sharing=sharing, **options)  # noqa: E731
        assert rms(make, flat) == pytest.approx(1, rel=0.15)

    def test_biases_start_at_zero_and_resetting_draws_anew(self):
        layer = AdaptiveConv2d(2, 3, 3)
        before = copy.deepcopy(layer.state_dict())
        assert layer.bias.tolist() == [0, 0, 0]
        nn.init.ones_(layer.bias)
        layer.reset_parameters()
        assert layer.bias.tolist() == [0, 0, 0]
        assert not torch.equal(before["generator_weight"], layer.generator_weight)
        assert not torch.equal(before["generator_bias"], layer.generator_bias)
        assert layer.generator_bias.isfinite().all()

    @pytest.mark.parametrize("kernel", [1, 2])
    def test_the_least_fans_are_finite(self, kernel):
        for squash in SQUASHES:
            for bias_generator in (True, False):
                layer = AdaptiveConv1d(1, 64, kernel, squash=squash, bias_generator=bias_generator)
                assert all(p.isfinite().all() for p in layer.parameters())
                y = layer(torch.randn(2, 1, 64)).detach()
                assert 0.2 < y.square().mean().sqrt() < 2


def unexplained(layer):
    """Return the fraction of the output's variance that no linear filter of the same window explains."""
    x = white(layer).double()
    groups = layer.spec.groups
    patches = x
    for axis, (k, s, d) in enumerate(zip(layer.kernel_size, layer.spec.stride, layer.spec.dilation, strict=True), 2):
        patches = patches.unfold(axis, d * (k - 1) + 1, s)[..., ::d]
    patches = patches.flatten(2 + layer.dims).movedim(-1, 2).flatten(3)  # (B, in, taps, positions)
    y = layer.double()(x).detach().flatten(2)  # (B, out, positions)
    unexplained, total = 0.0, 0.0
    for inputs, outputs in zip(patches.chunk(groups, 1), y.chunk(groups, 1), strict=True):
        columns = inputs.flatten(1, 2).movedim(1, -1).flatten(0, 1)
        columns = torch.cat([columns, torch.ones_like(columns[:, :1])], 1)
        values = outputs.movedim(1, -1).flatten(0, 1)
        rest = values - columns @ torch.linalg.lstsq(columns, values).solution
        unexplained += rest.square().sum().item()
        total += (values - values.mean(0)).square().sum().item()
    return unexplained / total


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                {"sharing": "pairs"},
                r"unknown `sharing` 'pairs'; did you mean 'pair'\? Known: pair, shared, full, depthwise",
            ),
            ({"sharing": "zzz"}, r"unknown `sharing` 'zzz'\. Known"),
            (
                {"squash": "tahn"},
                r"unknown `squash` 'tahn'; did you mean 'tanh'\? Known: tanh, hardtanh, gaussian, softmax",
            ),
            ({"squash": 3}, r"`squash` must be a name or a function of one tensor, got 3"),
            ({"squash": None}, r"`squash` must be a name or a function of one tensor, got None"),
            ({"squash": nn.PReLU()}, r"`squash` must be a function without parameters"),
            ({"sharing": "depthwise"}, r"`out_channels` must equal `in_channels`.*got 2 -> 4.*1x1 convolution"),
            ({"sharing": "depthwise", "out_channels": 2, "in_channels": 2, "groups": 3}, r"groups=3"),
            ({"kernel_size": 0}, r"`kernel_size` must be positive, got 0"),
            ({"kernel_size": (3, -1)}, r"`kernel_size` must be positive, got \(3, -1\)"),
            ({"kernel_size": (3, 3, 3)}, r"`kernel_size` must be an integer or 2 of them"),
            ({"generator_size": 0}, r"`generator_size` must be positive, got 0"),
            ({"generator_size": (3, -3)}, r"`generator_size` must be positive, got \(3, -3\)"),
            ({"generator_size": (3,)}, r"`generator_size` must be an integer or 2 of them, got \(3,\)"),
            ({"generator_size": 2.5}, r"`generator_size` must be an integer or 2 of them, got 2\.5"),
            ({"stride": 0}, r"`stride` must be positive, got 0"),
            ({"dilation": 0}, r"`dilation` must be positive, got 0"),
            ({"padding": -1}, r"`padding` must be not negative, got -1"),
            ({"in_channels": 0}, r"`in_channels` must be positive, got 0"),
            ({"in_channels": 0, "out_channels": 0, "sharing": "depthwise"}, r"`in_channels` must be positive, got 0"),
            ({"out_channels": -4}, r"`out_channels` must be positive, got -4"),
            ({"groups": 0}, r"`groups` must be positive, got 0"),
            ({"groups": 3}, r"`in_channels` must be divisible by `groups`, got 2 and 3"),
            ({"padding_mode": "wrap"}, r"`padding_mode` must be one of"),
            ({"padding": "same", "stride": 2}, r"`padding='same'` needs stride 1"),
        ],
        ids=str,
    )
    def test_arguments(self, options, message):
        with pytest.raises(ValueError, match=message):
            AdaptiveConv2d(**{"in_channels": 2, "out_channels": 4, "kernel_size": 3, **options})

    def test_a_squash_without_parameters_may_be_a_module(self):
        layer = AdaptiveConv1d(1, 2, 3, squash=nn.Softsign())
        assert "squash=" in repr(layer)
        assert layer(torch.randn(1, 1, 5)).shape == (1, 2, 3)

    def test_kernel_larger_than_the_padded_input(self):
        with pytest.raises(ValueError, match=r"`kernel_size` \(7, 7\).*does not fit a signal of \(4, 9\).*`padding`"):
            AdaptiveConv2d(1, 1, 7, padding=1)(torch.randn(1, 1, 4, 9))
        with pytest.raises(ValueError, match="dilation"):
            AdaptiveConv1d(1, 1, 3, dilation=4)(torch.randn(1, 1, 8))

    def test_a_generator_that_sees_beyond_the_signal_is_no_error(self):
        assert AdaptiveConv1d(1, 1, 3, generator_size=9)(torch.randn(1, 1, 4)).shape == (1, 1, 2)

    @pytest.mark.parametrize("mode", ["reflect", "circular"])
    def test_unless_the_signal_is_too_short_to_repeat(self, mode):
        layer = AdaptiveConv1d(1, 1, 3, generator_size=15, padding_mode=mode)
        with pytest.raises(ValueError, match=f"{mode} padding of 6 needs a longer signal than 5"):
            layer(torch.randn(1, 1, 5))


class TestSaturation:
    MESSAGE = r"AdaptiveConv1d: inputs of size .* saturate \w+ in most kernel values.*standardise the input"

    @pytest.mark.parametrize("squash", ["tanh", "hardtanh"])
    def test_warns_once_per_layer_and_names_the_remedy(self, squash):
        x = 1000 * torch.randn(2, 3, 40)
        for layer in (AdaptiveConv1d(3, 8, 5, squash=squash), AdaptiveConv1d(3, 8, 5, squash=squash)):
            with pytest.warns(UserWarning, match=self.MESSAGE) as caught:
                layer(x)
            assert len(caught) == 1
            assert caught[0].filename == __file__
            layer(x)  # warnings are errors here
            layer.eval()(x)

    @pytest.mark.parametrize("sharing", SHARINGS)
    @pytest.mark.parametrize("squash", SQUASHES)
    def test_not_for_standardised_input(self, squash, sharing):
        """Warnings are errors here."""
        for bias_generator in (True, False):
            for kernel in (1, 3, 7):
                options = {"squash": squash, "sharing": sharing, "bias_generator": bias_generator}
                AdaptiveConv1d(4, 4, kernel, padding="same", **options)(torch.randn(2, 4, 40))

    def test_not_for_a_function(self):
        """The point of saturation is unknown."""
        AdaptiveConv1d(3, 8, 5, squash=torch.atan)(1000 * torch.randn(2, 3, 40))

    def test_a_softmax_whose_windows_are_one_sample(self):
        """It does not warn where all values of a window are equally large: a softmax depends on differences only."""
        with pytest.warns(UserWarning, match="saturate softmax"):
            AdaptiveConv1d(3, 8, 5, squash="softmax")(1000 * torch.randn(2, 3, 40))
        layer = AdaptiveConv1d(1, 1, 5, squash="softmax")
        torch.nn.init.ones_(layer.generator_weight)
        layer(torch.full((1, 1, 40), 1000.0))

    def test_hardtanh_ends_at_one(self):
        """Where tanh still has a slope."""
        for squash in ("tanh", "hardtanh"):
            layer = AdaptiveConv1d(1, 1, 1, squash=squash, bias_generator=False)
            torch.nn.init.constant_(layer.generator_weight, 0.2)
            with pytest.warns(UserWarning, match="saturate hardtanh") if squash == "hardtanh" else nullcontext():
                layer(torch.full((1, 1, 9), 10.0))

    def test_the_gaussian_vanishes(self):
        with pytest.warns(UserWarning, match="saturate gaussian"):
            AdaptiveConv1d(3, 8, 5, squash="gaussian")(1000 * torch.randn(2, 3, 40))

    def test_what_was_learned_from_standardised_inputs_is_left_alone(self):
        layer = AdaptiveConv1d(3, 8, 5)
        with torch.no_grad():
            layer.generator_weight.mul_(1000)
        layer(torch.randn(2, 3, 40))  # warnings are errors here

    def test_a_copy_warns_for_itself(self):
        layer, x = AdaptiveConv1d(1, 1, 3), torch.full((1, 1, 9), 1e4)
        twin = copy.deepcopy(layer)
        for one in (layer, twin):
            with pytest.warns(UserWarning, match=self.MESSAGE):
                one(x)

    def test_a_signal_shorter_than_what_is_looked_at(self):
        with pytest.warns(UserWarning, match=self.MESSAGE):
            AdaptiveConv1d(1, 1, 3, stride=2, dilation=3, padding=3)(torch.full((1, 1, 2), 1e4))

    def test_saturated_output_is_correct(self):
        layer = AdaptiveConv1d(1, 2, 3, dtype=torch.float64)
        x = torch.full((1, 1, 5), 1e4, dtype=torch.float64)
        with pytest.warns(UserWarning, match="saturate tanh"):
            y = layer(x)
        z = F.conv1d(x, layer.generator_weight, layer.generator_bias)
        assert_matches(y, (torch.tanh(z).view(1, 2, 3, 3) * 1e4).sum(2))
        assert y.isfinite().all()
