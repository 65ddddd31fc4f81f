"""The discrete Fourier transform by torch's FFT library: for long axes."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .dft import Positions, Split, multiplicity
from .plan import last_axes


@dataclass(frozen=True)
class LibraryTransform:
    """Real transform of samples at given positions, modulo the lengths; same meaning as the matrix products.

    Example:
        >>> moved = LibraryTransform((6,)).analyse(torch.arange(4.0), (range(-1, 3),))
        >>> bool(torch.allclose(moved, torch.fft.rfft(torch.tensor([1.0, 2.0, 3.0, 0.0, 0.0, 0.0]))))
        True
    """

    lengths: tuple[int, ...]

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
class SplitLibraryTransform(LibraryTransform):
    """The same with the spectrum laid out for channel products: split and frequency first."""

    def analyse(self, samples: Tensor, positions: Positions) -> Split:  # type: ignore[override]
        spectrum = super().analyse(samples, positions)
        lead = spectrum.shape[: -len(positions)]
        parts = torch.view_as_real(spectrum).reshape(lead.numel(), -1, 2).permute(2, 1, 0).contiguous()
        return Split(*parts.view(2, -1, *lead))

    def synthesise(  # type: ignore[override]
        self, spectrum: Split, positions: Positions, into: Tensor | None = None
    ) -> Tensor:
        lead = spectrum.real.shape[1:]
        parts = torch.stack([part.flatten(1).t() for part in spectrum], dim=-1)
        shape = (*self.lengths[:-1], self.lengths[-1] // 2 + 1)
        return super().synthesise(torch.view_as_complex(parts).view(*lead, *shape), positions, into)

    def frequency_weights(self, dtype: torch.dtype, device: torch.device) -> Tensor:  # shape: (F,)
        """How often each kept frequency counts in a sum over all of them, over the number of samples."""
        others = math.prod(self.lengths[:-1])
        counts = multiplicity(self.lengths[-1]) / (others * self.lengths[-1])
        return counts.to(device, dtype).repeat(others)
