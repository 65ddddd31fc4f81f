"""The discrete Fourier transform as matrix products: for short axes faster than an FFT, and free of copies.

Legend: ``L`` product of the leading axes, ``F`` frequencies so far, ``J`` samples of an axis, ``P`` its frequencies.

A matrix takes samples at any positions to any frequencies, so padding, stride, dilation and cropping cost nothing:
they are rows left out. Each stage multiplies from the left, ``(P, J) @ (J, L)``, which puts the new frequencies in
front; after the last axis the spectrum lies frequency first, as the channel products want it.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ..._support.tracing import transforming

Positions = tuple[range, ...]


T = TypeVar("T")


class Kept(Generic[T]):
    """A cache bounded by the bytes of the tensors it holds; what was not used for longest goes first.

    Example:
        >>> kept = Kept(lambda made: [made], limit=1000)
        >>> kept.get("ones", lambda: torch.ones(3)) is kept.get("ones", lambda: torch.ones(3))
        True
    """

    def __init__(self, tensors: Callable[[T], list[Tensor]], *, limit: int) -> None:
        self._tensors, self._limit = tensors, limit
        self._entries: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What was made for ``key``, or made now; large or unusual tensors are made anew every time."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
        # Not as inference tensors: another caller may differentiate through them.
        with torch.inference_mode(False):
            made = make()
        # Tracers have tensors of their own, which must not outlive the trace.
        if all(type(tensor) is Tensor for tensor in self._tensors(made)) and 4 * self._bytes(made) <= self._limit:
            with self._lock:
                self._entries[key] = made
                while sum(map(self._bytes, self._entries.values())) > self._limit:
                    self._entries.popitem(last=False)
        return made

    def _bytes(self, made: T) -> int:
        return sum(tensor.nbytes for tensor in self._tensors(made))


class Split(NamedTuple):
    """A spectrum in two real tensors, frequency first."""

    real: Tensor  # (F, *lead)
    imag: Tensor  # (F, *lead)

    def at(self, part: slice) -> "Split":
        """Some of the frequencies."""
        return Split(self.real[part], self.imag[part])

    @property
    def nbytes(self) -> int:
        """Memory of both, as tensors tell theirs."""
        return self.real.nbytes + self.imag.nbytes


class Stages(NamedTuple):
    """The matrices of one transform: cosine and signed sine of the first axis, and of the others in turn."""

    first: tuple[Tensor, Tensor]  # (P, J), real to complex
    rest: tuple[tuple[Tensor, Tensor], ...]  # (1 or F, P, J), complex to complex


@dataclass(frozen=True)
class MatrixTransform:
    r"""Real transform :math:`X(f) = \sum_j x_j e^{-2\pi i f p_j / n}` of samples at positions :math:`p_j`.

    The last axis keeps ``n // 2 + 1`` frequencies. With ``fold > 1`` (one axis only) the axis of ``n = N_1 N_2``
    samples, ``N_2`` the fold, is transformed in two stages (Cooley & Tukey 1965) whose twiddle factors are part of
    the matrices; it then keeps ``(N_1 // 2 + 1) N_2`` frequencies, some of them twice.

    Example:
        >>> transform, x = MatrixTransform((6,)), torch.arange(4.0)
        >>> bool(torch.allclose(transform.analyse(x, (range(4),)).real, torch.fft.rfft(x, n=6).real, atol=1e-5))
        True
    """

    lengths: tuple[int, ...]
    fold: int = 1

    def analyse(self, samples: Tensor, positions: Positions) -> Split:
        """Samples (*lead, *J) -> spectrum (F, *lead)."""
        lead = samples.shape[: -len(positions)]
        if self.fold > 1:
            samples = _fold(samples, self.fold)
        (cos, sin), rest = make_stages(self, positions, -1, samples.dtype, samples.device)
        flat = samples.reshape(-1, samples.shape[-1]).t()
        real, imag = torch.mm(cos, flat), torch.mm(sin, flat)
        for cos, sin in rest:
            f, j = real.shape[0], cos.shape[2]
            cos, sin = cos.expand(f, -1, -1), sin.expand(f, -1, -1)
            zr, zi = real.view(f, -1, j).mT, imag.view(f, -1, j).mT
            real = add_product(torch.bmm(cos, zr), sin, zi, -1).flatten(0, 1)
            imag = add_product(torch.bmm(sin, zr), cos, zi).flatten(0, 1)
        return Split(real.view(-1, *lead), imag.view(-1, *lead))

    def synthesise(self, spectrum: Split, positions: Positions, into: Tensor | None = None) -> Tensor:
        """Spectrum (F, *lead) -> samples (*lead, *J) of its inverse transform; written ``into`` a tensor if given."""
        (real, imag), lead = spectrum, spectrum.real.shape[1:]
        last, rest = make_stages(self, positions, 1, real.dtype, real.device)
        for cos, sin in reversed(rest):
            p = cos.shape[1]
            f = real.shape[0] // p
            cos, sin = cos.expand(f, -1, -1), sin.expand(f, -1, -1)
            yr, yi = real.reshape(f, p, -1).mT, imag.reshape(f, p, -1).mT
            real = add_product(torch.bmm(yr, cos), yi, sin, -1).flatten(1)
            imag = add_product(torch.bmm(yr, sin), yi, cos).flatten(1)
        cos, sin = last
        flat = [part.reshape(part.shape[0], -1).t() for part in (real, imag)]
        if into is not None and self.fold == 1 and into.is_contiguous():
            torch.mm(flat[0], cos, out=into.view(-1, cos.shape[1])).addmm_(flat[1], sin, alpha=-1)
            return into
        samples = add_product(torch.mm(flat[0], cos), flat[1], sin, -1)
        samples = _unfold(samples, self.fold, lead, positions) if self.fold > 1 else samples
        samples = samples.view(*lead, *(len(p) for p in positions))
        return samples if into is None else into.copy_(samples)

    def frequency_weights(self, dtype: torch.dtype, device: torch.device) -> Tensor:  # shape: (F,)
        """How often each kept frequency counts in a sum over all of them, over the number of samples."""
        counts = multiplicity(self.lengths[-1] // self.fold) / math.prod(self.lengths)
        others = math.prod(self.lengths[:-1]) * self.fold
        return counts.to(device, dtype).repeat_interleave(others)


def add_product(total: Tensor, a: Tensor, b: Tensor, factor: int = 1) -> Tensor:
    """``total + factor a b`` for a matrix or a batch of them, in place where no function transform looks on."""
    if transforming():
        return total + factor * (a @ b)
    return total.addmm_(a, b, alpha=factor) if total.dim() == 2 else total.baddbmm_(a, b, alpha=factor)


def _fold(samples: Tensor, fold: int) -> Tensor:
    """(*lead, J) -> (*lead, fold, J1): sample ``fold j1 + j2`` at (j2, j1), zeros at the end."""
    return F.pad(samples, (0, -samples.shape[-1] % fold)).unflatten(-1, (-1, fold)).mT


def _unfold(samples: Tensor, fold: int, lead: torch.Size, positions: Positions) -> Tensor:
    """(lead fold, J1) -> (*lead, J), the inverse of :func:`_fold`."""
    whole = samples.view(*lead, fold, -1).mT.flatten(-2)
    return whole[..., : len(positions[-1])].contiguous()


def multiplicity(length: int) -> Tensor:
    """1 for frequencies 0 and n / 2, which stand for themselves; 2 for those whose mirror image is left out."""
    counts = torch.full((length // 2 + 1,), 2.0, dtype=torch.float64, device="cpu")
    counts[0] = 1
    if length % 2 == 0:
        counts[-1] = 1
    return counts


def _phases(frequencies: Tensor, positions: Tensor, length: int, sign: int) -> tuple[Tensor, Tensor]:
    """Cosine and signed sine of 2 pi f p / n; the product is reduced as integers, so nothing is lost."""
    angle = (frequencies[..., None] * positions % length).double() * (2 * math.pi / length)
    return angle.cos(), angle.sin() * sign


_KEPT: Kept[Stages] = Kept(
    lambda stages: [*stages.first, *(part for pair in stages.rest for part in pair)], limit=2**26
)
"""Matrices in use: a few per size of signal and kernel."""


def make_stages(
    transform: MatrixTransform, positions: Positions, sign: int, dtype: torch.dtype, device: torch.device
) -> Stages:
    """The matrices from samples at ``positions`` to frequencies, or back (``sign`` 1, with the inverse's weights)."""
    if transforming():
        return _build_stages(transform, positions, sign, dtype, device)
    key = (transform, positions, sign, dtype, device)
    return _KEPT.get(key, lambda: _build_stages(*key))


def _build_stages(
    transform: MatrixTransform, positions: Positions, sign: int, dtype: torch.dtype, device: torch.device
) -> Stages:
    lengths, fold = transform.lengths, transform.fold
    half, last = lengths[-1] // fold, positions[-1]
    if fold > 1:
        # Sample fold j1 + j2 at frequency k1 + (n / fold) k2: the first stage sums over j1, the second over j2.
        k1 = _count(half // 2 + 1)
        first = _phases(k1, last.step * _count(-(-len(last) // fold)), half, sign)
        k = k1[:, None] + half * _count(fold)
        rest = [_phases(k, last.start + last.step * _count(fold), lengths[-1], sign)]
    else:
        first = _phases(_count(half // 2 + 1), _places(last), half, sign)
        axes = list(zip(lengths[:-1], positions[:-1], strict=True))[::-1]
        rest = [_phases(_count(n)[None], _places(p), n, sign) for n, p in axes]
    if sign > 0:
        weights = multiplicity(half)[:, None] / math.prod(lengths)
        first = (first[0] * weights, first[1] * weights)
    cast = [(cos.to(device, dtype), sin.to(device, dtype)) for cos, sin in (first, *rest)]
    return Stages(cast[0], tuple(cast[1:]))


def _count(number: int) -> Tensor:
    return torch.arange(number, device="cpu")  # in double precision, which not every device has


def _places(positions: range) -> Tensor:
    return positions.start + positions.step * _count(len(positions))
