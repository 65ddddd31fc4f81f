"""Problems with a known exact answer."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Delta:
    """Kernel that is 1 at one tap: the output is the input, shifted by ``tap - left`` samples."""

    length: int
    tap: int

    def kernel(self) -> Tensor:
        kernel = torch.zeros(1, 1, self.length, dtype=torch.float64)
        kernel[..., self.tap] = 1
        return kernel

    def exact(self, x: Tensor, left: int) -> Tensor:
        """Return x (B, 1, T) read ``tap - left`` samples later: the output at padding (left, length - 1 - left)."""
        shift, length = self.tap - left, x.shape[-1]
        shifted = torch.zeros_like(x)
        for t in range(length):
            if 0 <= t + shift < length:
                shifted[..., t] = x[..., t + shift]
        return shifted


@dataclass(frozen=True)
class GaussianBlur:
    """Gaussian of width ``a`` convolved with one of width ``b``, in samples: a Gaussian of width sqrt(a^2 + b^2)."""

    a: float
    b: float
    length: int = 257

    def _gaussian(self, width: float) -> Tensor:
        t = torch.arange(self.length, dtype=torch.float64) - self.length // 2
        return (torch.exp(-0.5 * (t / width) ** 2) / (width * math.sqrt(2 * math.pi))).view(1, 1, -1)

    def signal(self) -> Tensor:
        return self._gaussian(self.a)

    def kernel(self) -> Tensor:
        return self._gaussian(self.b)

    def exact(self) -> Tensor:
        return self._gaussian(math.hypot(self.a, self.b))


@dataclass(frozen=True)
class Sinusoid:
    """Sinusoid through a symmetric kernel: it is scaled by the kernel's transfer function at its frequency."""

    cycles: float  # cycles per sample
    length: int = 120

    def signal(self) -> Tensor:
        t = torch.arange(self.length, dtype=torch.float64)
        return torch.sin(2 * math.pi * self.cycles * t).view(1, 1, -1)

    def exact(self, half: list[float]) -> Tensor:
        """Return the valid samples of the output; ``half`` lists taps 0, 1, 2 ... of the symmetric kernel."""
        gain = half[0] + 2 * sum(h * math.cos(2 * math.pi * self.cycles * j) for j, h in enumerate(half) if j)
        margin = len(half) - 1
        return gain * self.signal()[..., margin : self.length - margin]


@dataclass(frozen=True)
class PlantedWidth:
    """White noise convolved with a Gaussian kernel of known width, in the unit of the [-1, 1] coordinate."""

    horizon: tuple[int, ...]
    width: tuple[float, ...]
    signal: tuple[int, ...]
    batch: int = 8
    causal: bool = False

    def kernel(self, dtype: torch.dtype = torch.float32) -> Tensor:  # (1, 1, *horizon)
        kernel = torch.ones((), dtype=torch.float64)
        for length, width in zip(self.horizon, self.width, strict=True):
            x = torch.linspace(-1, 1, length, dtype=torch.float64) - float(self.causal)
            kernel = kernel[..., None] * torch.exp(-0.5 * (x / width) ** 2)
        return (kernel / kernel.square().sum().sqrt()).to(dtype)[None, None]

    def data(self, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Return input and target, both (batch, 1, *signal)."""
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(self.batch, 1, *self.signal, generator=generator)
        pads = []
        for length in reversed(self.horizon):
            left = length - 1 if self.causal else (length - 1) // 2
            pads += [left, length - 1 - left]
        conv = {1: torch.nn.functional.conv1d, 2: torch.nn.functional.conv2d}[len(self.horizon)]
        return x, conv(torch.nn.functional.pad(x, pads), self.kernel())


def extent(weight: Tensor, causal: bool = False) -> list[float]:
    """Return the standard deviation per axis of a kernel (1, 1, *K), in samples, weighted by its energy.

    Energy rather than amplitude: it is defined for kernels of either sign, a least-squares fit on white noise
    determines it (the loss is the energy of the difference), and a faint noisy tail far from the centre hardly changes
    it. For a causal kernel, the distance is measured from the most recent sample.
    """
    energy = weight.detach().double()[0, 0].square()
    deviations = []
    for axis, length in enumerate(energy.shape):
        marginal = energy.movedim(axis, 0).reshape(length, -1).sum(1)
        share = marginal / marginal.sum()
        t = torch.arange(length, dtype=torch.float64)
        middle = float(length - 1) if causal else (share * t).sum().item()
        variance = (share * (t - middle) ** 2).sum().item()
        deviations.append(math.sqrt(variance))
    return deviations
