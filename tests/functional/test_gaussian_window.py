"""The window's values, and the samples that a crop keeps."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import oracles
from flexkern.functional import (
    continuous_window,
    crop_bounds,
    gaussian_window,
    make_grid,
    radius_per_width,
    support_radius,
    window_extent,
)
from golden import load_golden
from tolerances import assert_matches


@pytest.mark.parametrize("lengths", [(9,), (8, 5), (4, 3, 5)])
def test_values_are_the_product_of_the_axes(lengths):
    positions = oracles.grid(lengths)
    centre, width = [0.1, -0.2, 0.0][: len(lengths)], [0.3, 0.5, 0.7][: len(lengths)]
    ours = gaussian_window(positions, torch.tensor(centre).double(), torch.tensor(width).double())
    expected = oracles.gaussian(positions, torch.tensor(centre).double(), torch.tensor(width).double())
    assert_matches(ours, expected)


@pytest.mark.parametrize("window", [gaussian_window, lambda x, c, w: continuous_window(x, c, w, 0.1)])
def test_one_row_per_channel_is_one_window_per_channel(window):
    positions = oracles.grid((7, 6))
    centre, width = torch.randn(3, 2).double() / 4, torch.rand(3, 2).double() + 0.2
    stacked = torch.stack([window(positions, c, w) for c, w in zip(centre, width, strict=True)])
    assert_matches(window(positions, centre, width), stacked)


def test_gradients():
    arguments = (oracles.grid((4, 3)), torch.rand(2).double(), torch.rand(2).double() + 0.3)
    arguments = tuple(a.requires_grad_() for a in arguments)
    assert torch.autograd.gradcheck(gaussian_window, arguments)
    assert torch.autograd.gradcheck(lambda *a: continuous_window(*a, 0.1), arguments)


@pytest.mark.parametrize("dims", [1, 2])
def test_values_of_the_authors_code(dims):
    golden = load_golden("gaussian_mask.npz")
    positions = golden[f"mask{dims}d_positions"].reshape(dims, *golden[f"mask{dims}d_values"].shape[1:])
    rows = zip(golden[f"mask{dims}d_mean"], golden[f"mask{dims}d_sigma"], golden[f"mask{dims}d_values"], strict=True)
    for centre, width, values in rows:
        assert_matches(gaussian_window(positions, centre.reshape(dims), width.reshape(dims)), values)


def test_radius_is_where_the_window_meets_the_threshold():
    width = torch.tensor([0.075, 0.4], dtype=torch.float64)
    radius = support_radius(width, 0.1)
    for w, r in zip(width, radius, strict=True):
        value = gaussian_window(r.reshape(1, 1), torch.zeros(1).double(), w.reshape(1))
        assert_matches(value, torch.full((1,), 0.1, dtype=torch.float64))
    assert radius_per_width(0.1) == pytest.approx(2.1459660262893474, rel=1e-14)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, 2.0, math.nan])
def test_threshold_must_lie_between_0_and_1(threshold):
    with pytest.raises(ValueError, match=r"`threshold` must lie between 0 and 1, got"):
        radius_per_width(threshold)


def crop_table(dims):
    golden = load_golden("gaussian_mask.npz")
    widths, lengths = golden["crop_sigma"], golden["crop_grid_length"].tolist()
    for m, mean in enumerate(golden[f"crop{dims}d_mean"]):
        reach = window_extent(mean.expand_as(widths), widths, golden["crop_threshold"].item(), causal=dims == 1)
        for s, one in enumerate(reach.tolist()):
            yield one, list(zip(lengths, golden[f"crop{dims}d_length"][m, s].tolist(), strict=True))


def test_reach_of_the_authors_code():
    golden = load_golden("gaussian_mask.npz")
    widths, threshold = golden["crop_sigma"], golden["crop_threshold"].item()
    ours = torch.stack([window_extent(m.expand_as(widths), widths, threshold) for m in golden["crop2d_mean"]])
    assert_matches(ours, golden["crop2d_radius"])
    causal = [window_extent(m.expand_as(widths), widths, threshold, causal=True) for m in golden["crop1d_mean"]]
    assert_matches(1 - torch.stack(causal), golden["crop1d_root"])


def test_centred_crops_of_the_authors_code():
    checked = 0
    for reach, row in crop_table(2):
        for length, kept in row:
            start, stop = crop_bounds(length, reach)
            assert start == length - stop
            # Theirs may be empty (an even axis has no sample at 0); ours never is.
            assert stop - start == max(kept, 1 if length % 2 else 2), (length, reach)
            checked += 1
    assert checked == 5 * 17 * 98


def test_causal_crops_of_the_authors_code():
    checked = 0
    for reach, row in crop_table(1):
        if reach <= 0:  # the defect, see below
            continue
        for length, kept in row:
            start, stop = crop_bounds(length, reach, causal=True)
            assert (stop, stop - start) == (length, kept), (length, reach)
            checked += 1
    assert checked > 5 * 17 * 98


def test_causal_window_beyond_the_present_keeps_one_sample():
    # The authors' rule "all if abs(root) >= 1" switches cropping off where the window has left the grid.
    departures = [(reach, row) for reach, row in crop_table(1) if reach <= 0]
    assert departures
    for reach, row in departures:
        for length, theirs in row:
            assert theirs == length
            assert crop_bounds(length, reach, causal=True) == (length - 1, length)


@pytest.mark.parametrize(("length", "kept"), [(33, 5), (97, 15), (785, 127)])
def test_known_sizes_of_the_paper_s_initial_width(length, kept):
    start, stop = crop_bounds(length, 0.075 * radius_per_width(0.1))
    assert stop - start == kept


@given(st.integers(1, 130), st.floats(-0.5, 2.5), st.booleans())
def test_bounds_agree_with_looking_at_every_sample(length, reach, causal):
    kept = oracles.kept_samples(length, reach, causal=causal)
    start, stop = crop_bounds(length, reach, causal=causal)
    xs = oracles.grid((length,), causal=causal)[0].tolist()
    on_the_border = any(abs((1 - x if causal else abs(x)) - reach) < 1e-12 for x in xs)
    if not on_the_border:
        assert (start, stop) == (kept[0], kept[-1] + 1)
    assert 0 <= start < stop <= length


@given(st.integers(1, 200), st.floats(0, 3), st.floats(0, 3), st.booleans())
def test_wider_windows_never_keep_less(length, one, other, causal):
    (a, b), (c, d) = (crop_bounds(length, reach, causal=causal) for reach in sorted((one, other)))
    assert c <= a
    assert b <= d


def test_bounds_are_python_integers():
    assert all(type(v) is int for v in crop_bounds(33, 0.161) + crop_bounds(33, 5.0) + crop_bounds(9, 0.3, causal=True))


def test_nan_is_refused():
    # The authors' code silently stops cropping.
    with pytest.raises(ValueError, match="NaN"):
        crop_bounds(33, math.nan)


def test_infinite_reach_keeps_everything():
    assert crop_bounds(33, math.inf) == (0, 33)


def test_continuous_window_has_no_step_at_the_border():
    width = torch.tensor([0.3], dtype=torch.float64)
    edge = support_radius(width, 0.1)
    at = torch.stack([torch.zeros(1).double(), edge * (1 - 1e-9), edge, edge * 1.5], dim=1)
    values = continuous_window(at, torch.zeros(1).double(), width, 0.1)
    assert_matches(values, torch.tensor([1.0, 0, 0, 0]).double(), 1e-8)
    assert gaussian_window(at, torch.zeros(1).double(), width)[1] > 0.099


def test_cropping_the_continuous_window_loses_nothing():
    width, centre = torch.tensor([0.31, 0.2]).double(), torch.tensor([0.1, -0.2]).double()
    values = continuous_window(make_grid((33, 21), dtype=torch.float64), centre, width, 0.1)
    reach = window_extent(centre, width, 0.1).tolist()
    (a, b), (c, d) = (crop_bounds(k, r) for k, r in zip((33, 21), reach, strict=True))
    assert values[a:b, c:d].sum().item() == pytest.approx(values.sum().item(), rel=1e-14)
    assert (b - a, d - c) != (33, 21)
