"""What every baseline must hold, and the parts of its oracle: subclass BaselineContract, state the class and an oracle.

Oracles read one sample at a time by its coordinates; nothing is shared with src.
"""

import copy
import inspect
import itertools
import math
import pickle
from typing import Any, ClassVar, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import oracles
from tolerances import assert_matches

CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "no_bias": {"bias": False},
    "same": {"padding": "same"},
    "padding_beyond_kernel": {"kernel_size": 2, "padding": (3, 1)},
    "stride": {"stride": 2, "padding": 1},
    "stride_rectangular": {"stride": (3, 2), "padding": (0, 1)},
    "stride_beyond_kernel": {"kernel_size": 1, "stride": 3, "padding": 1},
    "dilation": {"dilation": 2, "padding": "same"},
    "stride_and_dilation": {"stride": 2, "dilation": (1, 2), "padding": 2},
    "even": {"kernel_size": 4},
    "even_same_dilated": {"kernel_size": 2, "padding": "same", "dilation": 3},
    "rectangular": {"kernel_size": (1, 4), "padding": "same"},
    "longer_than_signal": {"kernel_size": 7, "padding": 3},
    "reflect": {"padding": 2, "padding_mode": "reflect"},
    "replicate": {"padding": "same", "padding_mode": "replicate"},
    "circular_strided": {"padding": 2, "padding_mode": "circular", "stride": 2},
    "even_circular": {"kernel_size": 4, "padding": "same", "padding_mode": "circular"},
    "groups": {"groups": 2, "padding": "same"},
    "depthwise": {"groups": 4, "out_channels": 4, "stride": 2, "padding": 1},
}
SIGNAL = (6, 5)


class Geometry(NamedTuple):
    """Where the window of each output lies, from the arguments the user gave."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: list[tuple[int, int]]
    dilation: tuple[int, int]
    mode: str

    @classmethod
    def of(cls, given: dict[str, Any]) -> "Geometry":
        spread = lambda value: (value, value) if isinstance(value, int) else tuple(value)  # noqa: E731
        kernel, dilation = spread(given.get("kernel_size", 3)), spread(given.get("dilation", 1))
        padding = oracles.torch_padding(given.get("padding", 0), kernel, dilation)
        return cls(kernel, spread(given.get("stride", 1)), padding, dilation, given.get("padding_mode", "zeros"))

    def spans(self) -> list[int]:
        return [d * (k - 1) for k, d in zip(self.kernel, self.dilation, strict=True)]

    def lengths(self, signal) -> list[int]:
        axes = zip(signal, self.padding, self.spans(), self.stride, strict=True)
        return [(n + left + right - span - 1) // s + 1 for n, (left, right), span, s in axes]

    def places(self, signal):
        return itertools.product(*map(range, self.lengths(signal)))

    def tap(self, place, tap) -> list[int]:
        """Coordinates that a tap of the window of output ``place`` reads."""
        axes = zip(place, tap, self.stride, self.dilation, self.padding, strict=True)
        return [p * s + t * d - left for p, t, s, d, (left, _) in axes]

    def middle(self, place) -> list[int]:
        axes = zip(place, self.stride, self.padding, self.spans(), strict=True)
        return [p * s - left + span // 2 for p, s, (left, _), span in axes]

    def last_middle(self, signal) -> list[int]:
        """The middle of the last window that fits at stride 1."""
        axes = zip(signal, self.padding, self.spans(), strict=True)
        return [n + right - (span - span // 2) - 1 for n, (_, right), span in axes]


def read(x: Tensor, at, mode: str) -> Tensor:
    """All channels of (C, H, W) at coordinates that may lie outside."""
    found = []
    for i, n in zip(at, x.shape[1:], strict=True):
        if 0 <= i < n:
            found.append(i)
        elif mode == "zeros":
            return torch.zeros_like(x[:, 0, 0])
        else:
            found.append({"reflect": n - 1 - abs(n - 1 - abs(i)), "replicate": 0 if i < 0 else n - 1}.get(mode, i % n))
    return x[:, found[0], found[1]]


def patch(x: Tensor, place, geometry: Geometry) -> Tensor:
    """(C, *K) that the window of output ``place`` sees."""
    taps = itertools.product(*map(range, geometry.kernel))
    samples = [read(x, geometry.tap(place, tap), geometry.mode) for tap in taps]
    return torch.stack(samples, 1).unflatten(1, geometry.kernel)


def loop_conv(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
    """(C, H, W) and (O, C / groups, *K) to (O, *S'), one output at a time."""
    fan_in = weight.shape[1]
    per_group = weight.shape[0] // (x.shape[0] // fan_in)
    lengths = geometry.lengths(x.shape[1:])
    output = x.new_zeros(weight.shape[0], *lengths)
    for place in geometry.places(x.shape[1:]):
        seen = patch(x, place, geometry)
        for o in range(weight.shape[0]):
            first = o // per_group * fan_in
            value = (weight[o] * seen[first : first + fan_in]).sum()
            output[o, place[0], place[1]] = value if bias is None else value + bias[o]
    return output


def randomise(layer: nn.Module) -> nn.Module:
    """Every parameter and statistic away from the special values of the start."""
    with torch.no_grad():
        for name, tensor in layer.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2)
            elif name.endswith(("bias", "running_mean")):
                tensor.normal_()
    return layer


