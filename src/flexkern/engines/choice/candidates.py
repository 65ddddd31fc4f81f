"""Which plans a pass could follow, by engine: transform lengths, blocks and chunks that may pay."""

import dataclasses
import math
from collections.abc import Iterator

from ..plan import ConvProblem, PassPlan
from ..spectral.tiling import block_counts, block_problem
from .workload import KEPT_BYTES, frequencies, signal_bytes

ENGINES = ("direct", "fft", "dft", "overlap_save")
SPECTRA_BYTES = {"dense": 50e6, "dense matrices": 14e6, "depthwise": 8e6}
"""Spectra held at a time: larger ones fall out of the caches and are allocated anew every time; smaller ones make thin
matrices, which pointwise products do not mind. The library's dense transforms keep to the caches by themselves."""
DIRECT_BYTES = 2**24
"""Inputs or outputs of direct convolution at a time, where they are too large to be kept by the allocator."""
CHANNELS_LEAST = 8
"""Channels of a depthwise convolution that are computed together, however large their spectra."""
KERNELS_READ = 5
"""Kernels' spectra are read once per part of the batch. With fewer signals than channels that is most of what is read,
so parts may be as large as the channels are many, but no larger than this many times what is good for the caches."""
MATRIX_LENGTH = 512
"""Longest axis that is transformed by one matrix where two could do it: beyond it one matrix alone fills the cache."""
MATRIX_LENGTHS = 32768
"""Longest axis that is transformed by matrices at all, where it can be folded."""


def candidates(problem: ConvProblem, engine: str) -> Iterator[PassPlan]:
    """All plans worth an estimate for one engine; none only where an axis is too long for matrices."""
    if engine == "direct":
        if not problem.channels_last or len(problem.signal) == 1:
            yield _in_parts(problem, PassPlan("direct"))
        if len(problem.signal) > 1:
            yield _in_parts(problem, PassPlan("direct", channels_last=True))
    elif engine == "fft":
        yield _chunked(problem, PassPlan("fft", tuple(fast_length(n) for n in problem.minimum_lengths)))
    elif engine == "dft":
        yield from (_chunked(problem, plan) for plan in _matrix_plans("dft", problem.minimum_lengths, ()))
    else:
        yield from _blocked(problem)


