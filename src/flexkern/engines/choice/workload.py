"""How much work a pass is: operations, bytes, matrices and calls, counted from integers."""

import math
from dataclasses import dataclass

from ..plan import ConvProblem, PassPlan
from ..spectral import tile_counts, tile_problem

BYTES = 4
"""Bytes per value. Costs are those of float32; other dtypes follow the same plans."""
KEPT_BYTES = 2**25
"""Limit of what the allocator keeps: glibc returns larger blocks, and the system clears them at every allocation."""


@dataclass(frozen=True)
class Work:
    """Amounts of work; a cost model knows the seconds per unit of each.

    Attributes:
        flops: real multiplications and additions in matrix products.
        bytes: bytes read and written by products and transforms.
        copied: bytes read and written to rearrange tensors.
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
    """Return the number of frequencies that a transform keeps."""
    *other_lengths, length = plan.lengths
    first_stage = length // plan.fold
    return (first_stage // 2 + 1) * math.prod(other_lengths) * plan.fold


def direct_work(problem: ConvProblem) -> Work:
    """Return the work of one pass of the direct algorithm, without taps on padding."""
    channel_pairs = problem.out_channels if problem.depthwise else _padded_channel_pairs(problem)
    taps = 1.0
    for signal, kernel, output in zip(*problem.geometry, strict=True):
        taps *= _taps_on_signal(signal, kernel, output)
    return Work(flops=2.0 * problem.batch * channel_pairs * taps)


def _padded_channel_pairs(problem: ConvProblem) -> int:
    """Return the pairs of channels; channels count in sixteens, as they do in registers."""
    inputs = problem.in_channels // problem.groups
    outputs = problem.out_channels // problem.groups
    padded_inputs = inputs if inputs < 4 else _round_up(inputs, 16)
    padded_outputs = _round_up(outputs, 16)
    return padded_outputs * padded_inputs * problem.groups


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step


def _taps_on_signal(
    signal: range,
    kernel: range,
    output: range,
) -> float:
    """Return the pairs of an output and a tap that meet the signal, counted as if positions were dense.

    Those that miss it form a triangle on either side, which is cut off where a tap misses it for every output.
    """
    span = len(output) * output.step
    missed = 0.0
    excess_before = -kernel[0]
    excess_after = output[-1] + kernel[-1] - signal[-1]
    for excess in (excess_before, excess_after):
        triangle = _triangle(excess, kernel.step, output.step)
        cut_off = _triangle(excess - span, kernel.step, output.step)
        missed += triangle - cut_off
    pairs = len(kernel) * len(output)
    return max(pairs - missed, len(output))


def _triangle(excess: int, tap_step: int, output_step: int) -> float:
    """Return the pairs that miss the signal where the kernel exceeds it by ``excess`` samples."""
    if excess <= 0:
        return 0.0
    doubled = excess * (excess + tap_step)
    return doubled / (2 * tap_step * output_step)


def spectral_work(
    problem: ConvProblem,
    plan: PassPlan,
    name: str,
) -> Work:
    """Return the work of one pass: two transforms in, one product, one transform out."""
    tiled = tile_problem(problem, plan.tile) if plan.tile else problem
    signal, kernel, output = _sample_counts(tiled)
    inputs = _transform(plan, signal, tiled.batch * tiled.in_channels, tiled)
    outputs = output_work(problem, plan)
    kernels = _kernel_transform(plan, kernel, tiled)
    product = _product(frequencies(plan), tiled)
    repetitions = _chunk_count(problem, plan) - 1
    repeated = Work(calls=repetitions * 2 * (inputs.calls + outputs.calls))
    total = inputs + outputs + kernels + product + repeated
    if problem.channels_last:  # what is read is made contiguous first
        copied = 2 * BYTES * _values_read(problem, name)
        total += Work(copied=copied, calls=1)
    if plan.tile:
        input_values = tiled.batch * _values(signal, tiled.in_channels)
        output_values = tiled.batch * _values(output, tiled.out_channels)
        total += _tile_copies(name, input_values, output_values, len(signal))
    return total


def output_work(problem: ConvProblem, plan: PassPlan) -> Work:
    """Return the work of the transform of outputs, or of their gradient."""
    tiled = tile_problem(problem, plan.tile) if plan.tile else problem
    _, _, output = _sample_counts(tiled)
    return _transform(plan, output, tiled.batch * tiled.out_channels, tiled)


def _sample_counts(problem: ConvProblem) -> list[tuple[int, ...]]:
    """Return the samples per axis of signal, kernel and output."""
    counts = []
    for positions in problem.geometry:
        counts.append(tuple(len(place) for place in positions))
    return counts


def _values(axes: tuple[int, ...], channels: int) -> int:
    return math.prod(axes) * channels


def _values_read(problem: ConvProblem, name: str) -> int:
    """Return the values that a pass reads, without those of the weight."""
    inputs = _values(problem.signal, problem.in_channels)
    outputs = _values(problem.output_size, problem.out_channels)
    per_signal = {"forward": inputs, "input_gradient": outputs, "weight_gradient": inputs + outputs}
    return problem.batch * per_signal[name]


def _chunk_count(problem: ConvProblem, plan: PassPlan) -> int:
    """Return how often the pass transforms: chunks of channels, times chunks of the batch, times ranges of tiles."""
    count = 1
    if plan.channel_chunk:
        count *= -(-problem.in_channels // plan.channel_chunk)
    if plan.batch_chunk:
        count *= -(-problem.batch // plan.batch_chunk)
    if plan.tile_rows:
        rows, *_ = tile_counts(problem, plan.tile)
        count *= -(-rows // plan.tile_rows)
    return count


def _tile_copies(
    name: str,
    inputs: int,
    outputs: int,
    axes: int,
) -> Work:
    """Return the work of tiling: two copies to cut, one to join outputs, four per axis to add overlapping tiles."""
    copied_values = {
        "forward": 2 * inputs + outputs,
        "input_gradient": 2 * outputs + 4 * axes * inputs,
        "weight_gradient": 2 * inputs + 2 * outputs,
    }
    return Work(copied=2 * BYTES * copied_values[name], calls=10 * axes)


def fresh_bytes(
    problem: ConvProblem,
    plan: PassPlan,
    name: str,
) -> float:
    """Return the bytes of new tensors that are too large for the allocator to keep: results, copies and spectra."""
    inputs, outputs = signal_bytes(problem)
    results = {"forward": outputs, "input_gradient": inputs, "weight_gradient": 0}
    sizes = [results[name]]
    batch_chunk = plan.batch_chunk or problem.batch
    if plan.engine != "direct" and not plan.tile:
        groups = plan.channel_chunk or problem.groups
        spectra = 2 * BYTES * frequencies(plan) * batch_chunk * groups
        sizes += [
            spectra * problem.in_channels // problem.groups,
            spectra * problem.out_channels // problem.groups,
        ]
    fresh = sum(size for size in sizes if size > KEPT_BYTES)
    if plan.engine == "direct" and not (problem.channels_last and plan.channels_last):
        # Torch's library copies both into a layout of its own, one batch chunk at a time.
        share = batch_chunk / max(problem.batch, 1)
        fresh += sum(size for size in (inputs, outputs) if size * share > KEPT_BYTES)
    return fresh


def signal_bytes(problem: ConvProblem) -> tuple[int, int]:
    """Return the bytes of the input and of the output."""
    inputs = _values(problem.signal, problem.in_channels)
    outputs = _values(problem.output_size, problem.out_channels)
    bytes_per_batch = BYTES * problem.batch
    return bytes_per_batch * inputs, bytes_per_batch * outputs


def _transform(
    plan: PassPlan,
    counts: tuple[int, ...],
    lead: int,
    problem: ConvProblem,
) -> Work:
    """Return the work of transforming ``lead`` tensors of ``counts`` samples per axis, in either direction."""
    if plan.matrices:
        return _matrix_transform(plan, counts, lead)
    points = math.prod(plan.lengths)
    transposed = 0 if problem.depthwise else 2
    kept = frequencies(plan)
    values = math.prod(counts) + 2 * kept
    return Work(
        butterflies=lead * points * math.log2(max(points, 2)),
        bytes=BYTES * lead * values,
        copied=2 * BYTES * transposed * lead * kept,
        calls=2 + transposed,
    )


def _matrix_transform(
    plan: PassPlan,
    counts: tuple[int, ...],
    lead: int,
) -> Work:
    stages = _stages(plan, counts)
    remaining = math.prod(samples for _, samples in stages)
    total = Work(copied=2 * BYTES * lead * remaining if plan.fold > 1 else 0)
    finished = 1
    for index, (length, samples) in enumerate(stages):
        remaining //= samples
        kept = length if index else length // 2 + 1
        columns = lead * remaining
        parts = 2 if index else 1  # the first stage reads real values
        total += Work(
            flops=4.0 * parts * finished * kept * samples * columns,
            bytes=BYTES * parts * finished * columns * (2 * kept + parts * samples),
            matrices=2 * parts * finished,
            calls=2 * parts,
        )
        finished *= kept
    return total


def _stages(plan: PassPlan, counts: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return (length, samples) of each stage of a transform by matrices, in order."""
    if plan.fold > 1:
        length = plan.lengths[0] // plan.fold
        samples = -(-counts[0] // plan.fold)
        return [(length, samples), (plan.fold, plan.fold)]
    stages = list(zip(plan.lengths, counts, strict=True))
    stages.reverse()
    return stages


def _kernel_transform(
    plan: PassPlan,
    counts: tuple[int, ...],
    problem: ConvProblem,
) -> Work:
    """Return the work of the kernels' spectra, which are mixed from those of the features where these are fewer."""
    kernels = problem.out_channels * problem.in_channels // problem.groups
    factored = 0 < problem.features < kernels
    if not factored or (problem.depthwise and not plan.matrices):
        return _transform(plan, counts, kernels, problem)
    kept = frequencies(plan)
    mix = Work(
        flops=4.0 * kept * problem.features * kernels,
        bytes=2 * BYTES * kept * (problem.features + kernels),
        matrices=2,
        calls=4,
    )
    return _transform(plan, counts, problem.features, problem) + mix


def _product(kept: int, problem: ConvProblem) -> Work:
    """Return the work of the products over channels or over the batch, at ``kept`` frequencies."""
    batch = problem.batch
    groups = problem.groups
    inputs = problem.in_channels // groups
    outputs = problem.out_channels // groups
    values_per_group = batch * inputs + inputs * outputs + batch * outputs
    values = kept * groups * values_per_group
    if problem.depthwise:
        return Work(bytes=6 * BYTES * values, calls=6)
    return Work(
        flops=8.0 * kept * groups * batch * inputs * outputs,
        bytes=4 * BYTES * values,
        matrices=4 * kept * groups,
        calls=4,
    )
