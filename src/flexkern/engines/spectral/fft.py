"""The discrete Fourier transform by torch's FFT library: for long axes."""

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..._support.axes import last_axes
from ..._support.tracing import plain_operations
from .dft import Positions, multiplicity

PART_BYTES, PART_LEAST = 2**20, 8
"""Spectra that are turned round at a time: what a core's own cache holds, and no less than fills its lines."""


@dataclass(frozen=True)
class LibraryTransform:
    """Real transform of samples at given positions, modulo the lengths; same meaning as the matrix products.

    Example:
        >>> moved = LibraryTransform((6,)).analyse(torch.arange(4.0), (range(-1, 3),))
        >>> bool(torch.allclose(moved, torch.fft.rfft(torch.tensor([1.0, 2.0, 3.0, 0.0, 0.0, 0.0]))))
        True
    """

    lengths: tuple[int, ...]

    @property
    def kept(self) -> tuple[int, ...]:
        """Frequencies per axis."""
        return (*self.lengths[:-1], self.lengths[-1] // 2 + 1)

    def analyse(self, samples: Tensor, positions: Positions) -> Tensor:
        """Samples (*lead, *J) -> complex spectrum (*lead, *F)."""
        axes = tuple(range(-len(positions), 0))
        if any(place.start or place.step > 1 for place in positions):
            samples = _spread(samples, positions, self.lengths)
        return torch.fft.rfftn(samples, s=self.lengths, dim=axes)

    def synthesise(self, spectrum: Tensor, positions: Positions, into: Tensor | None = None) -> Tensor:
        """Complex spectrum (*lead, *F) -> samples (*lead, *J) of its inverse; written ``into`` a tensor if given."""
        for axis, place in zip(range(-len(positions), -1), positions, strict=False):
            # Axis by axis, so that later axes are not transformed where samples are cut off.
            spectrum = _gather(torch.fft.ifft(spectrum, dim=axis), place, axis)
        samples = _gather(torch.fft.irfft(spectrum, n=self.lengths[-1]), positions[-1], -1)
        return samples if into is None else into.copy_(samples)


def _spread(samples: Tensor, positions: Positions, lengths: tuple[int, ...]) -> Tensor:
    """Samples at their positions, zeros elsewhere."""
    whole = samples.new_zeros(*samples.shape[: -len(lengths)], *lengths)
    for parts in itertools.product(*map(_parts, positions, lengths)):
        chosen, places = zip(*parts, strict=True)
        whole[last_axes(places)] = samples[last_axes(chosen)]
    return whole


def _gather(samples: Tensor, place: range, axis: int) -> Tensor:
    """Samples at a place along one axis."""
    after = [slice(None)] * (-axis - 1)
    found = [samples[last_axes([part, *after])] for _, part in _parts(place, samples.shape[axis])]
    return found[0] if len(found) == 1 else torch.cat(found, axis)


def _parts(place: range, length: int) -> list[tuple[slice, slice]]:
    """Which samples lie where along an axis: in two parts if they go beyond its end and on at its beginning.

    Example:
        >>> _parts(range(-2, 3), 8)
        [(slice(0, 2, None), slice(6, 8, 1)), (slice(2, 5, None), slice(0, 3, 1))]
    """
    step, count, first = place.step, len(place), place.start % length
    before = min(math.ceil((length - first) / step), count)
    second = first + before * step - length
    parts = [(slice(0, before), slice(first, first + (before - 1) * step + 1, step))]
    if before < count:
        parts.append((slice(before, count), slice(second, second + (count - before - 1) * step + 1, step)))
    return parts


@dataclass(frozen=True)
class FrequencyFirstTransform(LibraryTransform):
    """The same with the spectrum laid out for channel products: complex, (F, *lead).

    Some transforms at a time are brought into the other order while the caches hold them.
    """

    def analyse(self, samples: Tensor, positions: Positions) -> Tensor:
        lead = samples.shape[: -len(positions)]
        flat = samples.reshape(-1, *samples.shape[-len(positions) :])
        if plain_operations():
            return super().analyse(flat, positions).flatten(1).t().reshape(-1, *lead)
        spectrum = samples.new_empty(math.prod(self.kept), flat.shape[0], dtype=samples.dtype.to_complex())
        for part in self._parts(flat.shape[0], samples.element_size()):
            spectrum[:, part] = super().analyse(flat[part], positions).flatten(1).t()
        return spectrum.view(-1, *lead)

    def synthesise(self, spectrum: Tensor, positions: Positions, into: Tensor | None = None) -> Tensor:
        lead = spectrum.shape[1:]
        natural = spectrum.flatten(1).t().unflatten(1, self.kept)
        if plain_operations():
            samples = super().synthesise(natural, positions).unflatten(0, lead)
            return samples if into is None else into.copy_(samples)
        size = (*lead, *(len(p) for p in positions))
        samples = into if into is not None and into.is_contiguous() else spectrum.real.new_empty(size)
        flat = samples.view(-1, *size[len(lead) :])
        for part in self._parts(len(flat), flat.element_size()):
            super().synthesise(natural[part], positions, flat[part])
        return samples if into is None or into is samples else into.copy_(samples)

    def frequency_weights(self, dtype: torch.dtype, device: torch.device) -> Tensor:  # shape: (F,)
        """How often each kept frequency counts in a sum over all of them, over the number of samples."""
        others = math.prod(self.lengths[:-1])
        counts = multiplicity(self.lengths[-1]) / (others * self.lengths[-1])
        return counts.to(device, dtype).repeat(others)

    def _parts(self, count: int, item: int) -> list[slice]:
        step = max(PART_BYTES // (2 * item * math.prod(self.kept)), PART_LEAST)
        return [slice(start, start + step) for start in range(0, count, step)]
