"""Identities of every convolution, and errors of every engine: subclass EngineLaws and name the engine."""

import math
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from contracts.engine import EDGE_CASES, case, values_and_gradients
from flexkern.engines import ConvProblem, convolve, plan_conv
from tolerances import assert_matches

FLOAT, DOUBLE = torch.float32, torch.float64

PROPERTY_CASES = ["rectangular", "groups", "depthwise", "stride_and_dilation", "negative_both", "three_axes"]

BAD_INPUT = {  # shapes and dtypes of input, weight (and bias), options, what the message must name
    "zero_length_kernel": ([((1, 2, 8), FLOAT), ((3, 2, 0), FLOAT)], {}, "one sample per axis"),
    "zero_length_on_one_axis": ([((1, 2, 8, 8), FLOAT), ((3, 2, 3, 0), FLOAT)], {}, "one sample per axis"),
    "input_shorter_than_kernel": ([((1, 2, 4), FLOAT), ((3, 2, 5), FLOAT)], {}, "kernel spans"),
    "shorter_than_the_dilated_kernel": ([((1, 2, 6), FLOAT), ((3, 2, 3), FLOAT)], {"dilation": (3,)}, "kernel spans"),
    "input_channels_not_divisible": ([((1, 3, 8), FLOAT), ((4, 1, 3), FLOAT)], {"groups": 2}, "groups|channels"),
    "output_channels_not_divisible": ([((1, 4, 8), FLOAT), ((3, 2, 3), FLOAT)], {"groups": 2}, "groups|channels"),
    "channels_of_another_grouping": ([((1, 4, 8), FLOAT), ((4, 4, 3), FLOAT)], {"groups": 2}, "groups|channels"),
    "channels_do_not_agree": ([((1, 4, 8), FLOAT), ((2, 3, 3), FLOAT)], {}, "groups|channels"),
    "no_groups": ([((1, 4, 8), FLOAT), ((2, 4, 3), FLOAT)], {"groups": 0}, "groups"),
    "dtypes_differ": ([((1, 2, 8), FLOAT), ((3, 2, 3), DOUBLE)], {}, "dtype"),
    "no_output_channels": ([((1, 2, 8), FLOAT), ((0, 2, 3), FLOAT)], {}, "at least one channel"),
    "no_input_channels": ([((1, 0, 8), FLOAT), ((3, 0, 3), FLOAT)], {}, "at least one channel"),
    "axes_differ": ([((1, 2, 8), FLOAT), ((3, 2, 3, 3), FLOAT)], {}, "ax[ei]s|dimension|shape"),
    "stride_for_two_axes": ([((1, 2, 8), FLOAT), ((3, 2, 3), FLOAT)], {"stride": (1, 1)}, "stride"),
    "stride_zero": ([((1, 2, 8), FLOAT), ((3, 2, 3), FLOAT)], {"stride": (0,)}, "stride"),
    "dilation_zero": ([((1, 2, 8), FLOAT), ((3, 2, 3), FLOAT)], {"dilation": (0,)}, "dilation"),
    "whole_numbers": ([((1, 2, 8), torch.int64), ((3, 2, 3), torch.int64)], {}, "floating point"),
    "bias_of_another_length": ([((1, 2, 8), FLOAT), ((3, 2, 3), FLOAT), ((1,), FLOAT)], {}, "bias"),
}


