"""Values of the window, and the samples that a crop keeps."""

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
    dims = len(lengths)
    positions = oracles.grid(lengths)
    centre = torch.tensor([0.1, -0.2, 0.0][:dims]).double()
    width = torch.tensor([0.3, 0.5, 0.7][:dims]).double()
    assert_matches(gaussian_window(positions, centre, width), oracles.gaussian(positions, centre, width))


@pytest.mark.parametrize("window", [gaussian_window, lambda x, c, w: continuous_window(x, c, w, 0.1)])
def test_one_row_per_channel_is_one_window_per_channel(window):
    positions = oracles.grid((7, 6))
    centre = torch.randn(3, 2).double() / 4
    width = torch.rand(3, 2).double() + 0.2
    separate = [window(positions, c, w) for c, w in zip(centre, width, strict=True)]
    assert_matches(window(positions, centre, width), torch.stack(separate))


def test_gradients():
    arguments = (oracles.grid((4, 3)), torch.rand(2).double(), torch.rand(2).double() + 0.3)
    for argument in arguments:
        argument.requires_grad_()
    assert torch.autograd.gradcheck(gaussian_window, arguments)
    assert torch.autograd.gradcheck(lambda *a: continuous_window(*a, 0.1), arguments)


@pytest.mark.parametrize("dims", [1, 2])
def test_values_of_the_authors_code(dims):
    golden = load_golden("gaussian_mask.npz")
    centres, widths, windows = (golden[f"mask{dims}d_{name}"] for name in ("mean", "sigma", "values"))
    positions = golden[f"mask{dims}d_positions"].reshape(dims, *windows.shape[1:])
    for centre, width, window in zip(centres, widths, windows, strict=True):
        assert_matches(gaussian_window(positions, centre.reshape(dims), width.reshape(dims)), window)


def test_radius_is_where_the_window_meets_the_threshold():
    width = torch.tensor([0.075, 0.4], dtype=torch.float64)
    radius = support_radius(width, 0.1)
    centre = torch.zeros(1).double()
    for w, r in zip(width, radius, strict=True):
        height = gaussian_window(r.reshape(1, 1), centre, w.reshape(1))
        assert_matches(height, torch.full((1,), 0.1, dtype=torch.float64))
    assert radius_per_width(0.1) == pytest.approx(2.1459660262893474, rel=1e-14)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, 2.0, math.nan])
def test_threshold_must_lie_between_0_and_1(threshold):
    with pytest.raises(ValueError, match=r"`threshold` must lie between 0 and 1, got"):
        radius_per_width(threshold)


def authors_extents(dims):
    """Return the extents, (means, widths), at the means and widths of the authors' table; causal for one axis."""
    golden = load_golden("gaussian_mask.npz")
    widths, threshold = golden["crop_sigma"], golden["crop_threshold"].item()
    extents = []
    for mean in golden[f"crop{dims}d_mean"]:
        centre = mean.expand_as(widths)
        extents.append(window_extent(centre, widths, threshold, causal=dims == 1))
    return torch.stack(extents)


def authors_crops(dims):
    """Yield extent, length of the axis and the number of samples that the authors' code keeps."""
    golden = load_golden("gaussian_mask.npz")
    lengths = golden["crop_grid_length"].tolist()
    extents = authors_extents(dims).flatten().tolist()
    counts = golden[f"crop{dims}d_length"].flatten(0, 1).tolist()
    for extent, row in zip(extents, counts, strict=True):
        for length, count in zip(lengths, row, strict=True):
            yield extent, length, count


def test_extents_of_the_authors_code():
    golden = load_golden("gaussian_mask.npz")
    assert_matches(authors_extents(2), golden["crop2d_radius"])
    assert_matches(1 - authors_extents(1), golden["crop1d_root"])


def test_centred_crops_of_the_authors_code():
    crops = list(authors_crops(2))
    assert len(crops) == 5 * 17 * 98
    for extent, length, count in crops:
        start, stop = crop_bounds(length, extent)
        assert start == length - stop
        # Theirs may be empty (an even axis has no sample at 0); ours never is.
        least = 1 if length % 2 else 2
        assert stop - start == max(count, least), (length, extent)


