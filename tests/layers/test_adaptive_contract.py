"""What every layer must hold, for layers whose weight is another one at every position.

The tests of LayerContract that ask nothing of a weight are borrowed from it.
"""

import copy
import math
import pickle
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

import oracles
from contracts.layer import ARGUMENTS, FEW, KERNEL, SIGNAL, LayerContract, randomise_bias
from flexkern.adaptive import SHARINGS, SQUASHES
from flexkern.layers.adaptive import AdaptiveConv1d, AdaptiveConv2d, AdaptiveConv3d
from tolerances import assert_all_match, assert_matches


class AdaptiveContract:
    """Subclasses state ``cls``, ``dims`` and ``options``."""

    cls: ClassVar[type]
    dims: ClassVar[int]
    options: ClassVar[dict[str, Any]] = {}
    few = False
    causal = False

    def make(self, **changes: Any) -> torch.nn.Module:
        given = {**self.options, **changes}
        arguments = {
            "in_channels": 4 if given.get("sharing") == "depthwise" else 2,
            "out_channels": 4,
            "kernel_size": KERNEL[self.dims],
            "dtype": torch.float64,
            **given,
        }
        return self.cls(**arguments)

    @classmethod
    def conv_cases(cls) -> list[str]:
        """Names of the convolutions this subject is tried on (conftest.py parametrises by them)."""
        names = [n for n in ARGUMENTS if ARGUMENTS[n].get("groups") != 2 or cls.options.get("sharing") != "depthwise"]
        return [name for name in names if name in FEW] if cls.few else names

    conv = LayerContract.conv
    arguments = LayerContract.arguments
    input = LayerContract.input

    def expected(self, layer: torch.nn.Module, x: Tensor, weight: Tensor, given: dict[str, Any]) -> Tensor:
        """The convolution in torch, from the arguments the user gave."""
        spread = lambda value: (value,) * self.dims if isinstance(value, int) else tuple(value)  # noqa: E731
        dilation = spread(given.get("dilation", 1))
        return oracles.torch_convolve(
            x,
            weight,
            layer.bias,
            stride=spread(given.get("stride", 1)),
            padding=oracles.torch_padding(given.get("padding", 0), layer.kernel_size, dilation),
            dilation=dilation,
            groups=layer.spec.groups,
            mode=given.get("padding_mode", "zeros"),
        )

    def static_weight(self, layer: torch.nn.Module) -> Tensor:
        """The weight (out, in / groups, *kernel) that is left if the input decides nothing (Q = 0)."""
        spec, beta = layer.spec, layer.generator_bias
        beta = (
            torch.zeros(spec.generator_groups * spec.generator_out_channels, dtype=torch.float64)
            if beta is None
            else beta
        )
        z = beta.view(spec.generator_groups, spec.outputs, spec.kernels_per_output, spec.taps)
        if spec.squash == "softmax":
            values = z.exp() / z.exp().sum(-1, keepdim=True)
        else:
            values = (SQUASHES[spec.squash] if isinstance(spec.squash, str) else spec.squash)(z)
        values = values if layer.gain is None else values * layer.gain
        values = values / values.abs().sum(-1, keepdim=True) if spec.normalize else values
        values = values if layer.scale is None else values * layer.scale[..., None]
        weight = spec.as_weight(values.flatten())
        return weight.expand(-1, spec.in_channels // spec.groups, *(-1,) * self.dims)

    # Against torch and loops ---------------------------------------------------------------------------------

    test_signature_is_that_of_torch = LayerContract.test_signature_is_that_of_torch

    def test_without_q_it_is_torch_s_convolution(self, conv_case):
        given = self.arguments(conv_case)
        layer = self.make(**given)
        randomise_bias(layer)
        with torch.no_grad():
            layer.generator_weight.zero_()
            if layer.generator_bias is not None:
                layer.generator_bias.uniform_(-2, 2)
        x = self.input(layer).requires_grad_()
        ours, exact = layer(x), self.expected(layer, x, self.static_weight(layer), given)
        assert_matches(ours, exact)
        leaves = {"input": x, **dict(layer.named_parameters())}
        del leaves["generator_weight"]
        cotangent = torch.randn_like(exact)
        found = [
            torch.autograd.grad(y, tuple(leaves.values()), cotangent, allow_unused=True, materialize_grads=True)
            for y in (ours, exact)
        ]
        assert_all_match(*(dict(zip(leaves, one, strict=True)) for one in found))

    @pytest.mark.parametrize("name", ["even_same", "stride_and_dilation", "reflect"])
    def test_equals_loops(self, name):
        given = {**self.arguments(name), "kernel_size": 4 if name.startswith("even") else (3, 2, 2)[: self.dims]}
        layer = self.make(**given)
        if callable(layer.spec.squash):
            pytest.skip("the loops know the named ones")
        randomise_bias(layer)
        with torch.no_grad():
            layer.generator_weight.mul_(3)  # far from where it starts, near an ordinary convolution
        x, spec = self.input(layer, batch=1), layer.spec
        mode, padding = given.get("padding_mode", "zeros"), layer.arguments.padding
        whole = [(left + a, right + b) for (left, right), (a, b) in zip(padding, spec.margins, strict=True)]
        flat = [side for pair in reversed(whole) for side in pair]
        exact, kernels = oracles.adaptive_convolve(
            torch.nn.functional.pad(x, flat, mode="constant" if mode == "zeros" else mode),
            layer.generator_weight,
            layer.generator_bias,
            out_channels=4,
            kernel=layer.kernel_size,
            generator=layer.generator_size,
            stride=spec.stride,
            padding=[(-left, -right) for left, right in spec.margins],
            dilation=spec.dilation,
            groups=x.shape[1] if layer.sharing == "depthwise" else 1,
            sharing="pair" if layer.sharing == "depthwise" else layer.sharing,
            squash=spec.squash,
            normalize=spec.normalize,
            gain=layer.gain,
            scale=layer.scale,
        )
        exact = exact if layer.bias is None else exact + layer.bias.view(-1, *(1,) * self.dims)
        assert_matches(layer(x), exact)
        assert_matches(layer.kernels(x), kernels[:, :, :1] if layer.sharing == "shared" else kernels)

    @pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
    def test_output_has_torch_s_shape(self):
        torch_class = getattr(torch.nn, f"Conv{self.dims}d")
        for name in ("plain", "same", "stride", "dilation", "even_same", "longer_than_signal"):
            arguments = {"kernel_size": KERNEL[self.dims], **self.arguments(name), "dtype": torch.float64}
            layer = self.make(**arguments)
            plain = torch_class(layer.in_channels, 4, **arguments)
            x = self.input(layer)
            assert layer(x).shape == plain(x).shape, name

    @pytest.mark.parametrize("remat", [False, True])
    def test_remat_changes_nothing(self, remat):
        layer = self.make(padding="same", remat=remat)
        x = self.input(layer).requires_grad_()
        y = layer(x)
        with torch.no_grad():
            assert_matches(layer(x), y)
        leaves = (x, *layer.parameters())
        found = torch.autograd.grad(y.square().sum(), leaves)
        other = copy.deepcopy(layer)
        other.remat = not remat
        expected = torch.autograd.grad(other(x).square().sum(), (x, *other.parameters()))
        for a, b in zip(found, expected, strict=True):
            assert_matches(a, b)

    def test_unbatched_input(self):
        for changes in ({}, {"padding_mode": "replicate", "padding": 2}):
            layer = self.make(**changes)
            x = self.input(layer)
            assert_matches(layer(x[0]), layer(x)[0])

    def test_kernels_of_unbatched_and_coarse_input(self):
        layer = self.make()
        x = self.input(layer)
        expected = layer.kernels(x)
        assert_matches(layer.kernels(x[0]), expected[0])
        layer.bfloat16()
        exact = copy.deepcopy(layer).double().kernels(x.bfloat16().double())
        found = layer.kernels(x.bfloat16())
        assert found.dtype in (torch.float32, torch.bfloat16)
        assert_matches(found.double(), exact, 1e-2)

    def test_empty_batch(self):
        layer = self.make()
        x = self.input(layer, batch=0).requires_grad_()
        y = layer(x)
        assert y.shape == (0, *layer(self.input(layer)).shape[1:])
        y.sum().backward()
        assert x.grad.shape == x.shape
        for name, parameter in layer.named_parameters():
            assert parameter.grad is None or parameter.grad.count_nonzero() == 0, name

    def test_attributes(self):
        layer = self.make()
        assert (layer.in_channels, layer.out_channels) == (self.input(layer).shape[1], 4)
        assert layer.kernel_size == (KERNEL[self.dims] if self.dims > 1 else (KERNEL[1],))
        assert layer.generator_size == tuple(self.options.get("generator_size", layer.kernel_size))
        assert layer.sharing == self.options.get("sharing", "pair")

    test_wrong_input_is_refused = LayerContract.test_wrong_input_is_refused

    # Dtypes, formats, autocast --------------------------------------------------------------------------------

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
    def test_dtype_in_is_dtype_out(self, dtype):
        layer = self.make(dtype=dtype)
        assert {p.dtype for p in layer.parameters()} == {dtype}
        x = self.input(layer, dtype=dtype).requires_grad_()
        y = layer(x)
        assert y.dtype is dtype
        y.sum().backward()
        assert x.grad.dtype is dtype
        assert {p.grad.dtype for p in layer.parameters()} == {dtype}
        twin, exact_x = copy.deepcopy(layer).double(), x.detach().double().requires_grad_()
        assert_matches(y, twin(exact_x))
        twin(exact_x).sum().backward()
        assert_matches(x.grad, exact_x.grad)

    test_converted_layer_is_the_layer_made_in_that_dtype = (
        LayerContract.test_converted_layer_is_the_layer_made_in_that_dtype
    )
    test_autocast = LayerContract.test_autocast
    test_autocast_leaves_float64_alone = LayerContract.test_autocast_leaves_float64_alone

    def test_channels_last(self):
        if self.dims == 1:
            pytest.skip("no such format for one axis")
        spec = {2: torch.channels_last, 3: torch.channels_last_3d}[self.dims]
        for changes in ({}, {"padding": "same"}):
            layer = self.make(**changes)
            x = self.input(layer).to(memory_format=spec).requires_grad_()
            y, expected = layer(x), layer(x.contiguous())
            assert_matches(y, expected)
            assert_matches(*(torch.autograd.grad(one.square().sum(), x)[0] for one in (y, expected)))

    # No hidden state -----------------------------------------------------------------------------------------

    test_forward_stores_nothing = LayerContract.test_forward_stores_nothing

    def test_state_dict_round_trip(self):
        layer, other = self.make(), self.make()
        x = self.input(layer)
        other(x)
        other.load_state_dict(layer.state_dict())
        torch.testing.assert_close(other(x), layer(x), rtol=0, atol=0)
        assert set(layer.state_dict()) == {name for name, _ in layer.named_parameters()}

    @pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
    def test_copies_after_a_training_step(self, duplicate):
        layer = self.make()
        x = self.input(layer)
        layer(x).sum().backward()
        expected = layer(x).detach()
        twin = duplicate(layer)
        torch.testing.assert_close(twin(x), expected, rtol=0, atol=0)
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter.mul_(1.1)
        assert not torch.equal(twin(x), expected)
        torch.testing.assert_close(layer(x), expected, rtol=0, atol=0)

    test_functional_call_and_transforms = LayerContract.test_functional_call_and_transforms
    test_gradcheck = LayerContract.test_gradcheck
    test_seed_decides_the_parameters = LayerContract.test_seed_decides_the_parameters

    @pytest.mark.parametrize("how", ["argument", "context"])
    def test_meta_device_and_reset(self, how):
        """As FSDP does it: to_empty, then reset_parameters."""
        if how == "argument":
            layer = self.make(device="meta", dtype=torch.float32)
        else:
            with torch.device("meta"):
                layer = self.make(dtype=torch.float32)
        assert all(p.is_meta for p in layer.parameters())
        layer = layer.to_empty(device="cpu")
        with torch.no_grad():
            for tensor in layer.state_dict().values():
                tensor.fill_(math.nan)  # whatever was in memory
        torch.manual_seed(5)
        layer.reset_parameters()
        torch.manual_seed(5)
        made = self.make(dtype=torch.float32)
        for name, parameter in layer.named_parameters():
            assert torch.equal(parameter, made.get_parameter(name)), name

    def test_meta_forward_gives_the_shape(self):
        layer = self.make(device="meta")
        x = torch.empty(2, layer.in_channels, *SIGNAL[self.dims], device="meta", dtype=torch.float64)
        assert layer(x).is_meta
        assert layer(x).shape == self.make()(self.input(layer)).shape

    def test_repr_shows_what_was_chosen(self):
        text = repr(self.make(stride=2, padding=1))
        for part in (f"{self.cls.__name__}(", "kernel_size=", "stride=", "padding=", "bias=True"):
            assert part in text
        assert f"sharing={self.options.get('sharing', 'pair')}" in text
        squash = self.options.get("squash", "tanh")
        assert f"squash={squash if isinstance(squash, str) else squash.__name__}" in text
        for name in ("generator_size", "bias_generator", "normalize"):
            assert (f"{name}={self.options.get(name)}" in text) == (name in self.options)
        assert repr(self.make(device="meta"))

    test_every_parameter_gets_a_gradient = LayerContract.test_every_parameter_gets_a_gradient

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["same", "stride", "replicate"])
    def test_compile_in_one_graph(self, name):
        compiles_in_one_graph(self.make(**self.arguments(name)), self.input)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["same", "stride", "replicate"])
    def test_export(self, name):
        layer = self.make(**self.arguments(name)).eval()
        exports(layer, self.input(layer))


