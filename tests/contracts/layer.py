"""What every layer must hold: subclass LayerContract and state the class and its options."""

import copy
import inspect
import math
import pickle
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

import oracles
from flexkern import engines
from flexkern.engines import ENGINES
from flexkern.layers import base
from tolerances import assert_all_match, assert_matches

SIGNAL = {1: (11,), 2: (9, 8), 3: (5, 6, 4)}
KERNEL = {1: 7, 2: (5, 7), 3: (3, 5, 3)}

ARGUMENTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no_bias": {"bias": False},
    "same": {"padding": "same"},
    "valid": {"padding": "valid"},
    "padding": {"padding": 2},
    "padding_beyond_kernel": {"kernel_size": 2, "padding": 3},
    "stride": {"stride": 2, "padding": 1},
    "stride_3": {"stride": 3, "padding": "valid"},
    "dilation": {"dilation": 2, "padding": "same"},
    "stride_and_dilation": {"stride": 2, "dilation": 2, "padding": 4},
    "even": {"kernel_size": 4},
    "even_same": {"kernel_size": 4, "padding": "same"},
    "even_same_dilated": {"kernel_size": 4, "padding": "same", "dilation": 3},
    "one_sample": {"kernel_size": 1},
    "one_sample_strided": {"kernel_size": 1, "stride": 2, "padding": 1},
    "two_samples": {"kernel_size": 2, "padding": "same"},
    "longer_than_signal": {"kernel_size": 13, "padding": "same"},
    "longer_than_signal_padded": {"kernel_size": 15, "padding": 7},
    "reflect": {"padding": 2, "padding_mode": "reflect"},
    "replicate": {"padding": "same", "padding_mode": "replicate"},
    "replicate_strided": {"padding": 2, "padding_mode": "replicate", "stride": 2},
    "circular": {"padding": 2, "padding_mode": "circular"},
    "even_circular": {"kernel_size": 4, "padding": "same", "padding_mode": "circular"},
    "even_reflect_dilated": {"kernel_size": 2, "padding": "same", "padding_mode": "reflect", "dilation": 2},
    "groups": {"groups": 2, "padding": "same"},
    "depthwise": {"groups": 4, "in_channels": 4, "stride": 2, "padding": 2},
}
FEW = ("plain", "padding_beyond_kernel", "even_same", "stride_and_dilation", "longer_than_signal", "circular", "groups")
BY_ENGINE = ("plain", "even_same", "stride_and_dilation", "groups")
"""The cases tried by every engine. That engines agree on all convolutions is the law of EngineContract."""
PRECISIONS = (
    (torch.float64, "auto"),
    (torch.float32, "direct"),
    (torch.float32, "fft"),
    (torch.bfloat16, "dft"),
    (torch.float16, "fft"),
)
SYMMETRIC = ("padding", "valid", "stride_3", "padding_beyond_kernel", "one_sample_strided")
CAUSAL = {  # a causal layer pads by itself, and never with samples that are still to come
    name: {k: v for k, v in given.items() if k != "padding"}
    for name, given in ARGUMENTS.items()
    if name not in SYMMETRIC and given.get("padding_mode") not in ("reflect", "circular")
}


def embedded(weight: Tensor, layer: nn.Module) -> Tensor:
    """The sampled weight amid zeros on the whole grid: what nn.ConvNd would hold."""
    whole = weight.new_zeros(*weight.shape[:2], *layer.kernel_size)
    whole[(..., *(slice(a, b) for a, b in layer.bounds))] = weight
    return whole


def randomise_bias(layer: nn.Module) -> None:
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.split(".")[-1] == "bias" and "generator" not in name:
                parameter.normal_()


