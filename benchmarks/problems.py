"""The convolutions that are measured: a grid, and named subsets."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from flexkern.engines import ConvProblem

LARGEST_INPUT = 2**24
LARGEST_WEIGHT = 2**26
"""Largest number of values: larger tensors exceed the memory of a small machine."""

KERNELS = {1: (3, 9, 31, 101, 301, 1301, 8192, 65536), 2: (3, 5, 7, 11, 17, 33, 65), 3: (3, 5, 9, 17)}
LENGTHS = {1: (128, 1024, 8192, 65536, 262144), 2: (16, 32, 64, 128, 256), 3: (16, 32, 48)}
CHANNELS = {"dense": 24, "depthwise": 64}


@dataclass(frozen=True)
class Point:
    """One convolution, and whether its gradients are computed as well.

    Example:
        >>> make_point("dense", 1, (128,), 9, backward=False).name
        'dense 1x24x128 k9 forward'
    """

    problem: ConvProblem
    backward: bool

    @property
    def kind(self) -> str:
        """ "dense" or "depthwise"."""
        return "depthwise" if self.problem.depthwise else "dense"

    @property
    def passes(self) -> int:
        """Number of convolutions computed: one, or three with both gradients."""
        return 3 if self.backward else 1

    @property
    def name(self) -> str:
        """The unique name of the point."""
        p = self.problem
        shape = "x".join(map(str, (p.batch, p.in_channels, *p.signal)))
        causal = " causal" if all(right == 0 < left for left, right in p.padding) else ""
        return f"{self.kind} {shape} k{'x'.join(map(str, p.kernel))}{causal} {'forward' + '+backward' * self.backward}"


@dataclass(frozen=True)
class Claim:
    """An aim: at ``point`` the chosen engine is ``least`` times as fast as contestant ``against``."""

    point: Point
    against: str
    least: float


def make_point(
    kind: str,
    batch: int,
    signal: tuple[int, ...],
    kernel: int,
    *,
    backward: bool,
    channels: int | None = None,
    causal: bool = False,
) -> Point:
    """Return a convolution that keeps the length of its signal; an even kernel has one more sample on the right."""
    width = channels or CHANNELS[kind]
    before = kernel - 1 if causal else (kernel - 1) // 2
    problem = ConvProblem(
        batch=batch,
        in_channels=width,
        out_channels=width,
        signal=signal,
        kernel=(kernel,) * len(signal),
        padding=((before, kernel - 1 - before),) * len(signal),
        groups=width if kind == "depthwise" else 1,
    )
    return Point(problem, backward)


def kernel_sizes(dims: int, length: int) -> tuple[int, ...]:
    """Return the kernel sizes for a signal of ``length`` samples per axis.

    Example:
        >>> kernel_sizes(1, 128), kernel_sizes(2, 16)
        ((3, 9, 31, 101, 128), (3, 5, 7, 11, 17, 33))
    """
    if dims == 1:
        return (*(k for k in KERNELS[1] if k < length), length)
    return tuple(k for k in KERNELS[dims] if k <= 2 * length + 1)


def whole_grid() -> Iterator[Point]:
    """Yield every point, also those too large to run."""
    for dims, lengths in LENGTHS.items():
        for length, kind, batch in itertools.product(lengths, CHANNELS, (1, 64)):
            for kernel, backward in itertools.product(kernel_sizes(dims, length), (False, True)):
                yield make_point(kind, batch, (length,) * dims, kernel, backward=backward)


def too_large(point: Point) -> bool:
    """Return whether input or weight have more values than a small machine can process."""
    p = point.problem
    inputs = p.batch * p.in_channels * math.prod(p.signal)
    weights = p.out_channels * p.in_channels // p.groups * math.prod(p.kernel)
    return inputs > LARGEST_INPUT or weights > LARGEST_WEIGHT


def left_out() -> list[str]:
    """Return the names of points of the grid that are not run."""
    return [point.name for point in whole_grid() if too_large(point)]


def growth_series() -> dict[str, list[Point]]:
    """Return by name the series of kernel sizes at a fixed signal, and of lengths at a fixed kernel."""

    def points(signals: list[tuple[int, ...]], kernels: tuple[int, ...]) -> list[Point]:
        return [make_point("dense", 1, s, k, backward=True) for s, k in itertools.product(signals, kernels)]

    return {
        "1-D, 8192 samples: kernel size": points([(8192,)], kernel_sizes(1, 8192)),
        "2-D, 64 x 64 pixels: kernel size": points([(64, 64)], KERNELS[2]),
        "3-D, 32 x 32 x 32 voxels: kernel size": points([(32, 32, 32)], KERNELS[3]),
        "1-D, kernel 101: length": points([(4**n,) for n in range(5, 10)], (101,)),
    }


def claims() -> list[Claim]:
    """Return the aims for single convolutions."""
    long = make_point("dense", 1, (160_000,), 1301, backward=False, channels=30, causal=True)
    wide = make_point("depthwise", 8, (32, 32), 33, backward=True)
    sizes = itertools.product((32, 56, 224), (7, 13, 21, 33))
    peers = [make_point("depthwise", 8, (n, n), k, backward=True) for n, k in sizes]
    return [
        Claim(long, "authors", 35),
        Claim(wide, "torch", 30),
        *(Claim(point, "nvsubquadratic", 1.3) for point in peers),
    ]


def _other_claims() -> list[Point]:
    """Return the sequences that the prototype was measured on."""
    return [
        make_point("dense", 64, (784,), 784, backward=False, channels=30, causal=True),
        make_point("dense", 8, (16_000,), 1301, backward=False, channels=30, causal=True),
    ]


def _quick() -> list[Point]:
    shapes = [
        ("dense", 1, (1024,), 31),
        ("dense", 64, (128,), 128),
        ("depthwise", 1, (8192,), 301),
        ("dense", 1, (32, 32), 9),
        ("depthwise", 8, (32, 32), 17),
        ("dense", 1, (16, 16, 16), 5),
    ]
    return [make_point(*shape, backward=backward) for shape in shapes for backward in (False, True)]


SUBSETS = ("quick", "full", "claims", "growth")


def subset(name: str) -> list[Point]:
    """Return the points of "quick", "full", "claims" or "growth", each once."""
    if name == "quick":
        points = _quick()
    elif name == "full":
        points = [point for point in whole_grid() if not too_large(point)]
    elif name == "claims":
        points = [claim.point for claim in claims()] + _other_claims()
    elif name == "growth":
        points = [point for series in growth_series().values() for point in series]
    else:
        raise ValueError(f"`subset` must be one of {', '.join(SUBSETS)}, got {name!r}.")
    return list(dict.fromkeys(points))
