"""Band-limited resizing against the sums of its formula, and the properties that follow from them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flexkern.functional import resize_bandlimited
from tolerances import assert_matches


def plain_resize(x, length):
    """Return the sums of the formula, term by term."""
    old_length = len(x)
    orders = range(min(old_length, length))
    coefficients = []
    for k in orders:
        terms = [x[i] * math.cos(math.pi * k * (i + 0.5) / old_length) for i in range(old_length)]
        coefficients.append(sum(terms))
    resized = []
    for j in range(length):
        terms = [(2 - (k == 0)) * coefficients[k] * math.cos(math.pi * k * (j + 0.5) / length) for k in orders]
        resized.append(sum(terms) / old_length)
    return resized


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 5))
def test_values_equal_the_sums(old, new, seed):
    x = torch.randn(old, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    expected = torch.tensor(plain_resize(x.tolist(), new), dtype=torch.float64)
    assert_matches(resize_bandlimited(x, (new,)), expected, 1e-12)


@pytest.mark.parametrize(("old", "new"), [((7, 6), (13, 6)), ((14, 14), (28, 28)), ((5, 9), (10, 27))])
def test_enlarging_loses_nothing(old, new):
    x = torch.randn(2, 3, *old, dtype=torch.float64)
    enlarged = resize_bandlimited(x, new)
    assert_matches(resize_bandlimited(enlarged, old), x, 1e-12)


def test_the_mean_is_preserved():
    x = torch.randn(2, 12, 12, dtype=torch.float64)
    resized = resize_bandlimited(x, (5, 7))
    assert_matches(resized.mean((1, 2)), x.mean((1, 2)), 1e-12)


def test_smooth_signals_are_interpolated():
    def wave(length):
        middles = (torch.arange(length, dtype=torch.float64) + 0.5) / length
        return 1 + torch.cos(3 * math.pi * middles)

    assert_matches(resize_bandlimited(wave(16), (40,)), wave(40), 1e-12)
    assert_matches(resize_bandlimited(wave(16), (8,)), wave(8), 1e-12)


def test_frequencies_above_the_coarse_grid_are_removed():
    middles = (torch.arange(16, dtype=torch.float64) + 0.5) / 16
    wave = torch.cos(9 * math.pi * middles)
    assert resize_bandlimited(wave, (8,)).abs().max() < 1e-12


def test_gradients():
    x = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: resize_bandlimited(x, (8,)), x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtype_is_kept(dtype):
    assert resize_bandlimited(torch.ones(4, dtype=dtype), (6,)).dtype == dtype


def test_integers_are_rejected():
    with pytest.raises(ValueError, match=r"`x` must be floating point, got torch\.int64"):
        resize_bandlimited(torch.ones(4, dtype=torch.int64), (6,))


def test_the_same_size_changes_nothing():
    x = torch.randn(3, 4)
    assert torch.equal(resize_bandlimited(x, (4,)), x)


@pytest.mark.parametrize("size", [(), (0,), (2, 3, 4)])
def test_invalid_sizes_are_rejected(size):
    with pytest.raises(ValueError, match="`size` must have 1 to 2 positive numbers"):
        resize_bandlimited(torch.ones(3, 3), size)
