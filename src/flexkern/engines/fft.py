"""The discrete Fourier transform by torch's FFT library: for long axes."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..axes import last_axes
from ..tracing import plain_operations
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
        if any(p.step > 1 for p in positions):
            spread = samples.new_zeros(*samples.shape[: -len(axes)], *(p[-1] - p[0] + 1 for p in positions))
            spread[last_axes(slice(None, None, p.step) for p in positions)] = samples
            samples = spread
        if any(p.start for p in positions):
            margins = [n - j for n, j in zip(self.lengths, samples.shape[-len(axes) :], strict=True)]
            samples = F.pad(samples, [side for margin in reversed(margins) for side in (0, margin)])
            samples = torch.roll(samples, tuple(p.start for p in positions), axes)
        return torch.fft.rfftn(samples, s=self.lengths, dim=axes)

    def synthesise(self, spectrum: Tensor, positions: Positions, into: Tensor | None = None) -> Tensor:
        """Complex spectrum (*lead, *F) -> samples (*lead, *J) of its inverse; written ``into`` a tensor if given."""
        axes = tuple(range(-len(positions), 0))
        samples = torch.fft.irfftn(spectrum, s=self.lengths, dim=axes)
        if any(p.start for p in positions):
            samples = torch.roll(samples, tuple(-p.start for p in positions), axes)
        samples = samples[last_axes(slice(0, p[-1] - p[0] + 1, p.step) for p in positions)]
        return samples if into is None else into.copy_(samples)


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
