"""Grids at other resolutions: positions, crop, Riemann weights, and the way back."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flexkern.functional import Grid, crop_bounds, make_grid
from tolerances import assert_matches


def test_at_the_resolution_of_training_it_is_the_plain_grid():
    grid, bounds = Grid((9, 6)), ((2, 7), (1, 5))
    assert grid.lengths == (9, 6)
    assert grid.weight == 1
    assert torch.equal(grid.positions(bounds), make_grid((9, 6), bounds=bounds))
    assert grid.bounds((0.3, 0.7)) == (crop_bounds(9, 0.3), crop_bounds(6, 0.7))


@pytest.mark.parametrize("grid", [Grid((9, 6)), Grid((9, 6)).at(2.0)])
def test_bounds_must_have_an_entry_per_axis(grid):
    with pytest.raises(ValueError, match=r"`bounds` must have 2 entries \(start, stop\), one per axis"):
        grid.positions(((2, 7),))


@given(st.integers(3, 40), st.floats(0.5, 4), st.booleans())
def test_samples_are_closer_by_the_scale(length, scale, causal):
    fine = Grid((length,), causal).at(scale)
    positions = fine.positions(dtype=torch.float64)[0]
    assert len(positions) == fine.lengths[0]
    step = 2 / (length - 1) / scale
    if len(positions) > 1:
        steps = positions.diff()
        assert_matches(steps, torch.full_like(steps, step), 1e-6)
    assert fine.steps[0] == pytest.approx(step)
    assert fine.nyquist[0] == pytest.approx((length - 1) / 4 * scale)


@given(st.integers(3, 40), st.floats(0.5, 4), st.floats(0.3, 1.2), st.booleans())
def test_the_crop_keeps_the_samples_within_the_extent(length, scale, extent, causal):
    fine = Grid((length,), causal).at(scale)
    start, stop = fine.bounds((extent,))[0]
    positions = fine.positions(dtype=torch.float64)[0]
    distances = 1 - positions if causal else positions.abs()
    is_within = positions > 1 - extent if causal else distances < extent
    is_kept = torch.zeros_like(is_within)
    is_kept[start:stop] = True
    # Rounding decides about samples on the border. One sample, or two of an even axis, stay at any extent.
    is_on_border = (distances - extent).abs() < 1e-9
    differs = (is_within != is_kept) & ~is_on_border
    assert not differs.any() or stop - start <= 2


@pytest.mark.parametrize("scale", [2.0, 0.5, 1.5, 0.7, 3.3, (2.0, 1.0)])
def test_scaling_there_and_back_gives_an_equal_grid(scale):
    grid = Grid((17, 9))
    inverse = tuple(1 / s for s in scale) if isinstance(scale, tuple) else 1 / scale
    back = grid.at(scale).at(inverse)
    assert back == grid
    assert hash(back) == hash(grid)


def test_riemann_weights():
    assert Grid((17, 17)).at(2.0).weight == 0.25
    assert Grid((784,), causal=True).at(0.5).weight == 2.0
    assert Grid((17, 9)).at((2.0, 1.0)).weight == 0.5
    assert Grid((1, 9)).at(2.0).weight == 0.5  # an axis of one sample has one at any resolution
    assert Grid((1, 9)).at(2.0).lengths == (1, 17)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan"), (1.0,)])
def test_invalid_scales_are_rejected(scale):
    with pytest.raises(ValueError, match="`scale` must be positive, one or 2 numbers"):
        Grid((9, 9)).at(scale)
