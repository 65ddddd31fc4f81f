"""NJetConv2d against loops over channels, orders and taps; the basis against derivatives by autograd."""

import copy
import inspect
import itertools
import math
import pickle
from typing import Any

import pytest
import torch
from torch import nn

import oracles
from experiments.baselines import NJetConv2d, njet
from experiments.baselines.njet import gaussian_jet, jet_basis
from flexkern.functional import kernel_gain
from tolerances import assert_matches

CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "no_bias": {"bias": False},
    "stride": {"stride": 2},
    "stride_rectangular": {"stride": (3, 2)},
    "order_0": {"order": 0},
    "order_6": {"order": 6},
    "below_a_sample": {"sigma": 0.3},
    "longer_than_signal": {"sigma": 2.2, "extent": 3.0},
    "groups": {"groups": 2},
    "depthwise": {"groups": 4, "out_channels": 4, "stride": 2},
    "reflect": {"padding_mode": "reflect"},
    "replicate": {"padding_mode": "replicate", "sigma": 2.7},
    "circular_strided": {"padding_mode": "circular", "stride": 2},
}
CHANNELS, SIGNAL = 4, (6, 5)


def make(**changes):
    """A layer in float64 whose bias is not zero."""
    arguments = {"in_channels": CHANNELS, "out_channels": 6, "dtype": torch.float64, **changes}
    layer = NJetConv2d(**arguments).eval()
    if layer.bias is not None:
        nn.init.normal_(layer.bias)
    return layer


def draw_input(batch=2, dtype=torch.float64):
    return torch.randn(batch, CHANNELS, *SIGNAL, dtype=dtype)


def read_sample(x, row, column, mode):
    """All channels of (C, H, W) at coordinates that may lie outside."""
    inside = []
    for i, n in zip((row, column), x.shape[1:], strict=True):
        if mode == "zeros" and not 0 <= i < n:
            return torch.zeros_like(x[:, 0, 0])
        if mode == "reflect":
            i = n - 1 - abs(n - 1 - abs(i))
        elif mode == "replicate":
            i = min(max(i, 0), n - 1)
        inside.append(i % n)
    return x[:, inside[0], inside[1]]