def compiles_in_one_graph(layer, draw):
    torch.compiler.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for batch in (2, 3):
        x = draw(layer, batch=batch).requires_grad_()
        leaves = {"input": x, **dict(layer.named_parameters())}
        found = []
        for run in (compiled, layer):
            y = run(x)
            gradients = torch.autograd.grad(y.square().sum(), tuple(leaves.values()))
            found.append({"output": y, **dict(zip(leaves, gradients, strict=True))})
        assert_all_match(*found)
        with torch.no_grad():
            assert_matches(compiled(x), layer(x))


def exports(layer, x):
    assert_matches(torch.export.export(layer, (x,)).module()(x), layer(x))
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(layer, (x,), dynamic_shapes=({0: batch},))
    more = torch.cat([x, x.flip(-1), x[:1]])
    assert_matches(program.module()(more), layer(more))


class TestPair1d(AdaptiveContract):
    cls, dims, options = AdaptiveConv1d, 1, {"sharing": "pair"}


class TestPair2d(AdaptiveContract):
    cls, dims, options = AdaptiveConv2d, 2, {"sharing": "pair"}


class TestPair3d(AdaptiveContract):
    cls, dims, options = AdaptiveConv3d, 3, {"sharing": "pair"}


class TestShared1d(AdaptiveContract):
    few = True
    cls, dims, options = AdaptiveConv1d, 1, {"sharing": "shared"}


