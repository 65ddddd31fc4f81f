"""The grid is the one that was promised."""

import math

import pytest

from benchmarks.problems import (
    KERNELS,
    LENGTHS,
    SUBSETS,
    claims,
    growth_series,
    kernel_sizes,
    left_out,
    make_point,
    subset,
    too_large,
    whole_grid,
)


def test_every_length_kernel_kind_batch_and_pass_is_in_the_grid():
    found = {
        (point.kind, p.batch, p.signal, p.kernel, point.backward) for point in whole_grid() for p in [point.problem]
    }
    wanted = {
        (kind, batch, (n,) * dims, (k,) * dims, backward)
        for dims, lengths in LENGTHS.items()
        for n in lengths
        for k in kernel_sizes(dims, n)
        for kind in ("dense", "depthwise")
        for batch in (1, 64)
        for backward in (False, True)
    }
    assert found == wanted
    assert (min(LENGTHS[1]), max(LENGTHS[1])) == (128, 262144)
    assert (min(LENGTHS[2]), max(LENGTHS[2]), min(KERNELS[2]), max(KERNELS[2])) == (16, 256, 3, 65)
    assert (min(LENGTHS[3]), max(LENGTHS[3])) == (16, 48)


def test_kernels_reach_the_length_of_a_sequence_and_twice_the_side_of_an_image():
    assert all(kernel_sizes(1, n)[-1] == n and kernel_sizes(1, n)[0] == 3 for n in LENGTHS[1])
    assert kernel_sizes(2, 16)[-1] == 33
    assert kernel_sizes(2, 32)[-1] == 65


def test_points_keep_the_length_and_their_names_differ():
    points = list(whole_grid())
    assert len({point.name for point in points}) == len(points)
    assert all(point.problem.output_size == point.problem.signal for point in points)
    assert make_point("dense", 1, (8,), 4, backward=False, causal=True).problem.padding == ((3, 0),)


def test_what_is_left_out_is_too_large_and_named():
    names = left_out()
    assert names
    assert set(names) == {point.name for point in whole_grid()} - {point.name for point in subset("full")}
    for point in subset("full"):
        p = point.problem
        assert p.batch * p.in_channels * math.prod(p.signal) <= 2**24
    assert not any(too_large(point) for point in subset("growth"))


def test_subsets():
    assert len(subset("quick")) == 12
    assert all(len(set(subset(name))) == len(subset(name)) for name in SUBSETS)
    with pytest.raises(ValueError, match="`subset` must be one of quick, full, claims, growth, got 'fast'"):
        subset("fast")


def test_claims_are_those_of_the_table():
    names = {claim.point.name: (claim.against, claim.least) for claim in claims() if claim.against != "nvsubquadratic"}
    assert names == {
        "dense 1x30x160000 k1301 causal forward": ("authors", 35),
        "depthwise 8x64x32x32 k33x33 forward+backward": ("torch", 30),
    }
    peers = [claim for claim in claims() if claim.against == "nvsubquadratic"]
    assert len(peers) == 12
    assert {claim.least for claim in peers} == {1.3}


def test_growth_has_one_size_that_varies():
    for title, points in growth_series().items():
        assert len({point.problem.kernel for point in points}) == (1 if title.endswith("length") else len(points))
        assert len({point.problem.signal for point in points}) == (len(points) if title.endswith("length") else 1)
