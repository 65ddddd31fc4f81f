"""The sizes of a convolution and the plan of how to compute it.

Both consist of integers, so plans can be made and tested without tensors.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .._support.axes import output_size

Padding = tuple[tuple[int, int], ...]
"""Samples (before, after) per axis."""
PASSES = ("forward", "input_gradient", "weight_gradient")


class Geometry(NamedTuple):
    """Positions of the three tensors of a convolution on one circular axis each.

    With them, the output is ``y(u) = sum of w(l) x(u + l)`` over the positions ``l`` of the kernel.
    """

    signal: tuple[range, ...]
    kernel: tuple[range, ...]
    output: tuple[range, ...]


def dilated_extent(kernel: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    """Return the samples that a dilated kernel spans per axis.

    Example:
        >>> dilated_extent((3,), (4,))
        (9,)
    """
    extents = []
    for taps, distance in zip(kernel, dilation, strict=True):
        extents.append(distance * (taps - 1) + 1)
    return tuple(extents)


@dataclass(frozen=True)
class ConvProblem:
    """The sizes of one convolution.

    ``padding`` is (before, after) per axis; negative values cut samples off. ``features`` is the number of features
    of a factored weight, 0 for a dense one. ``channels_last`` is the memory layout of the input.

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
        ones = (1,) * axes
        no_padding = ((0, 0),) * axes
        if not self.stride:
            object.__setattr__(self, "stride", ones)
        if not self.dilation:
            object.__setattr__(self, "dilation", ones)
        if not self.padding:
            object.__setattr__(self, "padding", no_padding)
        for name in ("stride", "dilation", "padding"):
            values = getattr(self, name)
            if len(values) != axes:
                raise ValueError(f"`{name}` must have {axes} values, one per axis, got {values}.")
            if name != "padding" and min(values) < 1:
                raise ValueError(f"`{name}` must be positive, got {values}.")
        for (before, after), samples in zip(self.padding, self.signal, strict=True):
            if before <= -samples or after < -samples:
                raise ValueError(f"`padding` must leave something of the signal, got {self.padding} for {self.signal}.")
        groups = self.groups
        if groups < 1 or self.in_channels % groups or self.out_channels % groups:
            channels = f"{self.in_channels} -> {self.out_channels}"
            raise ValueError(f"`groups` must be positive and divide the channels {channels}, got {groups}.")
        if len(self.kernel) != axes or min(self.kernel) < 1:
            raise ValueError(f"`kernel` must have {axes} positive sizes, one per axis, got {self.kernel}.")

    @functools.cached_property
    def depthwise(self) -> bool:
        """Whether every channel is convolved with a kernel of its own."""
        return self.in_channels == self.out_channels == self.groups

    def of_channels(self, count: int) -> "ConvProblem":
        """Return the depthwise convolution of ``count`` of the channels."""
        return dataclasses.replace(
            self,
            in_channels=count,
            out_channels=count,
            groups=count,
        )

    @functools.cached_property
    def extent(self) -> tuple[int, ...]:
        """Samples that the dilated kernel spans per axis."""
        return dilated_extent(self.kernel, self.dilation)

    @functools.cached_property
    def output_size(self) -> tuple[int, ...]:
        """Output samples per axis; not positive where the kernel does not fit."""
        return output_size(self.signal, self.padding, self.extent, self.stride)

    @property
    def multiplications(self) -> int:
        """Real multiplications of the direct algorithm."""
        channels_read = self.in_channels // self.groups
        per_output = channels_read * math.prod(self.kernel)
        outputs = self.batch * self.out_channels * math.prod(self.output_size)
        return outputs * per_output

    @functools.cached_property
    def used(self) -> tuple[slice, ...]:
        """The samples of the signal that any output reads; one sample where no output reads any."""
        ranges = []
        for axis, samples in enumerate(self.signal):
            before, _ = self.padding[axis]
            start = max(-before, 0)
            last_output = (self.output_size[axis] - 1) * self.stride[axis]
            stop = last_output + self.extent[axis] - before
            stop = max(stop, start + 1)
            ranges.append(slice(start, min(stop, samples)))
        return tuple(ranges)

    @functools.cached_property
    def geometry(self) -> Geometry:
        """Positions of the used samples, of the taps and of the outputs."""
        signal, kernel, output = [], [], []
        for axis, used in enumerate(self.used):
            before, _ = self.padding[axis]
            dilation = self.dilation[axis]
            first_tap = -max(before, 0)
            stop_tap = first_tap + dilation * self.kernel[axis]
            stride = self.stride[axis]
            stop_output = stride * self.output_size[axis]
            signal.append(range(used.stop - used.start))
            kernel.append(range(first_tap, stop_tap, dilation))
            output.append(range(0, stop_output, stride))
        return Geometry(tuple(signal), tuple(kernel), tuple(output))

    @functools.cached_property
    def minimum_lengths(self) -> tuple[int, ...]:
        """Shortest circular axes on which no sample that wraps around reaches an output.

        Output ``u`` reads the signal at ``u + l`` for all lags ``l``. Positions outside the signal must meet zeros:
        those below zero wrap to the end of the period, and those beyond the last sample must not reach the next period.
        """
        lengths = []
        for signal, kernel, output in zip(*self.geometry, strict=True):
            first_tap = kernel[0]
            last_output = output[-1]
            extent = kernel[-1] - first_tap + 1
            length = max(
                len(signal) - first_tap,
                last_output + first_tap + extent,
                extent,
                last_output + 1,
            )
            lengths.append(length)
        return tuple(lengths)


