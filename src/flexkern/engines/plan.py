"""What a convolution has to do, and the frozen decision how: made from integers, testable without tensors."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from .spectral import fast_length

Padding = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class ConvProblem:
    """The sizes of one convolution; padding is per axis (before, after), negative values cut samples off.

    Example:
        >>> ConvProblem(8, 16, 32, (28, 28), (5, 5), padding=((2, 2), (2, 2))).output_size
        (28, 28)
    """

    batch: int
    in_channels: int
    out_channels: int
    signal: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...] = ()
    padding: Padding = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1

    def __post_init__(self) -> None:
        axes = len(self.signal)
        defaults = {"stride": (1,) * axes, "dilation": (1,) * axes, "padding": ((0, 0),) * axes}
        for name, value in defaults.items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)

    @property
    def extent(self) -> tuple[int, ...]:
        """Samples that the dilated kernel spans per axis."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def output_size(self) -> tuple[int, ...]:
        """Output samples per axis; not positive where the kernel does not fit."""
        axes = zip(self.signal, self.padding, self.extent, self.stride, strict=True)
        return tuple((n + left + right - k) // s + 1 for n, (left, right), k, s in axes)

    @property
    def multiplications(self) -> int:
        """Real multiplications of the plain algorithm."""
        per_output = self.in_channels // self.groups * math.prod(self.kernel)
        return self.batch * self.out_channels * math.prod(self.output_size) * per_output

    @property
    def transform(self) -> tuple[int, ...]:
        """Transform lengths that keep wrapped-around samples out of the output.

        Output ``t`` of an axis reads the signal from ``s t - left`` on, over the extent of the kernel. What lies
        outside the signal must meet zeros: below zero it wraps to the end of the period, beyond the last sample
        it must not reach the next period.
        """
        lengths = []
        axes = zip(self.signal, self.padding, self.extent, self.stride, self.output_size, strict=True)
        for n, (left, _), extent, stride, out in axes:
            before = max(left, 0)
            kept = n + min(left, 0)  # negative padding cuts the front off
            last = (out - 1) * stride - before + extent
            reached = (out - 1) * stride + 1  # the last output itself may lie beyond the signal
            lengths.append(fast_length(max(kept + before, last, extent, reached)))
        return tuple(lengths)


@dataclass(frozen=True)
class Plan:
    """How one convolution is computed.

    Example:
        >>> Plan("direct", ConvProblem(1, 1, 1, (8,), (3,))).explain().splitlines()[0]
        'direct: 1 -> 1 channels, signal 8, kernel 3, groups 1, batch 1.'
    """

    engine: str
    problem: ConvProblem
    transform: tuple[int, ...] = ()
    estimates: dict[str, float] = field(default_factory=dict, compare=False)

    def explain(self) -> str:
        """The decision and its reason in words."""
        p = self.problem
        text = (
            f"{self.engine}: {p.in_channels} -> {p.out_channels} channels, signal {_by(p.signal)}, "
            f"kernel {_by(p.kernel)}, groups {p.groups}, batch {p.batch}."
        )
        if self.transform:
            text += f"\nTransforms of {_by(self.transform)} samples."
        if self.estimates:
            ranked = sorted(self.estimates.items(), key=lambda item: item[1])
            text += "\nEstimated cost: " + ", ".join(f"{name} {cost * 1e3:.3g} ms" for name, cost in ranked) + "."
        return text


def _by(sizes: Sequence[int]) -> str:
    return "x".join(str(size) for size in sizes)