def test_causal_crops_of_the_authors_code():
    # Extents up to 0 are the subject of the next test.
    crops = [crop for crop in authors_crops(1) if crop[0] > 0]
    assert len(crops) > 5 * 17 * 98
    for extent, length, count in crops:
        start, stop = crop_bounds(length, extent, causal=True)
        assert (stop, stop - start) == (length, count), (length, extent)


def test_causal_window_beyond_the_most_recent_sample_keeps_that_sample():
    # The authors' rule "all if abs(root) >= 1" turns cropping off once the window has left the grid.
    crops = [crop for crop in authors_crops(1) if crop[0] <= 0]
    assert crops
    for extent, length, count in crops:
        assert count == length
        assert crop_bounds(length, extent, causal=True) == (length - 1, length)


@pytest.mark.parametrize(("length", "size"), [(33, 5), (97, 15), (785, 127)])
def test_known_sizes_of_the_paper_s_initial_width(length, size):
    start, stop = crop_bounds(length, 0.075 * radius_per_width(0.1))
    assert stop - start == size


@given(st.integers(1, 130), st.floats(-0.5, 2.5), st.booleans())
def test_bounds_agree_with_a_test_of_every_sample(length, extent, causal):
    kept = oracles.kept_samples(length, extent, causal=causal)
    start, stop = crop_bounds(length, extent, causal=causal)
    assert 0 <= start < stop <= length
    positions = oracles.grid((length,), causal=causal)[0]
    distances = 1 - positions if causal else positions.abs()
    is_on_border = (distances - extent).abs() < 1e-12  # rounding decides about these samples
    if not is_on_border.any():
        assert (start, stop) == (kept[0], kept[-1] + 1)


@given(st.integers(1, 200), st.floats(0, 3), st.floats(0, 3), st.booleans())
def test_a_wider_window_never_keeps_less(length, extent, other, causal):
    narrow, wide = sorted((extent, other))
    start, stop = crop_bounds(length, narrow, causal=causal)
    wide_start, wide_stop = crop_bounds(length, wide, causal=causal)
    assert wide_start <= start
    assert stop <= wide_stop


@pytest.mark.parametrize(("length", "extent", "causal"), [(33, 0.161, False), (33, 5.0, False), (9, 0.3, True)])
def test_bounds_are_python_integers(length, extent, causal):
    bounds = crop_bounds(length, extent, causal=causal)
    assert [type(bound) for bound in bounds] == [int, int]


def test_nan_is_rejected():
    # The authors' code silently stops cropping.
    with pytest.raises(ValueError, match="must be a number, got NaN"):
        crop_bounds(33, math.nan)


def test_infinite_extent_keeps_everything():
    assert crop_bounds(33, math.inf) == (0, 33)


def test_continuous_window_has_no_step_at_the_border():
    centre = torch.zeros(1, dtype=torch.float64)
    width = torch.tensor([0.3], dtype=torch.float64)
    border = support_radius(width, 0.1)
    positions = torch.stack([centre, border * (1 - 1e-9), border, border * 1.5], dim=1)
    values = continuous_window(positions, centre, width, 0.1)
    assert_matches(values, torch.tensor([1.0, 0, 0, 0]).double(), 1e-8)
    assert gaussian_window(positions, centre, width)[1] > 0.099


def test_cropping_the_continuous_window_loses_nothing():
    centre = torch.tensor([0.1, -0.2]).double()
    width = torch.tensor([0.31, 0.2]).double()
    values = continuous_window(make_grid((33, 21), dtype=torch.float64), centre, width, 0.1)
    extent = window_extent(centre, width, 0.1).tolist()
    rows = slice(*crop_bounds(33, extent[0]))
    columns = slice(*crop_bounds(21, extent[1]))
    cropped = values[rows, columns]
    assert cropped.sum().item() == pytest.approx(values.sum().item(), rel=1e-14)
    assert cropped.shape != (33, 21)
