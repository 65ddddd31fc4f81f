"""How much work a pass is: operations, bytes, matrices and calls, counted from integers."""

import math
from dataclasses import dataclass

from ..plan import ConvProblem, PassPlan
from ..spectral.tiling import block_counts, block_problem

BYTES = 4  # per value: costs are those of float32, other types follow the same plans
KEPT_BYTES = 2**25
"""Larger blocks of memory are given back when they are freed (by glibc), so the system clears them anew every time."""


@dataclass(frozen=True)
class Work:
    """Amounts that cost models multiply with seconds.

    Attributes:
        flops: real multiplications and additions in matrix products.
        bytes: read and written by products and transforms.
        copied: bytes read and written to bring tensors into another order.
        matrices: single products within batched ones.
        butterflies: ``n log2 n`` per transform of ``n`` samples by the FFT library.
        calls: tensor operations.
    """

    flops: float = 0.0
    bytes: float = 0.0
    copied: float = 0.0
    matrices: float = 0.0
    butterflies: float = 0.0
    calls: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        return Work(
            self.flops + other.flops,
            self.bytes + other.bytes,
            self.copied + other.copied,
            self.matrices + other.matrices,
            self.butterflies + other.butterflies,
            self.calls + other.calls,
        )


def frequencies(plan: PassPlan) -> int:
    """Frequencies that a transform keeps."""
    last = plan.lengths[-1] // plan.fold
    return (last // 2 + 1) * math.prod(plan.lengths[:-1]) * plan.fold


def spectral_work(problem: ConvProblem, plan: PassPlan, name: str) -> Work:
    """Work of one pass: two transforms in, one product, one transform out; kernels come from features if fewer."""
    part = block_problem(problem, plan.block) if plan.block else problem
    signal, kernel, output = (tuple(len(p) for p in positions) for positions in part.geometry)
    inputs = _transform(plan, signal, part.batch * part.in_channels, part)
    outputs = output_work(problem, plan)
    kernels = _kernel_transform(plan, kernel, part)
    product = _product(frequencies(plan), part)
    chunks = _turns(problem, plan)
    repeated = Work(calls=(chunks - 1) * 2 * (inputs.calls + outputs.calls))
    total = inputs + outputs + kernels + product + repeated
    if problem.channels_last:  # what is read is brought into the other order first
        total += Work(copied=2 * BYTES * _read(problem, name), calls=1)
    if plan.block:
        ins, outs = part.batch * _size(signal, part.in_channels), part.batch * _size(output, part.out_channels)
        total += _copies(name, ins, outs, len(signal))
    return total


def _read(problem: ConvProblem, name: str) -> int:
    """Values that a pass reads, but for the weight."""
    inputs, outputs = _size(problem.signal, problem.in_channels), _size(problem.output_size, problem.out_channels)
    return problem.batch * {"forward": inputs, "input_gradient": outputs, "weight_gradient": inputs + outputs}[name]


def _turns(problem: ConvProblem, plan: PassPlan) -> int:
    """Lots of channels times parts of the batch times pieces of each signal."""
    lots = -(-problem.in_channels // plan.channels) if plan.channels else 1
    chunks = -(-problem.batch // plan.chunk) if plan.chunk else 1
    return lots * chunks * (-(-block_counts(problem, plan.block)[0] // plan.rows) if plan.rows else 1)


def output_work(problem: ConvProblem, plan: PassPlan) -> Work:
    """Work of the transform of outputs, or of their gradient."""
    part = block_problem(problem, plan.block) if plan.block else problem
    return _transform(plan, tuple(len(p) for p in part.geometry.output), part.batch * part.out_channels, part)


def _copies(name: str, inputs: int, outputs: int, axes: int) -> Work:
    """Cutting a signal into blocks is two copies, joining outputs one, adding up overlaps four per axis."""
    passes = {
        "forward": 2 * inputs + outputs,
        "input_gradient": 2 * outputs + 4 * axes * inputs,
        "weight_gradient": 2 * inputs + 2 * outputs,
    }
    return Work(copied=2 * BYTES * passes[name], calls=10 * axes)


def fresh_bytes(problem: ConvProblem, plan: PassPlan, name: str) -> float:
    """Bytes of new tensors that no allocator keeps: the result, copies and spectra that are larger than others."""
    inputs, outputs = signal_bytes(problem)
    made = [{"forward": outputs, "input_gradient": inputs, "weight_gradient": 0}[name]]
    if plan.engine != "direct" and not plan.block:
        spectra = 2 * BYTES * frequencies(plan) * (plan.chunk or problem.batch) * (plan.channels or problem.groups)
        made += [spectra * channels // problem.groups for channels in (problem.in_channels, problem.out_channels)]
    large = sum(size for size in made if size > KEPT_BYTES)
    if plan.engine == "direct" and not (problem.channels_last and plan.channels_last):
        share = (plan.chunk or problem.batch) / max(problem.batch, 1)
        # Torch's library brings both into an order of its own, a part of the batch at a time.
        large += sum(size for size in (inputs, outputs) if size * share > KEPT_BYTES)
    return large


def signal_bytes(problem: ConvProblem) -> tuple[int, int]:
    """Bytes of the input and of the output."""
    inputs, outputs = _size(problem.signal, problem.in_channels), _size(problem.output_size, problem.out_channels)
    return BYTES * problem.batch * inputs, BYTES * problem.batch * outputs


def direct_work(problem: ConvProblem) -> Work:
    """Work of one pass of the plain algorithm, but for taps on padding; channels count in sixteens, as in registers."""
    pairs = problem.out_channels if problem.depthwise else _sixteens(problem)
    taps = math.prod(map(_taps, *problem.geometry))
    return Work(flops=2.0 * problem.batch * pairs * taps)


def _taps(signal: range, kernel: range, output: range) -> float:
    """Pairs of an output and a tap that meet the signal, counted as if positions were dense.

    Those that miss it form a triangle on either side, cut off where a tap misses it for every output.
    """

    def triangle(over: int) -> float:
        return over * (over + kernel.step) / (2 * kernel.step * output.step) if over > 0 else 0.0

    span = len(output) * output.step
    sides = (-kernel[0], output[-1] + kernel[-1] - signal[-1])
    return max(len(kernel) * len(output) - sum(triangle(over) - triangle(over - span) for over in sides), len(output))


def _sixteens(problem: ConvProblem) -> int:
    ins, outs = problem.in_channels // problem.groups, problem.out_channels // problem.groups
    padded = -(-outs // 16) * 16 * (ins if ins < 4 else -(-ins // 16) * 16)
    return padded * problem.groups


def _size(axes: tuple[int, ...], channels: int) -> int:
    return math.prod(axes) * channels


def _transform(plan: PassPlan, counts: tuple[int, ...], lead: int, problem: ConvProblem) -> Work:
    """Work of transforming ``lead`` tensors of ``counts`` samples, either way."""
    if plan.matrices:
        return _matrix_transform(plan, counts, lead)
    points = math.prod(plan.lengths)
    split = 0 if problem.depthwise else 2
    return Work(
        butterflies=lead * points * math.log2(max(points, 2)),
        bytes=BYTES * lead * (math.prod(counts) + 2 * frequencies(plan)),
        copied=2 * BYTES * split * lead * frequencies(plan),
        calls=2 + split,
    )


def _matrix_transform(plan: PassPlan, counts: tuple[int, ...], lead: int) -> Work:
    if plan.fold > 1:
        stages = [(plan.lengths[0] // plan.fold, -(-counts[0] // plan.fold)), (plan.fold, plan.fold)]
    else:
        stages = list(zip(plan.lengths, counts, strict=True))[::-1]
    rest = math.prod(samples for _, samples in stages)
    total, done = Work(copied=2 * BYTES * lead * rest if plan.fold > 1 else 0), 1
    for index, (length, samples) in enumerate(stages):
        rest //= samples
        kept = length if index else length // 2 + 1
        columns, real = lead * rest, 2 if index else 1
        total += Work(
            flops=4.0 * real * done * kept * samples * columns,
            bytes=BYTES * real * done * columns * (2 * kept + real * samples),
            matrices=2 * real * done,
            calls=2 * real,
        )
        done *= kept
    return total


def _kernel_transform(plan: PassPlan, counts: tuple[int, ...], problem: ConvProblem) -> Work:
    pairs = problem.out_channels * problem.in_channels // problem.groups
    whole = _transform(plan, counts, pairs, problem)
    if not 0 < problem.features < pairs or (problem.depthwise and not plan.matrices):
        return whole
    kept = frequencies(plan)
    mix = Work(
        flops=4.0 * kept * problem.features * pairs,
        bytes=2 * BYTES * kept * (problem.features + pairs),
        matrices=2,
        calls=4,
    )
    return _transform(plan, counts, problem.features, problem) + mix


def _product(kept: int, problem: ConvProblem) -> Work:
    b, groups = problem.batch, problem.groups
    ins, outs = problem.in_channels // groups, problem.out_channels // groups
    values = kept * groups * (b * ins + ins * outs + b * outs)
    if problem.depthwise:
        return Work(bytes=6 * BYTES * values, calls=6)
    return Work(
        flops=8.0 * kept * groups * b * ins * outs, bytes=4 * BYTES * values, matrices=4 * kept * groups, calls=4
    )