class TestShared2d(AdaptiveContract):
    few = True
    cls, dims, options = AdaptiveConv2d, 2, {"sharing": "shared"}


class TestShared3d(AdaptiveContract):
    few = True
    cls, dims, options = AdaptiveConv3d, 3, {"sharing": "shared"}


class TestFull1d(AdaptiveContract):
    few = True
    cls, dims, options = AdaptiveConv1d, 1, {"sharing": "full"}


class TestFull2d(AdaptiveContract):
    few = True
    cls, dims, options = AdaptiveConv2d, 2, {"sharing": "full"}


class TestFull3d(AdaptiveContract):
    few = True
    cls, dims, options = AdaptiveConv3d, 3, {"sharing": "full"}


class TestDepthwise1d(AdaptiveContract):
    few = True
    cls, dims, options = AdaptiveConv1d, 1, {"sharing": "depthwise"}


class TestDepthwise2d(AdaptiveContract):
    few = True
    cls, dims, options = AdaptiveConv2d, 2, {"sharing": "depthwise"}


class TestDepthwise3d(AdaptiveContract):
    few = True
    cls, dims, options = AdaptiveConv3d, 3, {"sharing": "depthwise"}


class TestHardtanh(AdaptiveContract):
    few = True
    cls, dims, options = AdaptiveConv2d, 2, {"squash": "hardtanh"}


