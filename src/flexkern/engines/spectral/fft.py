"""The discrete Fourier transform by torch's FFT library, for long axes."""

import functools
import itertools
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .dft import Positions, multiplicity

CHUNK_BYTES = 2**20
"""Spectra that are transposed at a time: what fits into the cache of one core."""
CHUNK_TRANSFORMS = 8
"""The least number of transforms at a time: fewer would not fill a cache line."""

Index = tuple[Any, ...]
"""What a tensor is indexed with."""


@dataclass(frozen=True)
class LibraryTransform:
    """Real transform of samples at given positions, modulo the lengths; same meaning as the matrix products.

    Example:
        >>> spectrum = LibraryTransform((6,)).analyse(torch.arange(4.0), (range(-1, 3),))
        >>> bool(torch.allclose(spectrum, torch.fft.rfft(torch.tensor([1.0, 2.0, 3.0, 0.0, 0.0, 0.0]))))
        True
    """

    lengths: tuple[int, ...]

    def analyse(self, samples: Tensor, positions: Positions) -> Tensor:
        """Samples (*lead, *J) -> complex spectrum (*lead, *F)."""
        for place in positions:
            if place.start or place.step > 1:
                samples = _spread(samples, positions, self.lengths)
                break
        axes = tuple(range(-len(positions), 0))
        return torch.fft.rfftn(samples, s=self.lengths, dim=axes)

    def synthesise(
        self,
        spectrum: Tensor,
        positions: Positions,
        into: Tensor | None = None,
    ) -> Tensor:
        """Complex spectrum (*lead, *F) -> samples (*lead, *J) of its inverse; written ``into`` a tensor if given."""
        axes = len(positions)
        for axis in range(axes - 1):
            # Axis by axis, because later axes need no transform where samples are cut off.
            spectrum = torch.fft.ifft(spectrum, dim=axis - axes)
            spectrum = _gather(spectrum, positions[axis], axis - axes)
        samples = torch.fft.irfft(spectrum, n=self.lengths[-1])
        samples = _gather(samples, positions[-1], -1)
        return samples if into is None else into.copy_(samples)

    def frequency_weights(
        self,
        dtype: torch.dtype,
        device: torch.device,
    ) -> Tensor:  # shape: (F,)
        """How often each frequency that is kept counts in a sum over all of them, over the number of samples."""
        *other_lengths, length = self.lengths
        others = math.prod(other_lengths)
        counts = multiplicity(length) / (others * length)
        return counts.to(device, dtype).repeat(others)