def loop_conv(x, weight, bias, stride, mode):
    """(C, H, W) and (O, C / groups, K, K) to (O, H', W'), one output at a time; padded by half of the kernel."""
    fan_in, size = weight.shape[1], weight.shape[2]
    per_group = weight.shape[0] // (x.shape[0] // fan_in)
    steps = (stride, stride) if isinstance(stride, int) else stride
    lengths = [-(-n // step) for n, step in zip(x.shape[1:], steps, strict=True)]
    output = x.new_zeros(weight.shape[0], *lengths)
    for o, i, j in itertools.product(*map(range, output.shape)):
        first = o // per_group * fan_in
        for u, v in itertools.product(range(size), repeat=2):
            row, column = i * steps[0] + u - size // 2, j * steps[1] + v - size // 2
            sample = read_sample(x, row, column, mode)
            output[o, i, j] += weight[o, :, u, v] @ sample[first : first + fan_in]
        if bias is not None:
            output[o, i, j] += bias[o]
    return output


def loop_weight(layer, sigma):
    """Kernels from the formula, one term at a time; derivatives as polynomials times a Gaussian."""
    half, order = (layer.kernel_size[0] - 1) // 2, layer.order
    pairs = [(i, j) for i in range(order + 1) for j in range(order + 1) if i + j <= order]
    weight = torch.zeros(*layer.alpha.shape[:2], 2 * half + 1, 2 * half + 1, dtype=torch.float64)
    for o, c in ((o, c) for o in range(weight.shape[0]) for c in range(weight.shape[1])):
        for y in range(-half, half + 1):
            for x in range(-half, half + 1):
                for alpha, (i, j) in zip(layer.alpha[o, c].tolist(), pairs, strict=True):
                    rows = sigma**i * oracles.gaussian_derivative(y, sigma, i)
                    columns = sigma**j * oracles.gaussian_derivative(x, sigma, j)
                    weight[o, c, y + half, x + half] += alpha * rows * columns
    return weight


def oracle(layer, x, stride=1, padding_mode="zeros", extent=2.0, **options):
    sigma = math.exp(layer.log_sigma.item()) * layer.scale
    assert layer.kernel_size[0] == 2 * math.ceil(extent * sigma) + 1
    weight = loop_weight(layer, sigma)
    outputs = [loop_conv(sample, weight, layer.bias, stride, padding_mode) for sample in x]
    return torch.stack(outputs)


class TestLayer:
    @pytest.mark.parametrize("case", CASES)
    def test_equals_the_oracle(self, case):
        layer, x = make(**CASES[case]), draw_input()
        for scale in (1.0, 0.7):
            layer.scale = scale
            assert_matches(layer(x), oracle(layer, x, **CASES[case]))

    @pytest.mark.parametrize("stride", [1, 2, 3, (1, 4)])
    def test_output_has_the_shape_of_torch(self, stride):
        theirs = nn.Conv2d(4, 1, 3, stride, padding=1, dtype=torch.float64)(draw_input())
        for sigma in (0.2, 1.0, 4.0):
            assert make(sigma=sigma, stride=stride)(draw_input()).shape[2:] == theirs.shape[2:]

    def test_signature_is_that_of_torch(self):
        """For what both have; by keyword, because what torch takes third is missing."""
        theirs = inspect.signature(nn.Conv2d.__init__).parameters
        ours = inspect.signature(NJetConv2d.__init__).parameters
        assert all(p.kind is p.KEYWORD_ONLY for p in list(ours.values())[3:])
        for name in set(theirs) & set(ours):
            assert ours[name].default == theirs[name].default

    @pytest.mark.parametrize("wrong", ["axes", "channels", "dtype", "precision", "short"])
    def test_wrong_input_is_refused(self, wrong):
        layer, x = make(padding_mode="reflect"), draw_input()
        input, message = {
            "axes": (x[0, 0], r"expects input of shape \(batch, channels, 2 axes\)"),
            "channels": (x[:, :-1], r"expects 4 input channels, got 3"),
            "dtype": (x.long(), r"expects floating-point input, got torch.int64"),
            "precision": (x.float(), r"torch.float64 parameters but the input is torch.float32"),
            "short": (x[..., :2], r"reflect padding of 2 for a kernel of 5 samples needs a longer signal than 2"),
        }[wrong]
        with pytest.raises(ValueError, match=message):
            layer(input)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"stride": 0}, "`stride` must be positive, got 0"),
            ({"groups": 3}, "`in_channels` must be divisible by `groups`, got 4 and 3"),
            ({"padding_mode": "wrap"}, "`padding_mode` must be one of"),
            ({"order": -1}, "`order` must not be negative, got -1"),
            ({"sigma": 0.0}, "`sigma` must be positive, got 0.0"),
            ({"extent": -2.0}, "`extent` must be positive, got -2.0"),
        ],
    )
    def test_wrong_arguments_are_refused(self, changes, message):
        with pytest.raises(ValueError, match=message):
            make(**changes)

    def test_repr_shows_the_arguments(self):
        assert "4, 6, kernel_size=(5, 5), stride=(2, 2), bias=True, order=4" in repr(make(stride=2))
        assert repr(make(device="meta"))

    def test_export_is_refused(self):
        with pytest.raises(RuntimeError, match="a size that is learned cannot be exported"):
            torch.export.export(make(), (draw_input(),))

    def test_gradcheck(self):
        """Also of sigma."""
        layer = make(stride=(1, 2), sigma=1.2)
        x = torch.randn(2, 4, 4, 3, dtype=torch.float64, requires_grad=True)
        names, values = zip(*layer.named_parameters(), strict=True)

        def run(x, *parameters):
            return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))

        assert torch.autograd.gradcheck(run, (x, *values))

    def test_every_parameter_gets_a_gradient(self):
        layer = make().train()
        layer(draw_input()).square().sum().backward()
        for name, parameter in layer.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name

    def test_samples_do_not_see_each_other(self):
        layer, x = make(), draw_input(batch=3)
        for i in range(3):
            assert_matches(layer(x[i : i + 1]), layer(x)[i : i + 1])

    @pytest.mark.parametrize("padding_mode", ["zeros", "reflect"])
    def test_unbatched_and_empty_batch(self, padding_mode):
        layer, x = make(padding_mode=padding_mode), draw_input()
        assert_matches(layer(x[0]), layer(x)[0])
        assert layer(x[:0]).shape == layer(x)[:0].shape

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
    def test_dtype_in_is_dtype_out(self, dtype):
        layer, x = make(dtype=dtype), draw_input(dtype=dtype)
        assert {p.dtype for p in layer.parameters()} == {dtype}
        assert layer(x).dtype is dtype
        assert_matches(layer(x), copy.deepcopy(layer).double()(x.double()))

    def test_autocast(self):
        layer, x = make(dtype=torch.float32).train(), draw_input(dtype=torch.float32)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = layer(x)
            assert make()(draw_input()).dtype is torch.float64, "as torch's own convolutions"
        assert y.dtype is torch.bfloat16
        assert_matches(y, layer(x), 0.1)
        y.float().square().sum().backward()

    def test_state_dict_and_copies(self):
        layer, x = make(), draw_input()
        layer(x).sum().backward()
        loaded = make()
        loaded.load_state_dict(layer.state_dict())
        for twin in (loaded, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            torch.testing.assert_close(twin(x), layer(x), rtol=0, atol=0)

    def test_meta_device(self):
        layer = make(device="meta")
        assert all(p.is_meta for p in layer.parameters())
        y = layer(draw_input().to("meta"))
        assert y.is_meta
        assert y.shape == make()(draw_input()).shape

    @pytest.mark.parametrize("empty", [False, True], ids=["constructed", "to_empty"])
    def test_white_noise_keeps_its_variance(self, empty):
        """However the parameters were drawn: at once, or as FSDP does it after ``to_empty``."""
        variances = []
        for _ in range(12):
            layer = NJetConv2d(64, 64, padding_mode="circular").eval()
            if empty:
                for tensor in layer.state_dict().values():
                    tensor.fill_(math.nan)  # whatever was in memory
                layer.reset_parameters()
            x = torch.randn(4, 64, 8, 8)
            variances.append(layer(x).square().mean().item())
        assert sum(variances) / 12 == pytest.approx(1, rel=0.25)

    def test_forward_stores_nothing(self):
        layer = make()

        def state():
            return {key: dict(value) if isinstance(value, dict) else value for key, value in vars(layer).items()}

        before = state()
        layer(draw_input())
        assert state() == before


@pytest.mark.parametrize("sigma", [0.7, 1.0, 2.5])
def test_jet_is_the_derivatives_of_a_gaussian(sigma):
    """Scaled by sigma^n; by autograd and by the polynomials of the oracle."""
    jet = gaussian_jet(torch.tensor(sigma, dtype=torch.float64), order=6, half=5)
    x = torch.arange(-5, 6, dtype=torch.float64).requires_grad_()
    value = torch.exp(-(x**2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))
    for order in range(7):
        assert_matches(jet[order], sigma**order * value, 1e-11)
        explicit = [sigma**order * oracles.gaussian_derivative(t, sigma, order) for t in x.tolist()]
        assert_matches(jet[order], torch.tensor(explicit, dtype=torch.float64))
        (value,) = torch.autograd.grad(value.sum(), x, create_graph=True)


def test_basis_holds_every_pair_of_orders_once():
    jet = gaussian_jet(torch.tensor(1.5, dtype=torch.float64), order=2, half=3)
    basis = jet_basis(torch.tensor(1.5, dtype=torch.float64), order=2, half=3)
    pairs = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0)]
    assert_matches(basis, torch.stack([torch.outer(jet[i], jet[j]) for i, j in pairs]))
    assert NJetConv2d(1, 1, order=4).alpha.shape == (1, 1, 15)


