"""The plans that a pass could follow, by engine: transform lengths, tiles and chunks that may pay off."""

import dataclasses
import math
from collections.abc import Iterator

from ..plan import ConvProblem, PassPlan
from ..spectral import tile_counts, tile_problem
from .workload import KEPT_BYTES, frequencies, signal_bytes

ENGINES = ("direct", "fft", "dft", "overlap_save")
SPECTRA_BYTES = {"dense": 50e6, "dense matrices": 14e6, "depthwise": 8e6}
"""Limit of the spectra that are stored at a time.

Larger ones do not fit into the caches and are allocated anew every time. Smaller ones make thin matrices, which only
pointwise products can afford. The dense transforms by the FFT library proceed in chunks of their own.
"""
DIRECT_BYTES = 2**24
"""Limit of the inputs or outputs of direct convolution at a time, where the whole is too large for the allocator."""
MIN_CHANNELS = 8
"""Channels of a depthwise convolution that are computed together at least, however large their spectra."""
KERNEL_READS = 5
"""Limit of a batch chunk, as a multiple of ``SPECTRA_BYTES``.

The kernels' spectra are read once per batch chunk. If there are fewer signals than channels, that is most of what is
read, so chunks may be larger than is good for the caches.
"""
MATRIX_LENGTH = 512
"""Longest axis that is transformed by one matrix where two could do it: a longer matrix alone fills the cache."""
MATRIX_LENGTHS = 32768
"""Longest axis that is transformed by matrices in two stages."""
TILE_RATIOS = {1: (0.5, 1, 2, 4, 8, 16), 2: (1, 2, 4), 3: (1, 2, 4)}
"""Outputs per tile over samples of the kernel, by number of axes."""
MIN_TILE = {1: 64, 2: 12, 3: 12}
FOLDS = (8, 12, 16, 24, 32, 40, 48, 64, 80, 96, 128)
"""Second factors of transforms in two stages."""


def candidates(problem: ConvProblem, engine: str) -> Iterator[PassPlan]:
    """Yield all plans of one engine that deserve an estimate; none only where an axis is too long for matrices."""
    if engine == "direct":
        if not problem.channels_last or len(problem.signal) == 1:
            yield _chunk_direct(problem, PassPlan("direct"))
        if len(problem.signal) > 1 and (problem.channels_last or not _is_strided_pointwise(problem)):
            yield _chunk_direct(problem, PassPlan("direct", channels_last=True))
    elif engine == "fft":
        lengths = tuple(fast_length(length) for length in problem.minimum_lengths)
        yield _chunk_spectral(problem, PassPlan("fft", lengths))
    elif engine == "dft":
        for plan in _matrix_plans("dft", problem.minimum_lengths, ()):
            yield _chunk_spectral(problem, plan)
    else:
        yield from _tiled_plans(problem)


def _is_strided_pointwise(problem: ConvProblem) -> bool:
    """Return whether a 1x1 kernel has a stride.

    oneDNN 3.12 (torch 2.13) corrupts memory in the weight gradient of such a convolution with up to five input
    channels in channels-last layout, on processors with AVX2 but no AVX-512. Inputs are therefore never converted to
    that layout here.
    """
    return max(problem.kernel) == 1 and max(problem.stride) > 1


