"""The contract of every engine: subclass EngineContract and name the engine."""

import functools
import math
from collections.abc import Callable
from typing import ClassVar

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import oracles
from flexkern.engines import ConvProblem, FactoredWeight, Plan, convolve, plan_conv
from flexkern.engines.plan import PassPlan
from tolerances import assert_matches, float32_bound


def case(signal, kernel, *, batch=2, channels=(2, 3), groups=1, stride=None, padding=None, dilation=None) -> dict:
    axes = len(signal)
    return {
        "input": (batch, channels[0], *signal),
        "weight": (channels[1], channels[0] // groups, *kernel),
        "options": {
            "stride": stride or (1,) * axes,
            "padding": padding or ((0, 0),) * axes,
            "dilation": dilation or (1,) * axes,
            "groups": groups,
        },
    }


def plan_case(problem: dict, engine: str, **changes) -> Plan:
    batch, in_channels, *signal = problem["input"]
    out_channels, _, *kernel = problem["weight"]
    sizes = {"signal": tuple(signal), "kernel": tuple(kernel), **problem["options"], **changes}
    return plan_conv(ConvProblem(batch, in_channels, out_channels, **sizes), engine)


def summed_terms(plan: Plan) -> dict[str, float]:
    """Return how many terms, counted over all sums in turn, make an entry of the output and of each gradient.

    The direct engine adds up all products. By spectra, two factors and their product are transformed, and products
    of each frequency are added up over channels (for the weight: over the batch and the tiles of its signals).
    """
    problem = plan.problem
    outputs = math.prod(problem.output_size)
    taps = math.prod(problem.kernel)
    tile = plan.weight_gradient.tile or problem.output_size
    tiles = math.prod(-(-count // size) for count, size in zip(problem.output_size, tile, strict=True))

    def count(step: PassPlan, products: int, per_frequency: int) -> int:
        return products if step.engine == "direct" else 3 * transform_terms(step) + per_frequency

    in_channels = problem.in_channels // problem.groups
    out_channels = problem.out_channels // problem.groups
    return {
        "output": count(plan.forward, in_channels * taps, in_channels),
        "input": count(plan.input_gradient, out_channels * taps, out_channels),
        "weight": count(plan.weight_gradient, problem.batch * outputs, problem.batch * tiles),
        "bias": problem.batch * outputs,
    }


def transform_terms(step: PassPlan) -> int:
    """Return the terms of one transform: n per axis by matrix products, log2(n) by FFT, which halves it repeatedly."""
    if step.fold > 1:
        return step.lengths[0] // step.fold + step.fold
    return sum(length if step.matrices else length.bit_length() for length in step.lengths)


EDGE_CASES = {
    "kernel_1": case((7,), (1,)),
    "kernel_even": case((8,), (4,), padding=((1, 2),)),
    "kernel_longer_than_signal": case((4,), (9,), padding=((4, 4),)),
    "kernel_as_long_as_signal": case((6,), (6,)),
    "signal_1": case((1,), (3,), padding=((1, 1),)),
    "rectangular": case((6, 5), (2, 5), padding=((0, 1), (2, 2))),
    "rectangular_other_way": case((5, 6), (5, 2), padding=((2, 2), (0, 1))),
    "batch_1": case((6, 5), (3, 3), batch=1),
    "one_channel": case((9,), (3,), channels=(1, 1)),
    "groups": case((5, 4), (3, 2), channels=(4, 6), groups=2),
    "depthwise": case((7, 6), (3, 3), channels=(4, 4), groups=4, padding=((1, 1), (1, 1))),
    "depthwise_multiplier": case((9,), (4,), channels=(3, 6), groups=3),
    "stride": case((9, 7), (3, 2), stride=(2, 3)),
    "stride_that_leaves_a_rest": case((10,), (3,), stride=(4,)),
    "dilation": case((9,), (3,), dilation=(3,), padding=((3, 3),)),
    "stride_and_dilation": case((8, 9), (2, 3), stride=(2, 1), dilation=(3, 2), padding=((1, 2), (3, 0))),
    "prime_length": case((13,), (7,), padding=((3, 3),)),
    "prime_lengths": case((7, 11), (5, 3), channels=(1, 2), padding=((2, 2), (1, 1))),
    "causal_padding": case((11,), (5,), padding=((4, 0),)),
    "anticausal_padding": case((11,), (5,), padding=((0, 4),)),
    "negative_left": case((9,), (3,), padding=((-2, 1),)),
    "negative_right": case((9,), (3,), padding=((1, -3),)),
    "negative_both": case((9, 8), (2, 3), padding=((-1, -2), (-3, 2))),
    "negative_and_strided": case((12,), (3,), padding=((-3, 2),), stride=(2,), dilation=(2,)),
    "padding_beyond_kernel": case((4,), (2,), padding=((5, 6),)),
    "three_axes": case((3, 4, 5), (2, 3, 1), channels=(2, 2), padding=((1, 0), (1, 1), (0, 0)), groups=2),
}


@st.composite
def problems(draw) -> dict:
    """Random convolutions with at least one output sample."""
    axes = draw(st.integers(1, 3))
    groups, per_in, per_out = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    signal, kernel, stride, padding, dilation = [], [], [], [], []
    for _ in range(axes):
        n = draw(st.integers(1, 17 if axes == 1 else 7))
        k = draw(st.integers(1, 9 if axes == 1 else 4))
        d = draw(st.integers(1, 3))
        left = draw(st.integers(1 - n, 6))
        extent = d * (k - 1) + 1
        right = draw(st.integers(max(extent - n - left, -n + 1 if left <= 0 else -n), extent + 6 + n))
        signal.append(n)
        kernel.append(k)
        stride.append(draw(st.integers(1, 3)))
        padding.append((left, right))
        dilation.append(d)
    return case(
        tuple(signal),
        tuple(kernel),
        batch=draw(st.integers(1, 3)),
        channels=(groups * per_in, groups * per_out),
        groups=groups,
        stride=tuple(stride),
        padding=tuple(padding),
        dilation=tuple(dilation),
    )


def values_and_gradients(function: Callable[..., Tensor], arguments: tuple[Tensor, ...]) -> list[Tensor]:
    """Return the result and its gradients with respect to every argument, for one fixed cotangent."""
    arguments = tuple(a.detach().requires_grad_() for a in arguments)
    result = function(*arguments)
    cotangent = torch.cos(torch.arange(result.numel(), dtype=torch.float64)).view(result.shape)
    return [result, *torch.autograd.grad(result, arguments, cotangent.to(result.dtype))]


OPERATORS = {"convolution": "convolution", "convolution_backward": "convolution", "_fft_r2c": "fft", "_fft_c2r": "fft"}


class OperatorLog(TorchDispatchMode):
    """Record the kinds of work done, forward and backward: ``kinds`` within {"convolution", "fft", "product"}."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: set[str] = set()

    def __torch_dispatch__(self, operator, types, arguments=(), options=None):
        name = operator.overloadpacket.__name__
        kind = OPERATORS.get(name) or ("product" if name.strip("_") in ("mm", "bmm", "addmm", "baddbmm") else None)
        if kind is not None:
            self.kinds.add(kind)
        return operator(*arguments, **(options or {}))


class EngineContract:
    """An engine computes what nested loops compute. Subclasses set ``engine`` and the kinds of work that it does."""

    engine: ClassVar[str]
    uses: ClassVar[frozenset[str]] = frozenset()
    avoids: ClassVar[frozenset[str]] = frozenset()

    def check(self, problem: dict, oracle: Callable[..., Tensor], dtype=torch.float64, tolerance=None) -> None:
        terms = summed_terms(plan_case(problem, self.engine))
        x, weight = torch.randn(problem["input"], dtype=dtype), torch.randn(problem["weight"], dtype=dtype)
        bias = torch.randn(problem["weight"][0], dtype=dtype)
        options = problem["options"]
        ours = values_and_gradients(lambda x, w, b: convolve(x, w, b, engine=self.engine, **options), (x, weight, bias))
        exact = values_and_gradients(
            lambda x, w, b: oracle(x, w, b, **options), (x.double(), weight.double(), bias.double())
        )
        for name, one, other in zip(("output", "input", "weight", "bias"), ours, exact, strict=True):
            assert one.dtype is dtype
            assert_matches(one, other, float32_bound(terms[name]) if dtype is torch.float32 else tolerance, name)

    @pytest.mark.parametrize("name", EDGE_CASES)
    def test_values_and_gradients_are_those_of_nested_loops(self, name):
        self.check(EDGE_CASES[name], oracles.loop_convolve)

    @given(problems())
    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def test_values_and_gradients_of_random_problems(self, problem):
        self.check(problem, oracles.tap_convolve, tolerance=1e-11)

    @pytest.mark.parametrize(
        "name", ["kernel_even", "rectangular", "groups", "depthwise", "negative_both", "three_axes"]
    )
    @pytest.mark.parametrize("features", [1, 2, 9])
    def test_factored_weight_is_its_product(self, name, features):
        problem = EDGE_CASES[name]
        out, per_group, *kernel = problem["weight"]
        x = torch.randn(problem["input"], dtype=torch.float64)
        factors = torch.randn(out, per_group, features).double(), torch.randn(features, *kernel).double()

        def factored(x, readout, features):
            return convolve(x, FactoredWeight(readout, features), engine=self.engine, **problem["options"])

        def product(x, readout, features):
            weight = torch.einsum("oim,m...->oi...", readout, features)
            return oracles.tap_convolve(x, weight, **problem["options"])

        pairs = zip(
            values_and_gradients(factored, (x, *factors)), values_and_gradients(product, (x, *factors)), strict=True
        )
        for ours, exact in pairs:
            assert_matches(ours, exact)

    def test_gradients_of_gradients(self):
        problem = EDGE_CASES["stride_and_dilation"]
        arguments = [
            torch.randn(problem[name], dtype=torch.float64, requires_grad=True) for name in ("input", "weight")
        ]
        run = functools.partial(convolve, engine=self.engine, **problem["options"])
        assert torch.autograd.gradgradcheck(run, arguments, fast_mode=True)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
    @pytest.mark.parametrize("name", ["kernel_even", "depthwise", "rectangular"])
    def test_dtype_in_is_dtype_out(self, name, dtype):
        self.check(EDGE_CASES[name], oracles.tap_convolve, dtype)

    def test_relative_error_in_float32_of_long_kernels(self):
        problem = case((1201,), (601,), channels=(2, 2), padding=((300, 300),))
        x, weight = torch.randn(problem["input"]), torch.randn(problem["weight"])
        ours = values_and_gradients(lambda x, w: convolve(x, w, engine=self.engine, **problem["options"]), (x, weight))
        exact = values_and_gradients(
            lambda x, w: oracles.torch_convolve(x, w, None, mode="zeros", **problem["options"]),
            (x.double(), weight.double()),
        )
        terms = summed_terms(plan_case(problem, self.engine))
        for name, one, other in zip(("output", "input", "weight"), ours, exact, strict=True):
            assert_matches(one, other, float32_bound(terms[name]), name)

    def test_memory_format_does_not_matter(self):
        problem = EDGE_CASES["groups"]
        x, weight = torch.randn(problem["input"]), torch.randn(problem["weight"])
        run = functools.partial(convolve, weight=weight, engine=self.engine, **problem["options"])
        assert_matches(run(x.to(memory_format=torch.channels_last)), run(x))
        assert_matches(run(x.transpose(2, 3).contiguous().transpose(2, 3)), run(x))

    def test_it_is_the_one_that_runs(self):
        for name in ("kernel_1", "kernel_longer_than_signal", "stride", "groups"):
            problem = EDGE_CASES[name]
            run = functools.partial(convolve, engine=self.engine, **problem["options"])
            with OperatorLog() as log:
                values_and_gradients(run, (torch.randn(problem["input"]), torch.randn(problem["weight"])))
            assert self.uses <= log.kinds, name
            assert not self.avoids & log.kinds, name