class BaselineContract:
    """A baseline is called and constructed as nn.Conv2d."""

    cls: ClassVar[type]
    options: ClassVar[dict[str, Any]] = {}
    channels: ClassVar[tuple[int, int]] = (4, 6)

    def oracle(self, layer: nn.Module, x: Tensor, given: dict[str, Any]) -> Tensor:
        """What the layer must give for a batch."""
        raise NotImplementedError

    @classmethod
    def conv_cases(cls) -> list[str]:
        """Names of the cases (conftest.py parametrises by them)."""
        return list(CASES)

    def make(self, **changes: Any) -> nn.Module:
        arguments = {"in_channels": self.channels[0], "out_channels": self.channels[1], "kernel_size": 3}
        return randomise(self.cls(**{**arguments, "dtype": torch.float64, **self.options, **changes})).eval()

    def input(self, batch: int = 2, dtype=torch.float64) -> Tensor:
        return torch.randn(batch, self.channels[0], *SIGNAL, dtype=dtype)

    def test_equals_the_oracle(self, conv_case):
        given = CASES[conv_case]
        layer, x = self.make(**given), self.input()
        assert_matches(layer(x), self.oracle(layer, x, {**self.options, **given}))

    @pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
    def test_output_has_torch_s_shape(self, conv_case):
        given = {name: value for name, value in CASES[conv_case].items() if name not in ("groups", "out_channels")}
        theirs = nn.Conv2d(self.channels[0], 1, **{"kernel_size": 3, **given})(self.input(dtype=torch.float32))
        assert self.make(**given)(self.input()).shape[2:] == theirs.shape[2:]

    def test_gradcheck(self):
        layer = self.make(stride=(1, 2), dilation=(2, 1), padding=2)
        x = torch.randn(2, self.channels[0], 4, 3, dtype=torch.float64, requires_grad=True)
        names, values = zip(*layer.named_parameters(), strict=True)

        def run(x, *parameters):
            return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))

        assert torch.autograd.gradcheck(run, (x, *values), fast_mode=True)

    def test_every_parameter_gets_a_gradient(self):
        layer = self.make().train()
        layer(self.input()).square().sum().backward()
        for name, parameter in layer.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name

    def test_signature_is_that_of_torch(self):
        theirs = list(inspect.signature(nn.Conv2d.__init__).parameters.values())
        ours = list(inspect.signature(self.cls.__init__).parameters.values())
        assert [(p.name, p.default) for p in ours[: len(theirs)]] == [(p.name, p.default) for p in theirs]
        assert all(p.kind is p.KEYWORD_ONLY for p in ours[len(theirs) :])

    def test_samples_do_not_see_each_other(self):
        layer, x = self.make(padding="same"), self.input(batch=3)
        for i in range(3):
            assert_matches(layer(x[i : i + 1]), layer(x)[i : i + 1])

    def test_unbatched_and_empty_batch(self):
        for changes in ({}, {"padding": 2, "padding_mode": "reflect"}):
            layer, x = self.make(**changes), self.input()
            assert_matches(layer(x[0]), layer(x)[0])
            assert layer(x[:0]).shape == layer(x)[:0].shape

    @pytest.mark.parametrize("wrong", ["axes", "channels", "dtype", "precision", "short"])
    def test_wrong_input_is_refused(self, wrong):
        x = self.input()
        given, message = {
            "axes": (x[0, 0], r"expects input of shape \(batch, channels, 2 axes\)"),
            "channels": (x[:, :-1], r"expects 4 input channels, got 3"),
            "dtype": (x.long(), r"expects floating-point input, got torch.int64"),
            "precision": (x.float(), r"has torch.float64 parameters but the input is torch.float32"),
            "short": (x[..., :2], r"`kernel_size` \(3, 3\).* does not fit a signal"),
        }[wrong]
        with pytest.raises(ValueError, match=message):
            self.make()(given)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"kernel_size": 0}, "`kernel_size` must be positive, got 0"),
            ({"stride": 2, "padding": "same"}, "`padding='same'` needs stride 1"),
            ({"padding_mode": "wrap"}, "`padding_mode` must be one of"),
        ],
    )
    def test_wrong_arguments_are_refused(self, changes, message):
        with pytest.raises(ValueError, match=message):
            self.make(**changes)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
    def test_dtype_in_is_dtype_out(self, dtype):
        layer = self.make(dtype=dtype, padding="same")
        assert {p.dtype for p in layer.parameters()} == {dtype}
        x = self.input(dtype=dtype)
        assert layer(x).dtype is dtype
        assert_matches(layer(x), copy.deepcopy(layer).double()(x.double()))

    def test_autocast(self):
        layer = self.make(dtype=torch.float32, padding="same").train()
        x = self.input(dtype=torch.float32)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = layer(x)
            assert self.make()(self.input()).dtype is torch.float64, "as torch's own convolutions"
        assert y.dtype is torch.bfloat16
        assert_matches(y, layer(x), 0.1)
        y.float().square().sum().backward()

    def test_state_dict_and_copies(self):
        layer, x = self.make(), self.input()
        layer(x).sum().backward()
        loaded = self.make()
        loaded.load_state_dict(layer.state_dict())
        for twin in (loaded, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            torch.testing.assert_close(twin(x), layer(x), rtol=0, atol=0)

    def test_meta_device(self):
        layer = self.make(device="meta")
        assert all(p.is_meta for p in layer.parameters())
        y = layer(self.input().to("meta"))
        assert y.is_meta
        assert y.shape == self.make()(self.input()).shape

    @pytest.mark.parametrize("order", ["made", "parents_first", "children_first"])
    def test_white_noise_keeps_its_variance(self, order):
        """However the parameters were drawn: at once, or as FSDP does it after ``to_empty``."""
        variances = []
        for _ in range(12):
            layer = self.cls(64, 64, kernel_size=3, padding="same", padding_mode="circular")
            if order != "made":
                self.materialise(layer, reverse=order == "children_first")
            x = torch.randn(4, 64, 8, 8)
            variances.append(layer.eval()(x).square().mean().item())
        assert sum(variances) / 12 == pytest.approx(1, rel=0.25)

    def materialise(self, layer: nn.Module, *, reverse: bool) -> None:
        with torch.no_grad():
            for tensor in layer.state_dict().values():
                tensor.fill_(math.nan if tensor.is_floating_point() else 7)  # whatever was in memory
        modules = [m for m in layer.modules() if hasattr(m, "reset_parameters")]
        for module in reversed(modules) if reverse else modules:
            module.reset_parameters()

    def test_forward_stores_nothing(self):
        layer = self.make()

        def state():
            held = [vars(module) for module in layer.modules()]
            return [{k: dict(v) if isinstance(v, dict) else v for k, v in found.items()} for found in held]

        before = state()
        layer(self.input())
        assert state() == before

    def test_repr_shows_the_arguments(self):
        channels = ", ".join(map(str, self.channels))
        expected = f"{channels}, kernel_size=(3, 3), dilation=(2, 2), padding=same, bias=True"
        assert expected in repr(self.make(padding="same", dilation=2))
        assert repr(self.make(device="meta"))

    def test_export_with_any_batch(self):
        layer = self.make(stride=2, padding=1)
        batch = torch.export.Dim("batch")
        program = torch.export.export(layer, (self.input(),), dynamic_shapes=({0: batch},))
        x = self.input(batch=5)
        assert_matches(program.module()(x), layer(x))
        self.check_graph(program)

    def check_graph(self, program: torch.export.ExportedProgram) -> None:
        """What a subclass promises of the exported graph."""