def _in_parts(problem: ConvProblem, plan: PassPlan) -> PassPlan:
    """Equal parts of the batch, none larger than is good but for single signals; all of it if it is small."""
    whole = max(signal_bytes(problem))
    if problem.batch == 1 or whole <= KEPT_BYTES:
        return plan
    most = max(DIRECT_BYTES * problem.batch // whole, 1)
    return dataclasses.replace(plan, chunk=-(-problem.batch // -(-problem.batch // most)))


def longest(axes: int) -> int:
    """Samples of the longest axis that is transformed by matrices, of one to three."""
    return MATRIX_LENGTHS if axes == 1 else MATRIX_LENGTHS // 16


def _matrix_plans(engine: str, lengths: tuple[int, ...], block: tuple[int, ...]) -> Iterator[PassPlan]:
    """One matrix per axis, and for one axis also folded pairs."""
    if max(lengths) > longest(len(lengths)):
        return
    pairs = folds(lengths[0]) if len(lengths) == 1 else []
    if lengths[0] <= MATRIX_LENGTH or not pairs:
        yield PassPlan(engine, lengths, 1, block, matrices=True)
    for first, second in pairs:
        yield PassPlan(engine, (first * second,), second, block, matrices=True)


def _blocked(problem: ConvProblem) -> Iterator[PassPlan]:
    """Blocks from half a kernel up; the whole signal only where nothing smaller is left."""
    several = len(problem.signal) > 1
    sizes = set()
    for ratio in (1, 2, 4) if several else (0.5, 1, 2, 4, 8, 16):
        least = 12 if several else 64
        axes = zip(problem.extent, problem.output_size, strict=True)
        sizes.add(tuple(_even_part(out, max(math.ceil(ratio * extent), least)) for extent, out in axes))
    smaller = sizes - {problem.output_size}
    for block in sorted(smaller or sizes):
        lengths = block_problem(problem, block).minimum_lengths
        fast = tuple(fast_length(n) for n in lengths)
        filled = _fill(problem, fast)
        for plan in (*_matrix_plans("overlap_save", lengths, block), PassPlan("overlap_save", fast, 1, filled)):
            yield _chunked(problem, plan)


def _even_part(outputs: int, block: int) -> int:
    """About as many as a block, but so that the last one has no less to do than the others."""
    return -(-outputs // -(-outputs // block))


def _fill(problem: ConvProblem, lengths: tuple[int, ...]) -> tuple[int, ...]:
    """Outputs of a block that fills the transform's lengths, so that nothing has to be padded."""
    axes = zip(lengths, problem.extent, problem.stride, problem.output_size, strict=True)
    return tuple(min((n - extent) // stride + 1, out) for n, extent, stride, out in axes)


def _chunked(problem: ConvProblem, plan: PassPlan) -> PassPlan:
    """Equal parts of the batch whose spectra are no larger than is good; a small rest would waste a turn."""
    channels = _channels(problem, plan)
    if channels:
        plan, problem = dataclasses.replace(plan, channels=channels), problem.of_channels(channels)
    counts = block_counts(problem, plan.block) if plan.block else (1,)
    kind = "depthwise" if problem.depthwise else "dense matrices" if plan.matrices else "dense"
    limit = SPECTRA_BYTES[kind]
    per_signal = 8 * math.prod(counts) * frequencies(plan) * (problem.in_channels + problem.out_channels)
    if kind == "dense matrices":
        limit = max(limit, min(per_signal * _mean_channels(problem), KERNELS_READ * limit))
    parts = max(math.ceil(problem.batch * per_signal / limit), 1)
    chunk = max(-(-problem.batch // parts), 1)
    # A signal that is too large by itself goes by rows of its blocks.
    rows = -(-counts[0] // math.ceil(per_signal / limit)) if chunk == 1 else 0
    return dataclasses.replace(
        plan, chunk=chunk if chunk < problem.batch else 0, rows=rows if 0 < rows < counts[0] else 0
    )


def _channels(problem: ConvProblem, plan: PassPlan) -> int:
    """Equal lots of channels whose spectra, those of one signal, are no larger than is good; 0 for all."""
    if not problem.depthwise or plan.matrices or plan.block:
        return 0
    most = max(int(SPECTRA_BYTES["depthwise"] / (16 * frequencies(plan))), CHANNELS_LEAST)
    lots = math.ceil(problem.groups / most)
    return math.ceil(problem.groups / lots) if lots > 1 else 0


def _mean_channels(problem: ConvProblem) -> float:
    """Signals whose spectra are as large as those of a group's kernels."""
    ins, outs = problem.in_channels, problem.out_channels
    return 2 * ins * outs / (ins + outs) / problem.groups


def fast_length(minimum: int) -> int:
    """Smallest multiple of two whose prime factors are 2, 3 and 5 only, at least ``minimum`` (1 stays 1).

    Long ones are multiples of eight: twice an odd number takes a third more time per sample.

    Example:
        >>> fast_length(1538)
        1600
    """
    if minimum <= 1:
        return 1
    least = 2 if minimum <= 256 else 8
    best = 1 << (minimum - 1).bit_length()
    five = 1
    while five < best:
        odd = five
        while odd < best:
            # The smallest power of two that lifts the odd part to the minimum.
            ratio = -(-minimum // odd)
            best = min(best, odd * max(1 << (ratio - 1).bit_length(), least))
            odd *= 3
        five *= 5
    return best


def folds(minimum: int) -> list[tuple[int, int]]:
    """Pairs of even factors near the square root whose product is at least ``minimum`` and hardly more.

    Example:
        >>> folds(1567)
        [(40, 40), (50, 32)]
    """
    pairs = set()
    for second in (8, 12, 16, 24, 32, 40, 48, 64, 80, 96, 128):
        first = -(-minimum // (2 * second)) * 2
        if second / 3 <= first <= 6 * second:
            pairs.add((first, second))
    return sorted(pairs, key=lambda pair: (pair[0] * pair[1] * sum(pair), pair))[:2]
