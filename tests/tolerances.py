"""One table of tolerances, and the one way in which tests compare tensors."""

import torch
from torch import Tensor

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}
"""Largest error allowed, relative to the largest entry of what is expected."""


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
