"""Sums over channels and over the batch, one per frequency: what is left of a convolution between two transforms.

Legend: ``F`` frequencies, ``G`` groups, ``B`` batch, ``I`` and ``O`` channels per group. Signal spectra are
``x`` (G, B, I), output spectra ``y`` (G, B, O), kernel spectra ``w`` (G, O, I); where a group has one channel in and
out (depthwise) the product is pointwise, and spectra are ``x``, ``y`` (B, C) and ``w`` (C).

    forward          y = x w*        summed over I; given ``conjugate(w)``
    input gradient   x = y w         summed over O
    weight gradient  w = x y*        summed over B
"""

import torch
from torch import Tensor

from ..._support.tracing import plain_operations
from .dft import Split, add_product

FEW = 4
"""So many signals are added up one by one, which saves a tensor of all products; more take too many calls."""


class DenseSplit:
    """Matrix products of split spectra, frequency first; one batch of F G of them."""

    def conjugate(self, w: Split) -> Split:
        """Itself: signs cost nothing here."""
        return w

    def forward(self, x: Split, w: Split) -> Split:
        return _multiply(x, Split(w.real.mT, w.imag.mT), conjugate="b")

    def input_gradient(self, y: Split, w: Split, into: Split | None = None) -> Split:
        if into is None:
            return _multiply(y, w)
        (real, imag), (yr, yi, wr, wi) = map(_batched, into), map(_batched, (*y, *w))
        torch.bmm(yr, wr, out=real).baddbmm_(yi, wi, alpha=-1)
        torch.bmm(yr, wi, out=imag).baddbmm_(yi, wr)
        return into

    def weight_gradient(self, x: Split, y: Split, total: Split | None = None) -> Split:
        """Added to ``total`` in place, which saves a tensor as large as all kernels' spectra."""
        y_real, y_imag = y.real.mT, y.imag.mT
        if total is None:
            return _multiply(Split(y_real, y_imag), x, conjugate="a")
        (real, imag), (yr, yi, xr, xi) = map(_batched, total), map(_batched, (y_real, y_imag, *x))
        real.baddbmm_(yr, xr).baddbmm_(yi, xi)
        imag.baddbmm_(yr, xi).baddbmm_(yi, xr, alpha=-1)
        return total


def _batched(part: Tensor) -> Tensor:
    """(..., rows, columns) -> (F G, rows, columns)."""
    return part.reshape(-1, *part.shape[-2:])


def _multiply(a: Split, b: Split, *, conjugate: str = "") -> Split:
    """Complex matrix product from four real ones, one of the factors conjugated."""
    shape = a.real.shape[:-1] + b.real.shape[-1:]
    ar, ai, br, bi = map(_batched, (*a, *b))
    real = add_product(torch.bmm(ar, br), ai, bi, 1 if conjugate else -1)
    if conjugate == "b":
        imag = add_product(torch.bmm(ai, br), ar, bi, -1)
    else:
        imag = add_product(torch.bmm(ar, bi), ai, br, -1 if conjugate else 1)
    return Split(real.view(shape), imag.view(shape))


class DenseComplex:
    """Matrix products of complex spectra, frequency first."""

    def conjugate(self, w: Tensor) -> Tensor:
        return conjugate(w)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return multiply_complex(x, w.mT)

    def input_gradient(self, y: Tensor, w: Tensor, into: Tensor | None = None) -> Tensor:
        if into is None or 1 in w.shape[-2:]:
            product = multiply_complex(y, w)
            return product if into is None else into.copy_(product)
        return torch.matmul(y, w, out=into)

    def weight_gradient(self, x: Tensor, y: Tensor, total: Tensor | None = None) -> Tensor:
        if x.shape[-1] < y.shape[-1]:  # one of the two is conjugated: the lesser, and the result
            product = multiply_complex(x.mH, y).conj_physical_().mT
        elif total is None or 1 in total.shape[-2:]:
            product = multiply_complex(y.mH, x)
        else:
            _batched(total).baddbmm_(_batched(y.mH), _batched(x))
            return total
        return product if total is None else total.add_(product)


def multiply_complex(a: Tensor, b: Tensor) -> Tensor:
    """Matrix product; with thin matrices several times as fast as the library's general one."""
    if a.shape[-1] == 1:
        return a.resolve_conj() * b  # a lazy one is ignored in the first call of compiled code (torch 2.13)
    return (b.mT @ a.mT).mT if b.shape[-1] == 1 else a @ b


class PointwiseSplit:
    """Depthwise, split spectra: x, y (F, B, C), w (F, C)."""

    def conjugate(self, w: Split) -> Split:
        return w

    def forward(self, x: Split, w: Split) -> Split:
        wr, wi = w.real[:, None], w.imag[:, None]
        return Split((x.real * wr).addcmul_(x.imag, wi), (x.imag * wr).addcmul_(x.real, wi, value=-1))

    def input_gradient(self, y: Split, w: Split, into: Split | None = None) -> Split:
        (wr, wi), (real, imag) = (part[:, None] for part in w), into or (None, None)
        real = torch.mul(y.real, wr, out=real).addcmul_(y.imag, wi, value=-1)
        return Split(real, torch.mul(y.imag, wr, out=imag).addcmul_(y.real, wi))

    def weight_gradient(self, x: Split, y: Split, total: Split | None = None) -> Split:
        real = (x.real * y.real).addcmul_(x.imag, y.imag).sum(1)
        imag = (x.imag * y.real).addcmul_(x.real, y.imag, value=-1).sum(1)
        return Split(real, imag) if total is None else Split(total.real.add_(real), total.imag.add_(imag))


class PointwiseComplex:
    """Depthwise, complex spectra, frequencies last: x, y (B, C, *F), w (C, *F)."""

    def conjugate(self, w: Tensor) -> Tensor:
        return conjugate(w)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return x * w

    def input_gradient(self, y: Tensor, w: Tensor) -> Tensor:
        return y * w

    def weight_gradient(self, x: Tensor, y: Tensor, total: Tensor | None = None) -> Tensor:
        y = y.conj_physical()
        if plain_operations() or len(x) > FEW:
            part = (x * y).sum(0)
            return part if total is None else total.add_(part)
        total = x[0] * y[0] if total is None else total.addcmul_(x[0], y[0])
        for xs, ys in zip(x[1:], y[1:], strict=True):
            total.addcmul_(xs, ys)
        return total


def conjugate(w: Tensor) -> Tensor:
    """Computed, in place where nobody looks on: matrix products would resolve a lazy one every time."""
    return torch.complex(w.real, -w.imag) if plain_operations() else w.conj_physical_()