def _chunk_direct(problem: ConvProblem, plan: PassPlan) -> PassPlan:
    """Cut a large batch into equal chunks within ``DIRECT_BYTES``, of one signal at least."""
    total_bytes = max(signal_bytes(problem))
    if problem.batch == 1 or total_bytes <= KEPT_BYTES:
        return plan
    most = max(DIRECT_BYTES * problem.batch // total_bytes, 1)
    return dataclasses.replace(plan, batch_chunk=even_chunk(problem.batch, most))


def even_chunk(total: int, most: int) -> int:
    """Return the size of the fewest equal chunks that are no larger than ``most``.

    Example:
        >>> even_chunk(43, 16)  # 15 + 15 + 13
        15
    """
    count = -(-total // most)
    return -(-total // count)


def longest_matrix_axis(axes: int) -> int:
    """Return the samples of the longest axis that is transformed by matrices."""
    return MATRIX_LENGTHS if axes == 1 else MATRIX_LENGTHS // 16


def _matrix_plans(
    engine: str,
    lengths: tuple[int, ...],
    tile: tuple[int, ...],
) -> Iterator[PassPlan]:
    """Yield one matrix per axis and, for a single axis, transforms in two stages."""
    axes = len(lengths)
    if max(lengths) > longest_matrix_axis(axes):
        return
    pairs = folds(lengths[0]) if axes == 1 else []
    if lengths[0] <= MATRIX_LENGTH or not pairs:
        yield PassPlan(engine, lengths, 1, tile, matrices=True)
    for first, second in pairs:
        yield PassPlan(engine, (first * second,), second, tile, matrices=True)


def _tiled_plans(problem: ConvProblem) -> Iterator[PassPlan]:
    """Yield plans with tiles from half a kernel up; with one tile only where nothing smaller is left."""
    axes = len(problem.signal)
    tiles = set()
    for ratio in TILE_RATIOS[axes]:
        sizes = []
        for extent, outputs in zip(problem.extent, problem.output_size, strict=True):
            most = max(math.ceil(ratio * extent), MIN_TILE[axes])
            size = even_chunk(outputs, most)
            sizes.append(size)
        tiles.add(tuple(sizes))
    smaller_tiles = tiles - {problem.output_size}
    for tile in sorted(smaller_tiles or tiles):
        lengths = tile_problem(problem, tile).minimum_lengths
        for plan in _matrix_plans("overlap_save", lengths, tile):
            yield _chunk_spectral(problem, plan)
        fast_lengths = tuple(fast_length(length) for length in lengths)
        filling_tile = _fill(problem, fast_lengths)
        yield _chunk_spectral(problem, PassPlan("overlap_save", fast_lengths, 1, filling_tile))


def _fill(problem: ConvProblem, lengths: tuple[int, ...]) -> tuple[int, ...]:
    """Return the tile that fills transforms of these lengths, so that nothing has to be padded."""
    tile = []
    for axis, length in enumerate(lengths):
        last = (length - problem.extent[axis]) // problem.stride[axis]
        outputs = min(last + 1, problem.output_size[axis])
        tile.append(outputs)
    return tuple(tile)


def _chunk_spectral(problem: ConvProblem, plan: PassPlan) -> PassPlan:
    """Cut the batch into equal chunks whose spectra are small enough, and a signal that is too large by itself."""
    channel_chunk = _channel_chunk(problem, plan)
    if channel_chunk:
        plan = dataclasses.replace(plan, channel_chunk=channel_chunk)
        problem = problem.of_channels(channel_chunk)
    counts = tile_counts(problem, plan.tile) if plan.tile else (1,)
    spectrum_values = math.prod(counts) * frequencies(plan)
    channels = problem.in_channels + problem.out_channels
    bytes_per_signal = 8 * spectrum_values * channels
    limit = _spectra_limit(problem, plan, bytes_per_signal)
    chunk_count = max(math.ceil(problem.batch * bytes_per_signal / limit), 1)
    batch_chunk = max(-(-problem.batch // chunk_count), 1)
    tile_rows = 0
    if batch_chunk == 1:
        tile_rows = -(-counts[0] // math.ceil(bytes_per_signal / limit))
    return dataclasses.replace(
        plan,
        batch_chunk=batch_chunk if batch_chunk < problem.batch else 0,
        tile_rows=tile_rows if 0 < tile_rows < counts[0] else 0,
    )


def _spectra_limit(
    problem: ConvProblem,
    plan: PassPlan,
    bytes_per_signal: float,
) -> float:
    """Return the limit of the spectra of a batch chunk, in bytes."""
    if problem.depthwise:
        return SPECTRA_BYTES["depthwise"]
    if not plan.matrices:
        return SPECTRA_BYTES["dense"]
    limit = SPECTRA_BYTES["dense matrices"]
    return max(limit, min(bytes_per_signal * _mean_channels(problem), KERNEL_READS * limit))


def _channel_chunk(problem: ConvProblem, plan: PassPlan) -> int:
    """Return the size of equal chunks of channels for which the spectra of one signal are small enough; 0 for all."""
    if not problem.depthwise or plan.matrices or plan.tile:
        return 0
    most = max(int(SPECTRA_BYTES["depthwise"] / (16 * frequencies(plan))), MIN_CHANNELS)
    if problem.groups <= most:
        return 0
    return even_chunk(problem.groups, most)


def _mean_channels(problem: ConvProblem) -> float:
    """Return the number of signals whose spectra are as large as those of a group's kernels."""
    inputs = problem.in_channels
    outputs = problem.out_channels
    harmonic_mean = 2 * inputs * outputs / (inputs + outputs)
    return harmonic_mean / problem.groups


def fast_length(minimum: int) -> int:
    """Return the smallest even number, at least ``minimum``, whose prime factors are 2, 3 and 5; 1 stays 1.

    Long ones are multiples of eight, because twice an odd number takes a third more time per sample.

    Example:
        >>> fast_length(1538)
        1600
    """
    if minimum <= 1:
        return 1
    least_power = 2 if minimum <= 256 else 8
    best = 1 << (minimum - 1).bit_length()
    power_of_five = 1
    while power_of_five < best:
        odd = power_of_five
        while odd < best:
            # The smallest power of two that lifts the odd factor to the minimum.
            ratio = -(-minimum // odd)
            power_of_two = max(1 << (ratio - 1).bit_length(), least_power)
            best = min(best, odd * power_of_two)
            odd *= 3
        power_of_five *= 5
    return best


def folds(minimum: int) -> list[tuple[int, int]]:
    """Return two pairs of even factors near the square root, whose product is at least ``minimum`` and hardly more.

    Example:
        >>> folds(1567)
        [(40, 40), (50, 32)]
    """
    pairs = set()
    for second in FOLDS:
        first = -(-minimum // (2 * second)) * 2
        if second / 3 <= first <= 6 * second:
            pairs.add((first, second))
    return sorted(pairs, key=_fold_cost)[:2]


def _fold_cost(pair: tuple[int, int]) -> tuple[int, tuple[int, int]]:
    """Return the multiplications of a transform in two stages; the pair itself breaks ties."""
    first, second = pair
    multiplications = first * second * (first + second)
    return multiplications, pair