class TestSize:
    @pytest.mark.parametrize(("sigma", "size"), [(0.1, 3), (0.5, 3), (0.51, 5), (1.0, 5), (1.5, 7), (3.0, 13)])
    def test_follows_sigma(self, sigma, size):
        layer = NJetConv2d(1, 1, sigma=sigma)
        assert layer.kernel_size == (size, size)
        assert all(type(k) is int for k in layer.kernel_size)
        assert layer.weight.shape == (1, 1, size, size)
        assert NJetConv2d(1, 1, sigma=sigma, device="meta").kernel_size == (size, size)

    def test_is_learned(self):
        layer, size = NJetConv2d(1, 1), 5
        optimiser = torch.optim.SGD([layer.log_sigma], lr=0.5)
        for _ in range(3):
            (-layer.log_sigma).backward()
            optimiser.step()
            assert layer.kernel_size > (size, size)
            size = layer.kernel_size[0]
        layer.reset_parameters()
        assert layer.sigma.item() == pytest.approx(1)

    @pytest.mark.parametrize("stride", [1, 2])
    def test_outgrows_the_signal_at_no_cost(self, stride):
        """Taps that only meet zeros are left out, and nothing is lost."""
        layer = NJetConv2d(2, 3, sigma=9.0, stride=stride, dtype=torch.float64)
        x = torch.randn(2, 2, 5, 7, dtype=torch.float64)
        assert layer.kernel_size == (37, 37)
        expected = torch.nn.functional.conv2d(x, layer.weight, layer.bias, stride, 18)
        assert_matches(layer(x), expected)
        plans = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(njet, "convolve", lambda signal, weight, *_, **__: plans.append(weight.shape) or signal)
            layer(x)
        assert plans == [(3, 2, 9, 13)]

    def test_sigma_that_is_not_finite_is_refused(self):
        layer = NJetConv2d(1, 1)
        with torch.no_grad():
            layer.log_sigma.fill_(torch.nan)
        with pytest.raises(ValueError, match="`sigma` must be finite, got nan"):
            layer(torch.zeros(1, 4, 4))


