"""One table of tolerances, and the one way in which tests compare tensors."""

import math

import torch
from torch import Tensor

SUM_FACTOR = 1.0
"""The factor c of :func:`float32_bound`."""


def float32_bound(terms: float) -> float:
    """Return the largest relative error allowed for a float32 sum of ``terms`` products: c * eps * sqrt(terms).

    Take n products of random sign and mean square 1. Their partial sum of k terms has the size sqrt(k). Rounding it
    adds an error of at most eps / 2 of that size, with a root mean square of sqrt(k) * eps / sqrt(12). The errors have
    random signs, so their squares add up: over k = 1 ... n to n^2 / 2 * eps^2 / 12. The result has the size sqrt(n),
    so its relative error has a standard deviation of sqrt(n) * eps / sqrt(24) = 0.2 * eps * sqrt(n).

    This is the error of n additions one after the other. Any other order (vectors, blocks, pairs) has a smaller one, so
    the bound holds for every processor and library. c = 1 allows five standard deviations, which one entry in a million
    exceeds. Where a result passes through several sums in turn, the squares of their errors add up: count all terms.
    """
    return SUM_FACTOR * torch.finfo(torch.float32).eps * math.sqrt(terms)


TOLERANCE = {torch.float64: 1e-12, torch.float32: float32_bound(2**13), torch.float16: 4e-3, torch.bfloat16: 3e-2}
"""Largest error allowed, relative to the largest entry of what is expected; in float32 that of 8192 terms."""


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """Largest error over the largest entry; in float64, whatever the tensors are."""
    if expected.numel() == 0:
        return 0.0
    scale = expected.double().abs().max().item() or 1.0
    return (actual.double() - expected.double()).abs().max().item() / scale


def assert_matches(actual: Tensor, expected: Tensor, tolerance: float | None = None, name: str = "") -> None:
    """Same shape, and within the tolerance of the coarser dtype (or the one given). NaN never matches."""
    assert actual.shape == expected.shape, f"{name} {tuple(actual.shape)} != {tuple(expected.shape)}"
    allowed = tolerance or max(TOLERANCE[actual.dtype], TOLERANCE[expected.dtype])
    error = relative_error(actual.detach(), expected.detach())
    assert error <= allowed, f"{name} relative error {error:.3g} > {allowed:.3g}"


def assert_all_match(actual: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float | None = None) -> None:
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert_matches(actual[name], value, tolerance, name)