class TestGaussian(AdaptiveContract):
    few = True
    cls, dims, options = AdaptiveConv2d, 2, {"squash": "gaussian"}


class TestBilateral(AdaptiveContract):
    few = True
    cls, dims, options = AdaptiveConv2d, 2, {"squash": "gaussian", "normalize": True, "sharing": "shared"}


class TestGaussianFull(AdaptiveContract):
    few = True
    cls, dims, options = AdaptiveConv1d, 1, {"squash": "gaussian", "sharing": "full"}


class TestSoftmax(AdaptiveContract):
    few = True
    cls, dims, options = AdaptiveConv2d, 2, {"squash": "softmax", "sharing": "full"}


class TestSoftmaxDepthwise(AdaptiveContract):
    few = True
    cls, dims, options = AdaptiveConv1d, 1, {"squash": "softmax", "sharing": "depthwise"}


class TestNormalizedTanh(AdaptiveContract):
    few = True
    cls, dims, options = AdaptiveConv1d, 1, {"normalize": True}


class TestEven(AdaptiveContract):
    few = True
    cls, dims, options = AdaptiveConv2d, 2, {"bias_generator": False}


class TestOwnGeneratorSize(AdaptiveContract):
    few = True
    cls, dims, options = AdaptiveConv2d, 2, {"generator_size": (5, 2), "sharing": "full"}


