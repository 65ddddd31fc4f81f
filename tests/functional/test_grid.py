"""Positions at which a kernel is sampled, on one axis and on all, at any resolution."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import oracles
from flexkern.functional import axis_grid, make_grid, pitch, resample_axis
from golden import load_golden
from tolerances import assert_matches

LENGTHS = [1, 2, 3, 4, 5, 8, 17, 33, 64, 785]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("causal", [False, True])
def test_axis_is_the_paper_s_grid(length, causal):
    positions = axis_grid(length, causal=causal, dtype=torch.float64)
    assert_matches(positions, oracles.grid((length,), causal=causal)[0])


@pytest.mark.parametrize("length", LENGTHS)
def test_both_ends_are_included_and_the_grid_is_exactly_symmetric(length):
    grid = axis_grid(length)
    torch.testing.assert_close(grid, -grid.flip(0), rtol=0, atol=0)
    if length > 1:
        assert (grid[0].item(), grid[-1].item()) == (-1.0, 1.0)


def test_a_single_sample_lies_at_zero_or_at_the_most_recent_end():
    assert axis_grid(1).tolist() == [0.0]
    assert axis_grid(1, causal=True).tolist() == [1.0]


@given(st.integers(1, 200), st.data())
def test_slice_is_part_of_the_whole(length, data):
    start = data.draw(st.integers(0, length - 1))
    stop = data.draw(st.integers(start + 1, length))
    whole = axis_grid(length)
    assert axis_grid(length, start=start, stop=stop).tolist() == whole[start:stop].tolist()


@pytest.mark.parametrize("lengths", [(5,), (4, 3), (1, 6), (2, 3, 4), (2, 1, 3, 2)])
def test_grids_have_any_number_of_axes_and_any_lengths(lengths):
    assert_matches(make_grid(lengths, dtype=torch.float64), oracles.grid(lengths))


def test_cropped_grid_is_a_part_of_the_whole():
    whole = make_grid((9, 6), dtype=torch.float64)
    cropped = make_grid((9, 6), bounds=((2, 7), (1, 5)), dtype=torch.float64)
    torch.testing.assert_close(cropped, whole[:, 2:7, 1:5], rtol=0, atol=0)


def test_grid_has_the_dtype_and_device_asked_for():
    # The authors' grid is a plain attribute, which `.to()` does not move.
    assert make_grid((3, 4), dtype=torch.float64).dtype is torch.float64
    assert make_grid((3, 4), device="meta").is_meta
    assert make_grid((3, 4)).dtype is torch.get_default_dtype()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: axis_grid(0), r"`length` must be positive, got 0"),
        (lambda: axis_grid(4, start=2, stop=2), r"start < stop"),
        (lambda: axis_grid(4, stop=5), r"<= 4"),
        (lambda: axis_grid(4, start=-1), r"got -1"),
        (lambda: resample_axis(5, 0.0), r"`scale` must be positive, got 0.0"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_bounds_must_have_an_entry_per_axis():
    with pytest.raises(ValueError, match=r"`bounds` must have 2 entries \(start, stop\), one per axis"):
        make_grid((3, 4), bounds=((0, 3),))


@pytest.mark.parametrize("length", [5, 6, 17, 33])
@pytest.mark.parametrize("scale", [1.0, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("causal", [False, True])
def test_resampled_grid_keeps_the_old_samples(length, scale, causal):
    fine = resample_axis(length, scale, causal=causal, dtype=torch.float64)
    coarse = axis_grid(length, causal=causal, dtype=torch.float64)
    distance_to_nearest = (coarse[:, None] - fine).abs().amin(dim=1)
    if length % 2 or causal or scale % 2:  # an even centred axis has no sample in common at even scales
        assert distance_to_nearest.max() < 1e-14
    steps = fine.diff()
    assert_matches(steps, torch.full_like(steps, pitch(length) / scale))


def test_a_scale_that_leaves_no_sample_is_rejected():
    with pytest.raises(ValueError, match=r"`scale` 0.5 leaves no sample of a kernel of 2"):
        resample_axis(2, 0.5)


@given(st.integers(1, 60), st.floats(0.3, 4), st.booleans())
def test_resampled_grid_has_exact_step_and_fills_the_extent(length, scale, causal):
    step = pitch(length) / scale
    assume(length % 2 or causal or step <= 2)  # other scales leave no sample
    fine = resample_axis(length, scale, causal=causal, dtype=torch.float64)
    count = fine.numel()
    assert count >= 1
    assert fine.abs().max() <= 1 + 1e-9
    no_room_for_more = fine[0] - step < -1 + 1e-6 * step
    if causal:
        assert fine[-1].item() == 1.0
        assert no_room_for_more or length == 1
    else:
        assert abs((fine[0] + fine[-1]).item()) < 1e-12
        assert no_room_for_more or length == 1 or count <= 2
    if count > 1:
        steps = fine.diff()
        assert_matches(steps, torch.full_like(steps, step), 1e-9)


def test_resampled_length_of_the_paper():
    lengths = [resample_axis(17, scale).numel() for scale in (1.0, 2.0, 0.5)]
    assert lengths == [17, 33, 9]


@pytest.mark.parametrize("length", [17, 33])
@pytest.mark.parametrize("prefix", ["smooth", "paper"])
def test_grids_of_the_authors_code(prefix, length):
    theirs = load_golden("cross_resolution.npz")[f"{prefix}_positions{length}"]
    bounds = [((length - size) // 2, (length + size) // 2) for size in theirs.shape[1:]]
    ours = make_grid((length, length), bounds=bounds, dtype=torch.float64)
    assert_matches(ours, theirs)
