"""Grids at other resolutions: positions, crop, weights, and back again."""

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


@given(st.integers(3, 40), st.floats(0.5, 4), st.booleans())
def test_samples_lie_the_scale_closer(length, scale, causal):
    fine = Grid((length,), causal).at(scale)
    positions = fine.positions(dtype=torch.float64)[0]
    assert len(positions) == fine.lengths[0]
    if len(positions) > 1:
        assert_matches(positions.diff(), torch.full((len(positions) - 1,), 2 / (length - 1) / scale), 1e-6)
    assert fine.steps[0] == pytest.approx(2 / (length - 1) / scale)
    assert fine.nyquist[0] == pytest.approx((length - 1) / 4 * scale)


@given(st.integers(3, 40), st.floats(0.5, 4), st.floats(0.3, 1.2), st.booleans())
def test_the_crop_keeps_what_the_window_reaches(length, scale, reach, causal):
    fine = Grid((length,), causal).at(scale)
    start, stop = fine.bounds((reach,))[0]
    positions = fine.positions(dtype=torch.float64)[0]
    within = positions > 1 - reach if causal else positions.abs() < reach
    kept = torch.zeros_like(within)
    kept[start:stop] = True
    differ = (within != kept).nonzero().flatten().tolist()
    # Samples on the border may fall either way; one sample (two of an even axis) stays whatever the reach.
    border = (1 - positions if causal else positions.abs()).sub(reach).abs() < 1e-9
    assert all(border[i] or stop - start <= 2 for i in differ)


@pytest.mark.parametrize("scale", [2.0, 0.5, 1.5, 0.7, 3.3, (2.0, 1.0)])
def test_there_and_back_again(scale):
    grid = Grid((17, 9))
    back = tuple(1 / s for s in scale) if isinstance(scale, tuple) else 1 / scale
    assert grid.at(scale).at(back) == grid
    assert hash(grid.at(scale).at(back)) == hash(grid)


def test_weights_are_riemann_weights():
    assert Grid((17, 17)).at(2.0).weight == 0.25
    assert Grid((784,), causal=True).at(0.5).weight == 2.0
    assert Grid((17, 9)).at((2.0, 1.0)).weight == 0.5
    assert Grid((1, 9)).at(2.0).weight == 0.5  # an axis of one sample has one at any resolution
    assert Grid((1, 9)).at(2.0).lengths == (1, 17)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan"), (1.0,)])
def test_scales_that_are_none(scale):
    with pytest.raises(ValueError, match="`scale` must be positive, one or 2 numbers"):
        Grid((9, 9)).at(scale)