class TestOwnSquash(AdaptiveContract):
    few = True
    cls, dims, options = AdaptiveConv1d, 1, {"squash": torch.atan}


def test_compile_in_one_graph():
    layer = AdaptiveConv2d(2, 3, 3, padding=1, dtype=torch.float64)
    compiles_in_one_graph(layer, lambda layer, batch: torch.randn(batch, 2, 6, 5, dtype=torch.float64))


def test_export():
    layer = AdaptiveConv2d(2, 3, 3, padding=1, dtype=torch.float64)
    exports(layer, torch.randn(2, 2, 6, 5, dtype=torch.float64))


def test_every_public_layer_is_tried_with_every_sharing():
    import flexkern
    from flexkern.adaptive import SHARINGS

    public = {value for name, value in vars(flexkern).items() if name.startswith("AdaptiveConv")}
    assert public == {AdaptiveConv1d, AdaptiveConv2d, AdaptiveConv3d}
    tried = {(one.cls, one.options["sharing"]) for one in AdaptiveContract.__subclasses__() if "sharing" in one.options}
    assert {(cls, sharing) for cls in public for sharing in SHARINGS} <= tried


class Together(nn.Module):
    """Layers on one input, each with a sharing and a squash."""

    def __init__(self, pairs):
        super().__init__()
        self.layers = nn.ModuleList(
            AdaptiveConv2d(2, 2, 3, sharing=sharing, squash=squash) for sharing, squash in pairs
        )

    def forward(self, x):
        return sum(layer(x) for layer in self.layers)


@pytest.mark.slow
@pytest.mark.parametrize("squash", [*SQUASHES, torch.atan])
def test_every_squash_and_sharing_is_one_graph(squash):
    pairs = [(sharing, squash) for sharing in SHARINGS]
    compiles_in_one_graph(Together(pairs), lambda _, batch: torch.randn(batch, 2, 5, 6))


NAMED_PAIRS = list(zip(SHARINGS, SQUASHES, strict=True))


@pytest.mark.parametrize("pairs", [NAMED_PAIRS, [("full", torch.atan)]], ids=["named", "function"])
def test_squashes_and_sharings_in_one_graph(pairs):
    """A named squash is an argument of one operator, as the sharing is; a function is traced."""
    compiles_in_one_graph(Together(pairs), lambda _, batch: torch.randn(batch, 2, 5, 6))