class EngineLaws:
    """Tests that need no expected values."""

    engine: ClassVar[str]

    def run(self, problem: dict, *arguments: Tensor) -> Tensor:
        return convolve(*arguments, engine=self.engine, **problem["options"])

    # Identities of convolution --------------------------------------------------------------------------------

    @pytest.mark.parametrize("name", PROPERTY_CASES)
    def test_linear_in_input_and_in_weight(self, name):
        problem = EDGE_CASES[name]
        x, y = torch.randn(2, *problem["input"], dtype=torch.float64)
        v, w = torch.randn(2, *problem["weight"], dtype=torch.float64)
        sums = self.run(problem, 2 * x - y, w), self.run(problem, x, v - 3 * w)
        assert_matches(sums[0], 2 * self.run(problem, x, w) - self.run(problem, y, w))
        assert_matches(sums[1], self.run(problem, x, v) - 3 * self.run(problem, x, w))

    @pytest.mark.parametrize("name", PROPERTY_CASES)
    def test_gradients_are_adjoint(self, name):
        """<g, conv(x, w)> = <input gradient, x> = <weight gradient, w>."""
        problem = EDGE_CASES[name]
        x, w = (torch.randn(problem[part], dtype=torch.float64, requires_grad=True) for part in ("input", "weight"))
        y = self.run(problem, x, w)
        g = torch.randn_like(y)
        pairs = zip(torch.autograd.grad(y, (x, w), g), (x, w), strict=True)
        scale = (g.norm() * x.norm() * w.norm()).item()
        for gradient, of in pairs:
            assert abs((gradient * of).sum() - (g * y).sum()).item() <= 1e-13 * scale

    @pytest.mark.parametrize("axis", [0, 1])
    def test_shifting_the_input_shifts_the_output(self, axis):
        x, w = torch.randn(2, 2, 13, 11, dtype=torch.float64), torch.randn(3, 2, 4, 3, dtype=torch.float64)
        problem = case((13, 11), (4, 3))
        whole = self.run(problem, x, w)
        for shift in (1, 2, 5):
            later = self.run(problem, x.narrow(2 + axis, shift, x.shape[2 + axis] - shift), w)
            assert_matches(later, whole.narrow(2 + axis, shift, whole.shape[2 + axis] - shift))

    def test_groups_are_convolutions_side_by_side(self):
        problem = case((9, 8), (4, 3), channels=(6, 9), groups=3, padding=((2, 1), (0, 3)), stride=(1, 2))
        x, w = torch.randn(problem["input"], dtype=torch.float64), torch.randn(problem["weight"], dtype=torch.float64)
        one = {**problem["options"], "groups": 1}
        parts = [
            convolve(a, b, engine=self.engine, **one) for a, b in zip(x.chunk(3, dim=1), w.chunk(3, dim=0), strict=True)
        ]
        assert_matches(self.run(problem, x, w), torch.cat(parts, dim=1))

    @pytest.mark.parametrize("name", ["prime_lengths", "groups", "depthwise", "three_axes"])
    def test_signals_of_a_batch_do_not_meet(self, name):
        problem = EDGE_CASES[name]
        x, w = torch.randn(7, *problem["input"][1:], dtype=torch.float64), torch.randn(problem["weight"]).double()
        ours = values_and_gradients(lambda x, w: self.run(problem, x, w), (x, w))
        for size in (1, 3):
            parts = values_and_gradients(
                lambda x, w, size=size: torch.cat([self.run(problem, part, w) for part in x.split(size)]), (x, w)
            )
            for one, other in zip(ours, parts, strict=True):
                assert_matches(one, other)

    # What is refused, and what is empty -----------------------------------------------------------------------

    def test_bad_input_is_refused(self):
        for name, (tensors, options, message) in BAD_INPUT.items():
            arguments = [torch.ones(shape, dtype=dtype) for shape, dtype in tensors]
            with pytest.raises(ValueError, match=message):  # noqa: PT012
                convolve(*arguments, engine=self.engine, **options)
                pytest.fail(f"{name} was accepted")

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_non_finite_weight_is_refused_or_stays_where_torch_leaves_it(self, value):
        """A transform would spread the value over the whole output."""
        x, weight = torch.randn(1, 2, 9), torch.randn(2, 2, 3)
        weight[1, 0, 2] = value
        if plan_conv(ConvProblem(1, 2, 2, (9,), (3,)), self.engine).engine == "direct":
            y = convolve(x, weight, engine=self.engine)
            assert y[:, 0].isfinite().all()
            assert not y[:, 1].isfinite().any()
            return
        with pytest.raises(ValueError, match="finite"):
            convolve(x, weight, engine=self.engine)

    def test_empty_batch_has_zero_gradients(self):
        x, w = torch.zeros(0, 4, 9, 8, requires_grad=True), torch.randn(6, 2, 3, 2, requires_grad=True)
        y = convolve(x, w, torch.ones(6), groups=2, padding=((1, 1), (0, 1)), engine=self.engine)
        assert y.shape == (0, 6, 9, 8)
        y.sum().backward()
        assert x.grad.shape == x.shape
        assert w.grad.shape == w.shape
        assert not w.grad.any()
