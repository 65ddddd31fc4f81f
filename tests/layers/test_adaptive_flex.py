"""Adaptive convolutions whose kernels learn their size."""

import copy
import pickle

import pytest
import torch
from torch import nn

import oracles
from contracts.layer import ARGUMENTS, embedded
from flexkern import AdaptiveFlexConv1d, AdaptiveFlexConv2d, FlexConv1d, freeze_sizes, sizes
from flexkern.adaptive import SQUASHES
from tolerances import assert_matches

CLASSES = {1: AdaptiveFlexConv1d, 2: AdaptiveFlexConv2d}
SIGNAL = {1: (11,), 2: (9, 8)}
CASES = [name for name, given in ARGUMENTS.items() if "groups" not in given]


def make(dims=2, **changes):
    torch.manual_seed(3)
    given = {"in_channels": 2, "out_channels": 3, "kernel_size": 5, "rank": 2, "dtype": torch.float64, **changes}
    layer = CLASSES[dims](**given)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name in ("bias", "mixing_weight"):
                parameter.normal_()
    return layer


def signal(layer, batch=2, dtype=torch.float64):
    return torch.randn(batch, layer.in_channels, *SIGNAL[layer.dims], dtype=dtype)


def twin(layer, x, given):
    """Compute every output separately: its kernel, mixed according to the samples around it, times its window."""
    dims, kernels = layer.dims, embedded(layer.basis.weight, layer.basis)
    spread = lambda value: (value,) * dims if isinstance(value, int) else tuple(value)  # noqa: E731
    stride, dilation = spread(given.get("stride", 1)), spread(given.get("dilation", 1))
    causal = layer.basis.arguments.causal
    padding = oracles.torch_padding(given.get("padding", 0), layer.kernel_size, dilation, causal=causal)
    mode = given.get("padding_mode", "zeros")
    reach = [max(layer.mixing_weight.shape[2:])] * dims  # zeros, or what the mode says, as far as Q may look
    wide = [(left + n * d, right + n * d) for (left, right), n, d in zip(padding, reach, dilation, strict=True)]
    flat = [side for pair in reversed(wide) for side in pair]
    padded = nn.functional.pad(x, flat, mode="constant" if mode == "zeros" else mode)
    output = layer(x)
    expected = torch.empty_like(output)
    size = layer.mixing_weight.shape[2:]
    for place in torch.cartesian_prod(*(torch.arange(n) for n in output.shape[2:])).view(-1, dims).tolist():
        first = [p * s + n * d for p, s, n, d in zip(place, stride, reach, dilation, strict=True)]
        window = [slice(f, f + d * (k - 1) + 1, d) for f, d, k in zip(first, dilation, layer.kernel_size, strict=True)]
        starts = [k - q if causal else (k - q) // 2 for k, q in zip(layer.kernel_size, size, strict=True)]
        seen = [
            slice(f + s * d, f + (s + q - 1) * d + 1, d)
            for f, s, d, q in zip(first, starts, dilation, size, strict=True)
        ]
        values, around = padded[(..., *window)].flatten(1), padded[(..., *seen)].flatten(1)
        z = around @ layer.mixing_weight.flatten(1).T + layer.mixing_bias
        z = z.view(len(x), layer.out_channels, layer.rank)
        mixing = z.softmax(2) if layer.squash == "softmax" else SQUASHES[layer.squash](z)
        kernel = torch.einsum("bor,rk->bok", mixing, kernels.flatten(1))
        expected[(..., *place)] = torch.einsum("bok,bk->bo", kernel, values)
        if layer.bias is not None:
            expected[(..., *place)] += layer.bias
    return output, expected


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_every_output_is_the_kernel_of_its_place_times_its_window(dims, name):
    given = ARGUMENTS[name]
    assert_matches(*twin(make(dims, **given), signal(make(dims)), given))


@pytest.mark.parametrize("changes", [{"squash": "softmax"}, {"squash": "hardtanh"}, {"mixing_size": 3}, {"rank": 1}])
@pytest.mark.parametrize("padding", ["same", 0])
def test_squashes_and_sizes_of_the_generator(changes, padding):
    layer = make(padding=padding, **changes)
    assert_matches(*twin(layer, signal(layer), {"padding": padding}))


@pytest.mark.parametrize("mixing_size", [1, 4])
def test_a_causal_layer_sees_nothing_that_is_still_to_come(mixing_size):
    layer = make(1, causal=True, kernel_size=7, mixing_size=mixing_size)
    x = signal(layer)
    assert_matches(*twin(layer, x, {}))
    changed = x.clone()
    changed[..., 6:] += 1
    assert_matches(layer(x)[..., :6], layer(changed)[..., :6])


def test_without_the_generator_it_is_a_convolution_of_low_rank():
    layer = make(padding="same")
    with torch.no_grad():
        layer.mixing_weight.zero_()
    mixing = layer.mixing_bias.tanh().view(3, 2)
    weight = torch.einsum("or,rikl->oikl", mixing, embedded(layer.basis.weight, layer.basis))
    x = signal(layer)
    assert_matches(layer(x), nn.functional.conv2d(x, weight, layer.bias, padding=2))


def test_learned_sizes_and_their_gradients():
    layer = make(kernel_size=17, init_size=5, padding="same")
    assert layer.size == (5, 5)
    assert sizes(layer) == {"basis": (5, 5)}
    layer(signal(layer)).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in layer.parameters())
    assert layer.plan((2, 2, 9, 8)).problem.kernel == (5, 5)


