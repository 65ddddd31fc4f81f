"""The discrete Fourier transform as matrix products: for short axes faster than an FFT, and free of copies.

Legend: ``L`` product of the leading axes, ``F`` frequencies so far, ``J`` samples of an axis, ``P`` its frequencies.

A matrix maps samples at any positions to any frequencies. Padding, stride, dilation and cropping therefore cost
nothing: they are rows that are left out. Each stage multiplies from the left, ``(P, J) @ (J, L)``, which puts the new
frequencies in front. After the last axis the spectrum is frequency first, as the products over channels need it.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

Positions = tuple[range, ...]
"""Positions of samples per axis."""
CACHE_BYTES = 2**26
"""Limit of the matrices that are cached: a few per size of signal and kernel."""


class Split(NamedTuple):
    """A spectrum in two real tensors, frequency first."""

    real: Tensor  # (F, *lead)
    imag: Tensor  # (F, *lead)

    def at(self, frequencies: slice) -> "Split":
        """Return some of the frequencies."""
        return Split(self.real[frequencies], self.imag[frequencies])

    @property
    def nbytes(self) -> int:
        """Memory of both tensors, as ``Tensor.nbytes``."""
        return self.real.nbytes + self.imag.nbytes


@dataclass(frozen=True)
class MatrixTransform:
    r"""Real transform :math:`X(f) = \sum_j x_j e^{-2\pi i f p_j / n}` of samples at positions :math:`p_j`.

    The last axis keeps ``n // 2 + 1`` frequencies. With ``fold > 1`` (one axis only) the axis of ``n = N_1 N_2``
    samples, ``N_2`` the fold, is transformed in two stages (Cooley & Tukey 1965) whose twiddle factors are part of
    the matrices. It then keeps ``(N_1 // 2 + 1) N_2`` frequencies, some of them twice. Function transforms need
    ``in_place=False``.

    Example:
        >>> transform, x = MatrixTransform((6,)), torch.arange(4.0)
        >>> bool(torch.allclose(transform.analyse(x, (range(4),)).real, torch.fft.rfft(x, n=6).real, atol=1e-5))
        True
    """

    lengths: tuple[int, ...]
    fold: int = 1
    in_place: bool = field(default=True, compare=False)

    def analyse(self, samples: Tensor, positions: Positions) -> Split:
        """Samples (*lead, *J) -> spectrum (F, *lead)."""
        lead = samples.shape[: -len(positions)]
        if self.fold > 1:
            samples = _fold(samples, self.fold)
        stages = make_stages(self, positions, -1, samples.dtype, samples.device)
        flat = samples.reshape(-1, samples.shape[-1]).t()
        cos, sin = stages.first
        real = torch.mm(cos, flat)
        imag = torch.mm(sin, flat)
        for cos, sin in stages.later:
            frequencies = real.shape[0]
            line = cos.shape[2]
            cos = cos.expand(frequencies, -1, -1)
            sin = sin.expand(frequencies, -1, -1)
            lines_real = real.view(frequencies, -1, line).mT
            lines_imag = imag.view(frequencies, -1, line).mT
            real = add_product(
                torch.bmm(cos, lines_real),
                sin,
                lines_imag,
                -1,
                in_place=self.in_place,
            ).flatten(0, 1)
            imag = add_product(
                torch.bmm(sin, lines_real),
                cos,
                lines_imag,
                1,
                in_place=self.in_place,
            ).flatten(0, 1)
        return Split(real.view(-1, *lead), imag.view(-1, *lead))

    def synthesise(
        self,
        spectrum: Split,
        positions: Positions,
        into: Tensor | None = None,
    ) -> Tensor:
        """Spectrum (F, *lead) -> samples (*lead, *J) of its inverse transform; written ``into`` a tensor if given."""
        real, imag = spectrum
        lead = real.shape[1:]
        stages = make_stages(self, positions, 1, real.dtype, real.device)
        for cos, sin in reversed(stages.later):
            line = cos.shape[1]
            frequencies = real.shape[0] // line
            cos = cos.expand(frequencies, -1, -1)
            sin = sin.expand(frequencies, -1, -1)
            lines_real = real.reshape(frequencies, line, -1).mT
            lines_imag = imag.reshape(frequencies, line, -1).mT
            real = add_product(
                torch.bmm(lines_real, cos),
                lines_imag,
                sin,
                -1,
                in_place=self.in_place,
            ).flatten(1)
            imag = add_product(
                torch.bmm(lines_real, sin),
                lines_imag,
                cos,
                1,
                in_place=self.in_place,
            ).flatten(1)
        cos, sin = stages.first
        flat_real = real.reshape(real.shape[0], -1).t()
        flat_imag = imag.reshape(imag.shape[0], -1).t()
        if into is not None and self.fold == 1 and into.is_contiguous():
            flat = into.view(-1, cos.shape[1])
            torch.mm(flat_real, cos, out=flat).addmm_(flat_imag, sin, alpha=-1)
            return into
        samples = add_product(
            torch.mm(flat_real, cos),
            flat_imag,
            sin,
            -1,
            in_place=self.in_place,
        )
        if self.fold > 1:
            samples = _unfold(samples, self.fold, lead, positions)
        samples = samples.view(*lead, *(len(place) for place in positions))
        return samples if into is None else into.copy_(samples)

    def frequency_weights(
        self,
        dtype: torch.dtype,
        device: torch.device,
    ) -> Tensor:  # shape: (F,)
        """How often each frequency that is kept counts in a sum over all of them, over the number of samples."""
        *other_lengths, length = self.lengths
        counts = multiplicity(length // self.fold) / math.prod(self.lengths)
        others = math.prod(other_lengths) * self.fold
        return counts.to(device, dtype).repeat_interleave(others)


def add_product(
    total: Tensor,
    a: Tensor,
    b: Tensor,
    factor: int,
    *,
    in_place: bool,
) -> Tensor:
    """Return ``total + factor a b`` for a matrix or a batch of matrices; function transforms need a new tensor."""
    if not in_place:
        return total + factor * (a @ b)
    if total.dim() == 2:
        return total.addmm_(a, b, alpha=factor)
    return total.baddbmm_(a, b, alpha=factor)


def _fold(samples: Tensor, fold: int) -> Tensor:
    """(*lead, J) -> (*lead, fold, J1): sample ``fold j1 + j2`` at (j2, j1), zeros at the end."""
    missing = -samples.shape[-1] % fold
    padded = F.pad(samples, (0, missing))
    return padded.unflatten(-1, (-1, fold)).mT


def _unfold(
    samples: Tensor,
    fold: int,
    lead: torch.Size,
    positions: Positions,
) -> Tensor:
    """(lead fold, J1) -> (*lead, J), the inverse of :func:`_fold`."""
    count = len(positions[-1])
    whole = samples.view(*lead, fold, -1).mT.flatten(-2)
    return whole[..., :count].contiguous()


class Stages(NamedTuple):
    """The matrices of one transform: pairs of cosine and signed sine, one per stage."""

    first: tuple[Tensor, Tensor]  # (P, J), real to complex
    later: tuple[tuple[Tensor, Tensor], ...]  # (1 or F, P, J), complex to complex


def make_stages(
    transform: MatrixTransform,
    positions: Positions,
    sign: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Stages:
    """Return the matrices from samples at ``positions`` to frequencies (``sign`` -1), or those of the inverse (1)."""
    if not transform.in_place:  # function transforms have tensors of their own, which must not be cached
        return _build_stages(transform, positions, sign, dtype, device)
    key = (transform, positions, sign, dtype, device)
    return _STAGES.get(key, lambda: _build_stages(*key))


def _build_stages(
    transform: MatrixTransform,
    positions: Positions,
    sign: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Stages:
    lengths = transform.lengths
    half_length = lengths[-1] // transform.fold
    if transform.fold > 1:
        first, *later = _folded_stages(lengths[-1], transform.fold, positions[-1], sign)
    else:
        first = _phases(
            _count(half_length // 2 + 1),
            _places(positions[-1]),
            half_length,
            sign,
        )
        later = []
        for axis in reversed(range(len(lengths) - 1)):
            frequencies = _count(lengths[axis])[None]
            later.append(_phases(frequencies, _places(positions[axis]), lengths[axis], sign))
    if sign > 0:
        weights = multiplicity(half_length)[:, None] / math.prod(lengths)
        first = (first[0] * weights, first[1] * weights)
    stages = []
    for cos, sin in (first, *later):
        stages.append((cos.to(device, dtype), sin.to(device, dtype)))
    return Stages(stages[0], tuple(stages[1:]))


def _folded_stages(
    length: int,
    fold: int,
    place: range,
    sign: int,
) -> list[tuple[Tensor, Tensor]]:
    """Return the matrices of two stages.

    Sample ``fold j1 + j2`` meets frequency ``k1 + (length / fold) k2``: the first stage sums over ``j1``, the second
    over ``j2``.
    """
    first_length = length // fold
    k1 = _count(first_length // 2 + 1)
    j1 = _count(-(-len(place) // fold))
    first = _phases(k1, place.step * j1, first_length, sign)
    frequencies = k1[:, None] + first_length * _count(fold)
    second = _phases(
        frequencies,
        place.start + place.step * _count(fold),
        length,
        sign,
    )
    return [first, second]


def multiplicity(length: int) -> Tensor:
    """Return 1 for frequencies 0 and n / 2, and 2 for those whose mirror image is left out."""
    counts = torch.full((length // 2 + 1,), 2.0, dtype=torch.float64, device="cpu")
    counts[0] = 1
    if length % 2 == 0:
        counts[-1] = 1
    return counts


def _phases(
    frequencies: Tensor,
    positions: Tensor,
    length: int,
    sign: int,
) -> tuple[Tensor, Tensor]:
    """Return cosine and signed sine of 2 pi f p / n; the product f p is reduced as integers, without rounding."""
    turns = frequencies[..., None] * positions % length
    angle = turns.double() * (2 * math.pi / length)
    return angle.cos(), angle.sin() * sign


def _count(number: int) -> Tensor:
    return torch.arange(number, device="cpu")  # phases need double precision, which some devices lack


def _places(positions: range) -> Tensor:
    return positions.start + positions.step * _count(len(positions))


T = TypeVar("T")


class TensorCache(Generic[T]):
    """A cache of values that consist of tensors, limited in bytes; the least recently used go first.

    Example:
        >>> cache = TensorCache(lambda tensor: [tensor], limit=1000)
        >>> cache.get("ones", lambda: torch.ones(3)) is cache.get("ones", lambda: torch.ones(3))
        True
    """

    def __init__(
        self,
        tensors: Callable[[T], list[Tensor]],
        *,
        limit: int,
    ) -> None:
        self._tensors = tensors
        self._limit = limit
        self._entries: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of ``key``, made if it is not cached; large values and unusual tensors are not cached."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
        # Not as inference tensors: another caller may differentiate through them.
        with torch.inference_mode(False):
            value = make()
        # Tracers have tensors of their own, which must not outlive the trace.
        ordinary = all(type(tensor) is Tensor for tensor in self._tensors(value))
        if ordinary and 4 * self._bytes(value) <= self._limit:
            with self._lock:
                self._entries[key] = value
                while self.nbytes > self._limit:
                    self._entries.popitem(last=False)
        return value

    @property
    def nbytes(self) -> int:
        """Memory of all values."""
        return sum(self._bytes(value) for value in self._entries.values())

    def _bytes(self, value: T) -> int:
        return sum(tensor.nbytes for tensor in self._tensors(value))


def _tensors_of(stages: Stages) -> list[Tensor]:
    return [matrix for stage in (stages.first, *stages.later) for matrix in stage]


_STAGES: TensorCache[Stages] = TensorCache(_tensors_of, limit=CACHE_BYTES)
