"""What a convolution has to do, and the frozen decision how: made from integers, testable without tensors."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

Padding = tuple[tuple[int, int], ...]
PASSES = ("forward", "input_gradient", "weight_gradient")


class Geometry(NamedTuple):
    """Where the three tensors of a convolution lie on one circular axis each: ``y(u) = sum of w(l) x(u + l)``."""

    signal: tuple[range, ...]
    kernel: tuple[range, ...]
    output: tuple[range, ...]


@dataclass(frozen=True)
class ConvProblem:
    """The sizes of one convolution; padding is per axis (before, after), negative values cut samples off.

    ``features`` is the number of features of a factored weight, 0 for a dense one; ``channels_last`` says how the
    input lies in memory.

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
    features: int = 0
    channels_last: bool = False

    def __post_init__(self) -> None:
        axes = len(self.signal)
        defaults = {"stride": (1,) * axes, "dilation": (1,) * axes, "padding": ((0, 0),) * axes}
        for name, value in defaults.items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)
            given = getattr(self, name)
            if len(given) != axes:
                raise ValueError(f"`{name}` must have {axes} values, one per axis, got {given}.")
            if name == "padding" and any(
                left <= -n or right < -n for (left, right), n in zip(given, self.signal, strict=True)
            ):
                raise ValueError(f"`padding` must leave something of the signal, got {given} for {self.signal}.")
            if name != "padding" and min(given) < 1:
                raise ValueError(f"`{name}` must be positive, got {given}.")
        if self.groups < 1 or self.in_channels % self.groups or self.out_channels % self.groups:
            channels = f"{self.in_channels} -> {self.out_channels}"
            raise ValueError(f"`groups` must be positive and divide the channels {channels}, got {self.groups}.")
        if len(self.kernel) != axes or min(self.kernel) < 1:
            raise ValueError(f"`kernel` must have {axes} positive sizes, one per axis, got {self.kernel}.")

    @functools.cached_property
    def depthwise(self) -> bool:
        """Whether every channel is convolved by itself."""
        return self.in_channels == self.out_channels == self.groups

    def of_channels(self, count: int) -> "ConvProblem":
        """A depthwise convolution of so many of its channels."""
        return dataclasses.replace(self, in_channels=count, out_channels=count, groups=count)

    @functools.cached_property
    def extent(self) -> tuple[int, ...]:
        """Samples that the dilated kernel spans per axis."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @functools.cached_property
    def output_size(self) -> tuple[int, ...]:
        """Output samples per axis; not positive where the kernel does not fit."""
        axes = zip(self.signal, self.padding, self.extent, self.stride, strict=True)
        return tuple((n + left + right - k) // s + 1 for n, (left, right), k, s in axes)

    @property
    def multiplications(self) -> int:
        """Real multiplications of the plain algorithm."""
        per_output = self.in_channels // self.groups * math.prod(self.kernel)
        return self.batch * self.out_channels * math.prod(self.output_size) * per_output

    @functools.cached_property
    def used(self) -> tuple[slice, ...]:
        """The part of the signal that any output reads; one sample where that is none."""
        axes = zip(self.signal, self.padding, self.extent, self.stride, self.output_size, strict=True)
        parts = []
        for n, (left, _), extent, stride, out in axes:
            start = max(-left, 0)
            parts.append(slice(start, min(n, max((out - 1) * stride + extent - left, start + 1))))
        return tuple(parts)

    @functools.cached_property
    def geometry(self) -> Geometry:
        """Positions of the used samples, of the taps and of the outputs."""
        signal = tuple(range(part.stop - part.start) for part in self.used)
        before = [max(left, 0) for left, _ in self.padding]
        taps = zip(self.kernel, self.dilation, before, strict=True)
        kernel = tuple(range(-b, d * k - b, d) for k, d, b in taps)
        output = tuple(range(0, s * t, s) for s, t in zip(self.stride, self.output_size, strict=True))
        return Geometry(signal, kernel, output)

    @functools.cached_property
    def minimum_lengths(self) -> tuple[int, ...]:
        """Shortest circular axes on which nothing that wraps around reaches an output.

        Output ``u`` reads the signal at ``u + l`` over all lags ``l``. What lies outside the signal must meet zeros:
        below zero it wraps to the end of the period, beyond the last sample it must not reach the next period.
        """
        lengths = []
        for signal, kernel, output in zip(*self.geometry, strict=True):
            last, extent = output[-1], kernel[-1] - kernel[0] + 1
            lengths.append(max(len(signal) - kernel[0], last + kernel[0] + extent, extent, last + 1))
        return tuple(lengths)


@dataclass(frozen=True)
class PassPlan:
    """How one of the three passes is computed.

    Attributes:
        engine: "direct", "fft", "dft" or "overlap_save".
        lengths: transform length per axis; empty for direct.
        fold: the second factor of a folded matrix transform, 1 if there is none.
        block: outputs per block and axis; empty when the signal stays whole.
        matrices: whether the transforms are matrix products.
        chunk: signals of the batch that are computed together, so that what is made of them stays in fast memory;
            0: all.
        rows: blocks along the first axis that are transformed together; 0: all.
        channels: channels of a depthwise convolution that are computed together, one lot after another; 0: all.
        channels_last: whether direct convolution runs in that memory layout.
        seconds: what it is expected to take.
    """

    engine: str
    lengths: tuple[int, ...] = ()
    fold: int = 1
    block: tuple[int, ...] = ()
    matrices: bool = False
    chunk: int = 0
    rows: int = 0
    channels: int = 0
    channels_last: bool = False
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class Plan:
    """How one convolution and its two gradients are computed; ``estimates`` has seconds per pass and engine.

    ``by_torch`` tells whether torch's own convolution does all three passes, in the layout given.
    """

    problem: ConvProblem
    forward: PassPlan
    input_gradient: PassPlan
    weight_gradient: PassPlan
    estimates: dict[str, dict[str, float]] = field(default_factory=dict, compare=False)
    by_torch: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        layout = self.problem.channels_last
        alone = all(step == PassPlan("direct", channels_last=layout) for step in self.passes)
        object.__setattr__(self, "by_torch", alone)  # a field: compilers know these, not properties

    @property
    def engine(self) -> str:
        """The engine of the forward pass."""
        return self.forward.engine

    @property
    def passes(self) -> tuple[PassPlan, PassPlan, PassPlan]:
        """Forward, input gradient, weight gradient."""
        return self.forward, self.input_gradient, self.weight_gradient

    def plain(self) -> "Plan":
        """The same for all signals and channels at a time, in whatever layout: transforms and compilers see through."""
        steps = dict(zip(PASSES, self.passes, strict=True))
        whole = {
            name: dataclasses.replace(step, chunk=0, rows=0, channels=0, channels_last=self.problem.channels_last)
            for name, step in steps.items()
        }
        return Plan(self.problem, **whole, estimates=self.estimates)

    def explain(self) -> str:
        """The decision and its reason in words.

        Example:
            >>> from flexkern.engines import plan_conv
            >>> plan_conv(ConvProblem(1, 1, 1, (8,), (3,)), "direct").explain().splitlines()[0]
            '1 -> 1 channels, signal 8, kernel 3, groups 1, batch 1.'
        """
        return explain(self)


TITLES = dict(zip(PASSES, ("forward", "input gradient", "weight gradient"), strict=True))


def explain(plan: Plan) -> str:
    """The problem, then per pass what is done, why, and what the other engines were expected to take."""
    p = plan.problem
    lines = [
        f"{p.in_channels} -> {p.out_channels} channels, signal {by(p.signal)}, kernel {by(p.kernel)}, "
        f"groups {p.groups}, batch {p.batch}."
    ]
    for name, step in zip(PASSES, plan.passes, strict=True):
        lines.append(f"{TITLES[name]}: {describe(step)}.")
        estimates = plan.estimates.get(name, {})
        if len(estimates) > 1:
            ranked = sorted(estimates.items(), key=lambda item: item[1])
            lines.append("  expected: " + ", ".join(f"{engine} {milliseconds(cost)}" for engine, cost in ranked) + ".")
    return "\n".join([*lines, *_reasons(plan)])


def _reasons(plan: Plan) -> list[str]:
    """Why passes go as they do."""
    if all(len(estimates) <= 1 for estimates in plan.estimates.values()):
        return ["The engine was given, so nothing else was considered."]
    if plan.by_torch and any(min(costs, key=lambda name: costs[name]) != "direct" for costs in plan.estimates.values()):
        return ["All passes are torch's own: leaving one of them to another engine would not save its extra call."]
    if plan.input_gradient == plan.weight_gradient and plan.input_gradient.engine != "direct":
        return ["Both gradients follow one plan and share the transform of the output's gradient."]
    return ["Each pass takes the engine of the lowest estimate."]


def describe(step: PassPlan) -> str:
    """One pass in a line."""
    if step.engine == "direct":
        layout = ", computed channels last" if step.channels_last else ""
        return f"direct{layout}" + (f", {step.chunk} signals at a time" if step.chunk else "")
    how = "matrix products" if step.matrices else "FFT library"
    text = f"{step.engine}, transforms of {by(step.lengths)} samples by {how}"
    if step.fold > 1:
        text += f" in two stages ({step.lengths[0] // step.fold} x {step.fold})"
    if step.block:
        text += f", blocks of {by(step.block)} outputs"
    if step.channels:
        text += f", {step.channels} channels at a time"
    if step.chunk:
        text += f", {step.chunk} signals at a time"
    if step.rows:
        text += f", {step.rows} blocks of the first axis at a time"
    return text


def milliseconds(seconds: float) -> str:
    """Three digits, in milliseconds."""
    return f"{seconds * 1e3:.3g} ms"


def by(sizes: Sequence[int]) -> str:
    """32x32."""
    return "x".join(str(size) for size in sizes)