class TestResolution:
    def test_same_response_to_a_signal_sampled_more_densely(self):
        layer = NJetConv2d(1, 3, sigma=2.0, extent=6.0, bias=False, dtype=torch.float64)

        def signal(step):
            at = torch.arange(0, 60, step, dtype=torch.float64)
            return torch.cos(0.3 * at[:, None] + 0.1) * torch.sin(0.2 * at)

        coarse, fine = layer(signal(1.0)[None])[:, 15:-15, 15:-15], copy.deepcopy(layer)
        fine.resample(2.0)
        assert fine.scale == 2.0
        assert fine.kernel_size == (49, 49)
        assert_matches(fine(signal(0.5)[None])[:, ::2, ::2][:, 15:-15, 15:-15], coarse, 1e-6)
        fine.resample((0.5, 0.5))
        assert_matches(fine.weight, layer.weight)

    @pytest.mark.parametrize("scale", [0.0, (1.0, 2.0), math.nan, ()])
    def test_wrong_scale_is_refused(self, scale):
        with pytest.raises(ValueError, match="`scale` must be one positive number for both axes, got"):
            NJetConv2d(1, 1).resample(scale)

    def test_scale_is_shown(self):
        layer = NJetConv2d(1, 1)
        assert "scale" not in repr(layer)
        layer.scale = 2.0
        assert "scale=2.0" in repr(layer)


@pytest.mark.parametrize("options", [{"sigma": 0.5}, {"sigma": 4.0}, {"order": 0}, {"order": 8}, {"groups": 8}])
def test_gain_is_one_at_the_start(options):
    gains = []
    for seed in range(12):
        torch.manual_seed(seed)
        gains.append(kernel_gain(NJetConv2d(16, 16, **options).weight.detach()).item() ** 2)
    assert math.sqrt(sum(gains) / 12) == pytest.approx(1, rel=0.15)