class LayerContract:
    """A layer is an nn.ConvNd whose weight is computed. Subclasses state ``cls``, ``dims`` and ``options``."""

    cls: ClassVar[type]
    dims: ClassVar[int]
    options: ClassVar[dict[str, Any]] = {}
    learns_size = True
    takes_groups = True
    few = False
    channels: ClassVar[tuple[int, int]] = (2, 4)

    # What a subclass may change ------------------------------------------------------------------------------

    def make(self, **changes: Any) -> nn.Module:
        arguments = {
            "in_channels": self.channels[0],
            "out_channels": self.channels[1],
            "kernel_size": KERNEL[self.dims],
            "dtype": torch.float64,
            **self.options,
            **changes,
        }
        return self.cls(**arguments)

    def conv(self, layer: nn.Module) -> nn.Module:
        """The part that holds generator and window."""
        return layer

    def dense_weight(self, layer: nn.Module) -> tuple[Tensor, int]:
        """The layer's weight on the whole grid as nn.ConvNd would hold it, and its number of groups."""
        return embedded(layer.weight, layer), layer.arguments.groups

    @classmethod
    def conv_cases(cls) -> list[str]:
        """Names of the convolutions this subject is tried on (conftest.py parametrises by them)."""
        names = CAUSAL if cls.options.get("causal") else ARGUMENTS
        if not cls.takes_groups or "groups" in cls.options:
            names = [name for name in names if "groups" not in names[name]]
        return [name for name in names if name in FEW] if cls.few else list(names)

    # Tools ---------------------------------------------------------------------------------------------------

    @property
    def causal(self) -> bool:
        return self.options.get("causal", False)

    def input(self, layer: nn.Module, batch: int = 2, signal=None, dtype=torch.float64) -> Tensor:
        return torch.randn(batch, self.conv(layer).in_channels, *(signal or SIGNAL[self.dims]), dtype=dtype)

    def expected(self, layer: nn.Module, x: Tensor, given: dict[str, Any], weight: Tensor | None = None) -> Tensor:
        """Padding in torch's meaning and F.convNd, from the arguments the user gave."""
        spread = lambda value: (value,) * self.dims if isinstance(value, int) else tuple(value)  # noqa: E731
        whole, groups = self.dense_weight(layer)
        stride, dilation = spread(given.get("stride", 1)), spread(given.get("dilation", 1))
        padding = oracles.torch_padding(given.get("padding", 0), layer.kernel_size, dilation, causal=self.causal)
        mode = given.get("padding_mode", "zeros")
        bias = layer.bias if hasattr(layer, "bias") else layer.pointwise.bias
        return oracles.torch_convolve(
            x,
            whole if weight is None else weight,
            bias,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            mode=mode,
        )

    def arguments(self, name: str) -> dict[str, Any]:
        table = CAUSAL if self.causal else ARGUMENTS
        if name not in table:
            pytest.skip("not for a causal layer")
        given = dict(table[name])
        mode, span = given.get("padding_mode", "zeros"), given.get("dilation", 1)
        if self.dims == 3 and given.get("kernel_size", 0) > 4:
            given["kernel_size"] = (7, 2, 9)  # longer than the signal on two axes
            given["padding"] = given["padding"] if isinstance(given["padding"], str) else (3, 1, 4)
        if self.dims == 3 and mode == "reflect" and span > 1:
            given["dilation"] = (2, 1, 2)
        return given

    def grid_weight(self, layer: nn.Module) -> Tensor:
        """Generator times window on the *whole* grid, from their own forwards; zero outside the crop."""
        conv = self.conv(layer)
        positions = oracles.grid(conv.kernel_size, causal=self.causal)
        values = conv.generator(positions).unflatten(0, (conv.out_channels, -1))
        if conv.window is not None:
            window = conv.window(positions)
            values = values * (window[:, None] if window.dim() > self.dims else window)
        keep = torch.zeros(conv.kernel_size, dtype=torch.float64)
        keep[tuple(slice(a, b) for a, b in conv.bounds)] = 1
        return values * keep

    # The drop-in promise -------------------------------------------------------------------------------------

    def test_signature_is_that_of_torch(self):
        torch_class = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[self.dims]
        theirs = list(inspect.signature(torch_class.__init__).parameters.values())
        ours = list(inspect.signature(self.cls.__init__).parameters.values())
        assert [p.name for p in ours[: len(theirs)]] == [p.name for p in theirs]
        assert [p.default for p in ours[: len(theirs)]] == [p.default for p in theirs]
        assert all(p.kind is p.KEYWORD_ONLY for p in ours[len(theirs) :])

    def test_equals_torch_on_the_sampled_weight(self, conv_case):
        self.check_against_torch(conv_case, "auto")

    @pytest.mark.parametrize("engine", ENGINES)
    def test_every_engine_equals_torch(self, engine):
        """Each engine gets the layer's weight (whole or in factors), crop and padding as they are."""
        for name in self.conv_cases():
            if name in BY_ENGINE:
                self.check_against_torch(name, engine)

    def check_against_torch(self, conv_case: str, engine: str) -> None:
        """Compare the output and all gradients with those of torch's convolution with the sampled weight."""
        given = self.arguments(conv_case)
        layer = self.make(engine=engine, **given)
        randomise_bias(layer)
        x = self.input(layer).requires_grad_()
        ours, exact = layer(x), self.expected(layer, x, given)
        assert_matches(ours, exact)
        cotangent = torch.randn_like(exact)
        leaves = {"input": x, **dict(layer.named_parameters())}
        gradients = []
        for y in (ours, exact):
            found = torch.autograd.grad(y, tuple(leaves.values()), cotangent, allow_unused=True)
            gradients.append({n: torch.zeros(1) if g is None else g for n, g in zip(leaves, found, strict=True)})
        # Gradients of a window that is 1 wherever it is sampled are rounding errors: compare with the largest.
        largest = max(g.abs().max().item() for g in gradients[1].values())
        for leaf, expected in gradients[1].items():
            error = (gradients[0][leaf] - expected).abs().max().item()
            assert error <= 1e-12 * max(largest, expected.abs().max().item()), leaf

    @pytest.mark.parametrize("name", ["plain", "same", "stride", "dilation", "even_same", "longer_than_signal"])
    @pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
    def test_output_has_torch_s_shape_whatever_the_size(self, name):
        given = self.arguments(name)
        layer = self.make(**given)
        conv, x = self.conv(layer), self.input(layer)
        torch_class = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[self.dims]
        plain = {"kernel_size": KERNEL[self.dims], **given}
        if self.causal:
            left = plain.get("dilation", 1) * (layer.kernel_size[0] - 1)
            expected = torch_class(2, 4, **plain)(nn.functional.pad(torch.randn(2, 2, *x.shape[2:]), (left, 0))).shape
        else:
            expected = torch_class(2, 4, **plain)(torch.randn(2, 2, *x.shape[2:])).shape
        seen = set()
        for width in (1e-3, 0.2, 0.4, 0.9, 10.0):
            if conv.window is not None:
                conv.window.set_width(torch.full_like(conv.window.log_width, width))
            seen.add(conv.size)
            assert layer(x).shape[2:] == expected[2:]
        if self.learns_size and name not in ("even_same",):
            assert len(seen) > 1
        if self.learns_size:
            assert conv.size == layer.kernel_size

    @pytest.mark.parametrize("name", ["plain", "even_same", "stride_and_dilation", "circular"])
    def test_cropping_is_zeroing_outside_the_crop(self, name):
        given = self.arguments(name)
        layer = self.make(**given)
        conv, x = self.conv(layer), self.input(layer)
        assert_matches(embedded(conv.weight, conv), self.grid_weight(layer))
        assert_matches(layer(x), self.expected(layer, x, given))

    def test_unbatched_input(self):
        for changes in ({}, {"padding_mode": "replicate", **({} if self.causal else {"padding": 2})}):
            layer = self.make(**changes)
            x = self.input(layer)
            assert_matches(layer(x[0]), layer(x)[0])

    def test_empty_batch(self):
        layer = self.make()
        assert layer(self.input(layer, batch=0)).shape[0] == 0

    def test_attributes(self):
        layer = self.make()
        assert (layer.in_channels, layer.out_channels) == (self.channels[0], self.channels[1])
        assert layer.kernel_size == (KERNEL[self.dims] if self.dims > 1 else (KERNEL[1],))
        assert layer.size == tuple(b - a for a, b in layer.bounds)
        assert layer.weight.shape[2:] == layer.size
        assert all(type(v) is int for v in layer.size)
        assert layer.plan(self.input(layer).shape).engine in ENGINES

    def test_plan_tells_what_runs(self, monkeypatch):
        """Every pass of the plan is the one that the layer's ``plan`` gives, forced or not."""
        plans = []
        monkeypatch.setattr(base, "run", lambda *a: plans.append(a[2]) or engines.run(*a))
        for engine in ENGINES:
            plans.clear()
            layer = self.make(engine=engine)
            x = self.input(layer)
            layer(x)
            assert plans == [self.conv(layer).plan(x.shape)]
            assert {step.engine for step in plans[0].passes} == {engine}

    def test_wrong_input_is_refused(self):
        layer = self.make()
        x = self.input(layer)
        refused = {
            r"expects input of shape \(batch, channels, \d axes\)": x[0, 0],
            r"expects \d input channels, got \d": torch.cat([x, x[:, :1]], dim=1),
            r"expects floating-point input, got torch.int64": x.long(),
            r"has torch.float64 parameters but the input is torch.float32": x.float(),
        }
        for message, wrong in refused.items():
            with pytest.raises(ValueError, match=message):
                layer(wrong)

    # Dtypes, formats, autocast --------------------------------------------------------------------------------

    @pytest.mark.parametrize(("dtype", "engine"), PRECISIONS)
    def test_dtype_in_is_dtype_out(self, dtype, engine):
        layer = self.make(engine=engine, dtype=dtype)
        assert {p.dtype for p in layer.parameters()} == {dtype}
        x = self.input(layer, dtype=dtype).requires_grad_()
        y = layer(x)
        assert y.dtype is dtype
        y.sum().backward()
        assert x.grad.dtype is dtype
        twin = copy.deepcopy(layer).double()
        if self.conv(twin).size == self.conv(layer).size:
            assert_matches(y, twin(x.detach().double()), {torch.float32: 1e-4}.get(dtype))

    def test_converted_layer_is_the_layer_made_in_that_dtype(self):
        layer = self.make()
        x = self.input(layer)
        expected = layer(x)
        assert_matches(layer.float()(x.float()), expected, 1e-4)
        assert layer.to(torch.bfloat16)(x.bfloat16()).dtype is torch.bfloat16

    def test_autocast(self):
        layer = self.make(dtype=torch.float32)
        x = self.input(layer, dtype=torch.float32)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = layer(x)
        assert y.dtype is torch.bfloat16
        assert_matches(y, layer(x))
        y.float().square().sum().backward()
        for name, parameter in layer.named_parameters():
            assert parameter.grad is None or parameter.grad.isfinite().all(), name

    def test_autocast_leaves_float64_alone(self):
        """As torch's own convolutions."""
        layer = self.make()
        x = self.input(layer)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = layer(x)
        assert y.dtype is torch.float64

    def test_channels_last(self):
        if self.dims == 1:
            pytest.skip("no such format for one axis")
        form = {2: torch.channels_last, 3: torch.channels_last_3d}[self.dims]
        for engine in ("direct", "fft"):
            layer = self.make(engine=engine, padding="same", dtype=torch.float32)
            x = self.input(layer, dtype=torch.float32)
            y = layer(x.to(memory_format=form))
            assert_matches(y, layer(x), 1e-4)
            if engine == "direct" and self.channels[1] > 1 and self.dims == 2:  # in 3-D torch itself may not
                assert y.is_contiguous(memory_format=form)

    # No hidden state -----------------------------------------------------------------------------------------

    def test_forward_stores_nothing(self):
        layer = self.make()

        def state():
            found = {}
            for name, module in layer.named_modules():
                for key, value in vars(module).items():
                    found[name, key] = dict(value) if isinstance(value, dict) else value
            return found

        before = state()
        layer(self.input(layer)).sum().backward()
        layer.eval()(self.input(layer))
        after = state()
        assert after.pop(("", "training")) is False
        assert before.pop(("", "training")) is True
        changed = [key for key in after if key not in before or (after[key] != before[key]) is True]
        assert [key for key in changed if key[1] != "training"] == []
        assert before.keys() == after.keys()

    def test_state_dict_round_trip(self):
        layer, other = self.make(), self.make()
        x = self.input(layer)
        window = self.conv(layer).window
        if window is not None:
            window.set_width(torch.full_like(window.log_width, 0.5))
        other(x)
        other.load_state_dict(layer.state_dict())
        torch.testing.assert_close(other(x), layer(x), rtol=0, atol=0)
        assert self.conv(other).size == self.conv(layer).size

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
                parameter.add_(0.3)
        assert not torch.equal(twin(x), expected)
        torch.testing.assert_close(layer(x), expected, rtol=0, atol=0)

    def test_functional_call_and_transforms(self):
        layer, other = self.make(), self.make()
        x = self.input(layer)
        y = torch.func.functional_call(layer, other.state_dict(keep_vars=True), (x,))
        assert_matches(y, other(x))

        def loss(parameters):
            return torch.func.functional_call(layer, parameters, (x,)).square().sum()

        values = {name: p.detach() for name, p in layer.named_parameters()}
        gradients = torch.func.grad(loss)(values)
        layer(x).square().sum().backward()
        for name, parameter in layer.named_parameters():
            if parameter.grad is not None:
                assert_matches(gradients[name], parameter.grad, 1e-10, name)

    def test_gradcheck(self):
        layer = self.make(padding="same")
        x = self.input(layer, batch=1, signal=(4, 3, 2)[: self.dims]).requires_grad_()
        names, values = zip(*layer.named_parameters(), strict=True)

        def run(x, *parameters):
            return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))

        assert torch.autograd.gradcheck(run, (x, *values), fast_mode=True)

    def test_seed_decides_the_parameters(self):
        def draw(seed):
            torch.manual_seed(seed)
            return dict(self.make().named_parameters())

        assert_all_match(draw(3), draw(3), 1e-300)
        assert any(not torch.equal(a, b) for a, b in zip(draw(3).values(), draw(4).values(), strict=True))

    def test_meta_device_and_reset_in_any_order(self):
        """As FSDP does it: to_empty, then reset_parameters of every module that has one."""

        def materialised(order):
            layer = self.make(device="meta", dtype=torch.float32, in_channels=4, out_channels=4)
            assert all(p.is_meta for p in layer.parameters())
            layer = layer.to_empty(device="cpu")
            with torch.no_grad():
                for tensor in layer.state_dict().values():
                    tensor.fill_(math.nan)  # whatever was in memory
            modules = [m for m in layer.modules() if hasattr(m, "reset_parameters")]
            places = torch.randperm(len(modules)).tolist() if order == "shuffled" else range(len(modules))
            for place in reversed(places) if order == "children_first" else places:
                modules[place].reset_parameters()
            return layer

        def magnitudes(make):
            # The readout's scale follows from the random features: its logarithm is what has a steady mean.
            draws = [dict(make().named_parameters()) for _ in range(64)]
            scales = {name: torch.stack([d[name].detach().abs().mean() for d in draws]) for name in draws[0]}
            return {name: (values + 1e-12).log().mean().exp() for name, values in scales.items()}

        expected = magnitudes(lambda: self.make(dtype=torch.float32, in_channels=4, out_channels=4))
        orders = ["parents_first", "children_first"]
        if not self.few:
            orders.append("shuffled")
        for order in orders:
            for name, value in magnitudes(lambda order=order: materialised(order)).items():
                assert value.isfinite(), (order, name)
                assert value.item() == pytest.approx(expected[name].item(), rel=0.35, abs=1e-7), (order, name)

    def test_meta_forward_gives_the_shape(self):
        layer = self.make(device="meta")
        y = layer(
            torch.empty(
                2,
                layer.in_channels if hasattr(layer, "in_channels") else 2,
                *SIGNAL[self.dims],
                device="meta",
                dtype=torch.float64,
            )
        )
        assert y.is_meta
        assert y.shape == self.make()(self.input(self.make())).shape

    def test_repr_shows_size_and_engine(self):
        layer = self.make(engine="fft")
        size = self.conv(layer).size
        assert f"size={size}" in repr(layer)
        assert "engine=fft" in repr(layer)
        assert "kernel_size=" in repr(layer)
        assert repr(self.make(device="meta"))

    def test_every_parameter_gets_a_gradient(self):
        layer = self.make()
        layer(self.input(layer)).square().sum().backward()
        for name, parameter in layer.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["same", "stride", "even_reflect_dilated"])
    def test_compile_in_one_graph(self, name):
        from flexkern import freeze_sizes

        layer = freeze_sizes(self.make(**self.arguments(name)))
        x = self.input(layer).requires_grad_()
        torch.compiler.reset()
        compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
        assert_matches(compiled(x), layer(x))
        compiled(x).sum().backward()

    @pytest.mark.slow
    @pytest.mark.parametrize("engine", ["direct", "fft", "dft"])
    def test_export(self, engine):
        from flexkern import freeze_sizes

        layer = freeze_sizes(self.make(padding="same", engine=engine)).eval()
        x = self.input(layer)
        assert_matches(torch.export.export(layer, (x,)).module()(x), layer(x))


class VariantContract(LayerContract):
    """A layer class with other options. Another subject of the same class has to hold the laws left out here."""

    few = True
    test_signature_is_that_of_torch = None
    test_unbatched_input = None
    test_empty_batch = None
    test_plan_tells_what_runs = None
    test_wrong_input_is_refused = None
    test_autocast_leaves_float64_alone = None
    test_channels_last = None
