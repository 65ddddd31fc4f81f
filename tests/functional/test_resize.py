"""Resizing against the sums of its formula, and what follows from them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flexkern.functional import resize_bandlimited
from tolerances import assert_matches


def plain_resize(x, length):
    """The formula, summed up."""
    n = len(x)
    k = range(min(n, length))
    found = [sum(x[i] * math.cos(math.pi * f * (i + 0.5) / n) for i in range(n)) for f in k]
    return [
        sum((1 if f == 0 else 2) * found[f] * math.cos(math.pi * f * (j + 0.5) / length) for f in k) / n
        for j in range(length)
    ]


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 5))
def test_against_the_sums(old, new, seed):
    x = torch.randn(old, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    expected = torch.tensor(plain_resize(x.tolist(), new), dtype=torch.float64)
    assert_matches(resize_bandlimited(x, (new,)), expected, 1e-12)


@pytest.mark.parametrize(("old", "new"), [((7, 6), (13, 6)), ((14, 14), (28, 28)), ((5, 9), (10, 27))])
def test_enlarging_loses_nothing(old, new):
    x = torch.randn(2, 3, *old, dtype=torch.float64)
    assert_matches(resize_bandlimited(resize_bandlimited(x, new), old), x, 1e-12)


def test_means_stay():
    x = torch.randn(2, 12, 12, dtype=torch.float64)
    assert_matches(resize_bandlimited(x, (5, 7)).mean((1, 2)), x.mean((1, 2)), 1e-12)


def test_smooth_signals_are_interpolated():
    def wave(n):
        return 1 + torch.cos(3 * math.pi * (torch.arange(n, dtype=torch.float64) + 0.5) / n)

    assert_matches(resize_bandlimited(wave(16), (40,)), wave(40), 1e-12)
    assert_matches(resize_bandlimited(wave(16), (8,)), wave(8), 1e-12)


def test_frequencies_beyond_the_coarse_grid_are_gone():
    t = (torch.arange(16, dtype=torch.float64) + 0.5) / 16
    assert resize_bandlimited(torch.cos(9 * math.pi * t), (8,)).abs().max() < 1e-12


def test_gradients_and_dtypes():
    x = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: resize_bandlimited(x, (8,)), x)
    assert resize_bandlimited(torch.ones(4), (6,)).dtype == torch.float32
    assert resize_bandlimited(torch.ones(4, dtype=torch.bfloat16), (6,)).dtype == torch.bfloat16
    with pytest.raises(ValueError, match=r"`x` must be floating point, got torch\.int64"):
        resize_bandlimited(torch.ones(4, dtype=torch.int64), (6,))
    same = torch.randn(3, 4)
    assert torch.equal(resize_bandlimited(same, (4,)), same)


@pytest.mark.parametrize("size", [(), (0,), (2, 3, 4)])
def test_sizes_that_are_none(size):
    with pytest.raises(ValueError, match="`size` must have 1 to 2 positive numbers"):
        resize_bandlimited(torch.ones(3, 3), size)