@dataclass(frozen=True)
class FrequencyFirstTransform(LibraryTransform):
    """The same with complex spectra (F, *lead), as the products over channels need them.

    A few transforms at a time are transposed while the caches hold them. If the operations are ``recorded`` by autograd
    or followed by a function transform, all are transposed at once.
    """

    recorded: bool = field(default=False, compare=False)

    @functools.cached_property
    def frequency_counts(self) -> tuple[int, ...]:
        """Frequencies per axis; the last axis keeps those that are not mirror images."""
        *other_lengths, length = self.lengths
        return (*other_lengths, length // 2 + 1)

    def analyse(self, samples: Tensor, positions: Positions) -> Tensor:
        """Samples (*lead, *J) -> complex spectrum (F, *lead)."""
        axes = len(positions)
        lead = samples.shape[:-axes]
        flat = samples.reshape(-1, *samples.shape[-axes:])
        if self.recorded:
            natural = super().analyse(flat, positions)
            return natural.flatten(1).t().reshape(-1, *lead)
        frequencies = math.prod(self.frequency_counts)
        spectrum = samples.new_empty(frequencies, flat.shape[0], dtype=samples.dtype.to_complex())
        step = _transforms_at_a_time(frequencies, samples.element_size())
        for start in range(0, flat.shape[0], step):
            chunk = slice(start, start + step)
            natural = super().analyse(flat[chunk], positions)
            spectrum[:, chunk] = natural.flatten(1).t()
            del natural  # before the next transform allocates
        return spectrum.view(-1, *lead)

    def synthesise(
        self,
        spectrum: Tensor,
        positions: Positions,
        into: Tensor | None = None,
    ) -> Tensor:
        """Complex spectrum (F, *lead) -> samples (*lead, *J) of its inverse; written ``into`` a tensor if given."""
        lead = spectrum.shape[1:]
        natural = spectrum.flatten(1).t().unflatten(1, self.frequency_counts)
        if self.recorded:
            flat = super().synthesise(natural, positions)
            samples = flat.unflatten(0, lead)
            return samples if into is None else into.copy_(samples)
        counts = tuple(map(len, positions))
        samples = into
        if samples is None or not samples.is_contiguous():
            samples = spectrum.real.new_empty(*lead, *counts)
        flat = samples.view(-1, *counts)
        step = _transforms_at_a_time(spectrum.shape[0], flat.element_size())
        for start in range(0, flat.shape[0], step):
            chunk = slice(start, start + step)
            super().synthesise(natural[chunk], positions, flat[chunk])
        return samples if into is None or into is samples else into.copy_(samples)


def _transforms_at_a_time(frequencies: int, item_bytes: int) -> int:
    """Return the number of spectra that are transposed together."""
    spectrum_bytes = 2 * item_bytes * frequencies
    return max(CHUNK_BYTES // spectrum_bytes, CHUNK_TRANSFORMS)


def _spread(
    samples: Tensor,
    positions: Positions,
    lengths: tuple[int, ...],
) -> Tensor:
    """Return the samples at their positions, with zeros elsewhere."""
    lead = samples.shape[: -len(lengths)]
    whole = samples.new_zeros(*lead, *lengths)
    for source, target in _spread_indices(positions, lengths):
        whole[target] = samples[source]
    return whole


@functools.lru_cache(maxsize=1024)
def _spread_indices(positions: Positions, lengths: tuple[int, ...]) -> tuple[tuple[Index, Index], ...]:
    """Return pairs of indices: of samples, and of the places where they go."""
    segments_per_axis = []
    for place, length in zip(positions, lengths, strict=True):
        segments_per_axis.append(wrapped_segments(place, length))
    indices = []
    for segments in itertools.product(*segments_per_axis):
        sources, targets = zip(*segments, strict=True)
        source = (..., *sources)
        target = (..., *targets)
        indices.append((source, target))
    return tuple(indices)


def _gather(samples: Tensor, place: range, axis: int) -> Tensor:
    """Return the samples at a place along one axis, which is counted from the end."""
    indices = _gather_indices(place, samples.shape[axis], axis)
    if len(indices) == 1:
        return samples[indices[0]]
    segments = [samples[index] for index in indices]
    return torch.cat(segments, axis)


@functools.lru_cache(maxsize=1024)
def _gather_indices(
    place: range,
    length: int,
    axis: int,
) -> tuple[Index, ...]:
    """Return the index of each segment of a place along one axis."""
    later_axes = (slice(None),) * (-axis - 1)
    segments = wrapped_segments(place, length)
    return tuple((..., target, *later_axes) for _, target in segments)


def wrapped_segments(place: range, length: int) -> list[tuple[slice, slice]]:
    """Return (samples, places) along a circular axis: two pairs if the positions go beyond its end.

    Example:
        >>> wrapped_segments(range(-2, 3), 8)
        [(slice(0, 2, None), slice(6, 8, 1)), (slice(2, 5, None), slice(0, 3, 1))]
    """
    step = place.step
    count = len(place)
    first = place.start % length
    places_left = math.ceil((length - first) / step)
    before_end = min(places_left, count)
    last = first + (before_end - 1) * step
    segments = [(slice(0, before_end), slice(first, last + 1, step))]
    if before_end < count:
        wrapped = count - before_end
        first = first + before_end * step - length
        last = first + (wrapped - 1) * step
        segments.append((slice(before_end, count), slice(first, last + 1, step)))
    return segments