@dataclass(frozen=True)
class PassPlan:
    """How one of the three passes is computed.

    Attributes:
        engine: "direct", "fft", "dft" or "overlap_save".
        lengths: transform length per axis; empty for the direct engine.
        fold: second factor of a transform by matrices in two stages; 1 for one stage.
        tile: outputs per tile and axis; empty if the signal is not cut into tiles.
        matrices: whether the transforms are matrix products.
        batch_chunk: signals of the batch that are computed together, so that intermediate tensors stay in fast memory;
            0 for all.
        tile_rows: rows of tiles, along the first axis, that are transformed together; 0 for all.
        channel_chunk: channels of a depthwise convolution that are computed together; 0 for all.
        channels_last: whether direct convolution runs in that memory layout.
        seconds: estimated time.
    """

    engine: str
    lengths: tuple[int, ...] = ()
    fold: int = 1
    tile: tuple[int, ...] = ()
    matrices: bool = False
    batch_chunk: int = 0
    tile_rows: int = 0
    channel_chunk: int = 0
    channels_last: bool = False
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class Plan:
    """How one convolution and its two gradients are computed.

    Attributes:
        estimates: seconds per pass and engine.
        by_torch: whether torch's own convolution does all three passes, in the given layout.
    """

    problem: ConvProblem
    forward: PassPlan
    input_gradient: PassPlan
    weight_gradient: PassPlan
    estimates: dict[str, dict[str, float]] = field(default_factory=dict, compare=False)
    by_torch: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        plain = PassPlan("direct", channels_last=self.problem.channels_last)
        by_torch = self.forward == self.input_gradient == self.weight_gradient == plain
        object.__setattr__(self, "by_torch", by_torch)  # a field, because compilers do not evaluate properties

    @property
    def engine(self) -> str:
        """The engine of the forward pass."""
        return self.forward.engine

    @property
    def passes(self) -> tuple[PassPlan, PassPlan, PassPlan]:
        """Forward, input gradient, weight gradient."""
        return self.forward, self.input_gradient, self.weight_gradient

    def plain(self) -> "Plan":
        """Return the plan without chunks and in the layout of the input, as transforms and compilers need it."""
        passes = {}
        for name, step in zip(PASSES, self.passes, strict=True):
            passes[name] = dataclasses.replace(
                step,
                batch_chunk=0,
                tile_rows=0,
                channel_chunk=0,
                channels_last=self.problem.channels_last,
            )
        return Plan(self.problem, **passes, estimates=self.estimates)

    def explain(self) -> str:
        """Describe the problem, then each pass with the estimates of all engines, then the reason for the choice.

        Example:
            >>> from flexkern.engines import plan_conv
            >>> plan_conv(ConvProblem(1, 1, 1, (8,), (3,)), "direct").explain().splitlines()[0]
            '1 -> 1 channels, signal 8, kernel 3, groups 1, batch 1.'
        """
        lines = [_describe_problem(self.problem)]
        for name, step in zip(PASSES, self.passes, strict=True):
            title = name.replace("_", " ")
            lines.append(f"{title}: {_describe_pass(step)}.")
            estimates = self.estimates.get(name, {})
            if len(estimates) > 1:
                lines.append(f"  estimates: {_rank_estimates(estimates)}.")
        lines.append(_reason(self))
        return "\n".join(lines)


def _describe_problem(problem: ConvProblem) -> str:
    return (
        f"{problem.in_channels} -> {problem.out_channels} channels, "
        f"signal {_times(problem.signal)}, kernel {_times(problem.kernel)}, "
        f"groups {problem.groups}, batch {problem.batch}."
    )


def _describe_pass(step: PassPlan) -> str:
    """Describe one pass in a line."""
    phrases = [step.engine]
    if step.engine != "direct":
        phrases.append(_describe_transform(step))
    if step.channels_last:
        phrases.append("computed in the channels-last layout")
    if step.tile:
        phrases.append(f"tiles of {_times(step.tile)} outputs")
    if step.channel_chunk:
        phrases.append(f"{step.channel_chunk} channels at a time")
    if step.batch_chunk:
        phrases.append(f"{step.batch_chunk} signals at a time")
    if step.tile_rows:
        phrases.append(f"{step.tile_rows} rows of tiles at a time")
    return ", ".join(phrases)


def _describe_transform(step: PassPlan) -> str:
    algorithm = "matrix products" if step.matrices else "the FFT library"
    text = f"transforms of {_times(step.lengths)} samples by {algorithm}"
    if step.fold > 1:
        first = step.lengths[0] // step.fold
        text += f" in two stages ({first} x {step.fold})"
    return text


def _rank_estimates(estimates: dict[str, float]) -> str:
    """List the engines with their times in milliseconds, the fastest first."""
    entries = []
    for engine in sorted(estimates, key=estimates.__getitem__):
        milliseconds = estimates[engine] * 1e3
        entries.append(f"{engine} {milliseconds:.3g} ms")
    return ", ".join(entries)


def _reason(plan: Plan) -> str:
    """Explain why the passes use these engines."""
    estimates = plan.estimates.values()
    if all(len(seconds) <= 1 for seconds in estimates):
        return "The engine was given, so no other was considered."
    fastest = {min(seconds, key=seconds.__getitem__) for seconds in estimates}
    if plan.by_torch and fastest != {"direct"}:
        return "Torch computes all passes: a faster engine for one of them would not save its extra call."
    if plan.input_gradient == plan.weight_gradient and plan.input_gradient.engine != "direct":
        return "Both gradients follow one plan and share the transform of the output gradient."
    return "Each pass uses the engine with the lowest estimate."


def _times(sizes: Sequence[int]) -> str:
    """Join sizes as in "32x32"."""
    return "x".join(str(size) for size in sizes)