@pytest.mark.parametrize("squash", ["tanh", "softmax"])
@pytest.mark.parametrize("dims", [1, 2])
def test_gradcheck(dims, squash):
    layer = make(dims, padding="same", squash=squash, mixing_size=2)
    x = torch.randn(1, 2, *(6, 5)[:dims], dtype=torch.float64, requires_grad=True)
    names, values = zip(*layer.named_parameters(), strict=True)

    def run(x, *parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, (x, *values), fast_mode=True)


@pytest.mark.parametrize(
    ("squash", "rank", "variance"),
    [("tanh", 8, 1), ("hardtanh", 8, 1), ("tanh", 3, 1), ("tanh", 1, 0.4), ("tanh", 2, 0.7), ("softmax", 4, 0.28)],
)
def test_the_start_keeps_the_variance_as_far_as_the_squash_lets_it(squash, rank, variance):
    outputs = []  # of a softmax of four: a quarter, and what its weights differ by
    for seed in range(24):
        torch.manual_seed(seed)
        layer = AdaptiveFlexConv1d(8, 32, 33, padding="same", rank=rank, squash=squash, init_size=9)
        outputs.append(layer(torch.randn(4, 8, 256)).var())
    assert torch.stack(outputs).mean().item() == pytest.approx(variance, rel=0.2)


def test_errors_name_the_layer_and_the_argument():
    layer = AdaptiveFlexConv2d(2, 3, 3, padding=1, padding_mode="reflect", mixing_size=9)
    with pytest.raises(ValueError, match="AdaptiveFlexConv2d expects 2 input channels, got 3"):
        layer(torch.randn(1, 3, 8, 8))
    with pytest.raises(ValueError, match="reflect padding of 4 for `mixing_size` needs a longer signal than 4"):
        layer(torch.randn(1, 2, 4, 4))


def test_copies_state_and_frozen_sizes():
    layer = make(padding="same").eval()
    x = signal(layer)
    expected = layer(x)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), freeze_sizes(copy.deepcopy(layer))):
        assert_matches(other(x), expected)
    fresh = make(padding="same")
    fresh.reset_parameters()
    fresh.load_state_dict(layer.state_dict())
    assert_matches(fresh(x), expected)
    assert_matches(layer(x[0]), expected[0])
    meta = AdaptiveFlexConv2d(2, 3, 5, device="meta").to_empty(device="cpu")
    meta.reset_parameters()
    assert meta(torch.randn(1, 2, 9, 9)).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_dtypes_and_autocast(dtype):
    layer = make(padding="same")
    x = signal(layer)
    assert layer.to(dtype)(x.to(dtype)).dtype is dtype
    layer.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x.float()).dtype is torch.bfloat16


@pytest.mark.parametrize("squash", ["tanh", "hardtanh", "softmax"])
def test_one_graph(squash):
    layer = freeze_sizes(make(padding="same", dtype=torch.float32, squash=squash))
    x = signal(layer, dtype=torch.float32).requires_grad_()
    torch.compiler.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    tensors = [x, layer.mixing_weight, layer.mixing_bias, layer.bias, *layer.basis.generator.parameters()]
    found, expected = (call(x) for call in (compiled, layer))
    assert_matches(found, expected, 1e-5)
    for one, other in zip(*(torch.autograd.grad(y.square().sum(), tensors) for y in (found, expected)), strict=True):
        assert_matches(one, other, 1e-4)


def test_export_and_layout():
    layer = freeze_sizes(make(padding="same", dtype=torch.float32)).eval()
    x = signal(layer, dtype=torch.float32)
    with torch.no_grad():
        expected = layer(x)
        assert_matches(layer(x.to(memory_format=torch.channels_last)), expected, 1e-5)
        assert_matches(torch.export.export(layer, (x,)).module()(x), expected, 1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": 2}, "`groups` must be 1 for an adaptive convolution of learned size, got 2"),
        ({"rank": 0}, "`rank` must be positive, got 0"),
        ({"out_channels": 0}, "`out_channels` must be positive, got 0"),
        ({"mixing_size": (1, 0)}, r"`mixing_size` must be positive, got \(1, 0\)"),
        ({"squash": "tahn"}, "unknown `squash` 'tahn'; did you mean 'tanh'"),
        ({"squash": "gaussian"}, "unknown `squash` 'gaussian'"),
        ({"kernel_size": 0}, "`kernel_size` must be positive, got 0"),
    ],
)
def test_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_it_has_the_documented_number_of_parameters():
    layer = AdaptiveFlexConv1d(3, 5, 9, rank=4, mixing_size=2)
    basis = FlexConv1d(3, 4, 9, bias=False)
    own = 5 * 4 * (3 * 2 + 1) + 5
    assert sum(p.numel() for p in layer.parameters()) == own + sum(p.numel() for p in basis.parameters())
    assert "rank=4" in repr(layer)


@pytest.mark.parametrize("squash", ["tanh", "hardtanh", "softmax"])
def test_inputs_that_saturate_the_mixing_warn_once(squash):
    layer, x = AdaptiveFlexConv2d(2, 3, 5, padding="same", squash=squash), 1000 * torch.randn(1, 2, 9, 9)
    message = f"AdaptiveFlexConv2d: inputs of size .* saturate {squash} in most of the mixing.*`mixing_weight`"
    with pytest.warns(UserWarning, match=message) as caught:
        layer(x)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    layer(x)  # warnings are errors here
    AdaptiveFlexConv2d(2, 3, 5, squash=squash)(torch.randn(1, 2, 9, 9))
