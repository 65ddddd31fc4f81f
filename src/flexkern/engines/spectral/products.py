"""Sums over channels and over the batch, one per frequency: the step of a convolution between two transforms.

Legend: ``F`` frequencies, ``G`` groups, ``B`` batch, ``I`` and ``O`` channels per group. Signal spectra are
``x`` (G, B, I), output spectra ``y`` (G, B, O), kernel spectra ``w`` (G, O, I). Where a group has one channel in and
out (depthwise), the product is pointwise, and spectra are ``x``, ``y`` (B, C) and ``w`` (C).

    forward          y = x w*        summed over I; given ``conjugate(w)``
    input gradient   x = y w         summed over O
    weight gradient  w = x y*        summed over B

Methods that take ``into`` write their result there, and those that take ``total`` add to it, which saves a tensor.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .dft import Split, add_product

FEW_SIGNALS = 4
"""Up to this many signals are added up one by one, which saves a tensor of all products but takes more calls."""


@dataclass
class DenseSplit:
    """Matrix products of split spectra, frequency first, as one batch of F G matrices.

    Function transforms need ``in_place=False``.
    """

    in_place: bool = True

    def conjugate(self, w: Split) -> Split:
        """Return ``w`` itself: the products choose the signs, at no cost."""
        return w

    def forward(self, x: Split, w: Split) -> Split:
        transposed = Split(w.real.mT, w.imag.mT)
        return self._multiply(x, transposed, conjugate="b")

    def input_gradient(
        self,
        y: Split,
        w: Split,
        into: Split | None = None,
    ) -> Split:
        if into is None:
            return self._multiply(y, w)
        real, imag = _as_batch(into)
        y_real, y_imag = _as_batch(y)
        w_real, w_imag = _as_batch(w)
        torch.bmm(y_real, w_real, out=real).baddbmm_(y_imag, w_imag, alpha=-1)
        torch.bmm(y_real, w_imag, out=imag).baddbmm_(y_imag, w_real)
        return into

    def weight_gradient(
        self,
        x: Split,
        y: Split,
        total: Split | None = None,
    ) -> Split:
        transposed = Split(y.real.mT, y.imag.mT)
        if total is None:
            return self._multiply(transposed, x, conjugate="a")
        real, imag = _as_batch(total)
        y_real, y_imag = _as_batch(transposed)
        x_real, x_imag = _as_batch(x)
        real.baddbmm_(y_real, x_real).baddbmm_(y_imag, x_imag)
        imag.baddbmm_(y_real, x_imag).baddbmm_(y_imag, x_real, alpha=-1)
        return total

    def _multiply(
        self,
        a: Split,
        b: Split,
        *,
        conjugate: str = "",
    ) -> Split:
        """Return a complex matrix product, computed as four real ones; ``conjugate`` is "a", "b" or "" for neither."""
        shape = a.real.shape[:-1] + b.real.shape[-1:]
        a_real, a_imag = _as_batch(a)
        b_real, b_imag = _as_batch(b)
        sign = 1 if conjugate else -1
        real = add_product(
            torch.bmm(a_real, b_real),
            a_imag,
            b_imag,
            sign,
            in_place=self.in_place,
        )
        if conjugate == "b":
            imag = add_product(
                torch.bmm(a_imag, b_real),
                a_real,
                b_imag,
                -1,
                in_place=self.in_place,
            )
        else:
            imag = add_product(
                torch.bmm(a_real, b_imag),
                a_imag,
                b_real,
                -sign,
                in_place=self.in_place,
            )
        return Split(real.view(shape), imag.view(shape))


def _as_batch(spectrum: Split) -> tuple[Tensor, Tensor]:
    """(..., rows, columns) -> (F G, rows, columns), both parts."""
    return spectrum.real.flatten(0, -3), spectrum.imag.flatten(0, -3)


class PointwiseSplit:
    """Depthwise products of split spectra: x, y (F, B, C), w (F, C)."""

    def conjugate(self, w: Split) -> Split:
        """Return ``w`` itself: the products choose the signs, at no cost."""
        return w

    def forward(self, x: Split, w: Split) -> Split:
        w_real = w.real[:, None]
        w_imag = w.imag[:, None]
        real = (x.real * w_real).addcmul_(x.imag, w_imag)
        imag = (x.imag * w_real).addcmul_(x.real, w_imag, value=-1)
        return Split(real, imag)

    def input_gradient(
        self,
        y: Split,
        w: Split,
        into: Split | None = None,
    ) -> Split:
        w_real = w.real[:, None]
        w_imag = w.imag[:, None]
        real, imag = into or (None, None)
        real = torch.mul(y.real, w_real, out=real).addcmul_(y.imag, w_imag, value=-1)
        imag = torch.mul(y.imag, w_real, out=imag).addcmul_(y.real, w_imag)
        return Split(real, imag)

    def weight_gradient(
        self,
        x: Split,
        y: Split,
        total: Split | None = None,
    ) -> Split:
        real = (x.real * y.real).addcmul_(x.imag, y.imag).sum(1)
        imag = (x.imag * y.real).addcmul_(x.real, y.imag, value=-1).sum(1)
        if total is None:
            return Split(real, imag)
        return Split(total.real.add_(real), total.imag.add_(imag))


@dataclass
class ComplexProducts:
    """What products of complex spectra have in common; ``recorded`` if autograd or a function transform follows."""

    recorded: bool = False

    def conjugate(self, w: Tensor) -> Tensor:
        """Return the conjugate, computed now: matrix products would resolve a lazy one every time."""
        if self.recorded:
            return torch.complex(w.real, -w.imag)
        return w.conj_physical_()


class DenseComplex(ComplexProducts):
    """Matrix products of complex spectra, frequency first."""

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return _multiply_complex(x, w.mT)

    def input_gradient(
        self,
        y: Tensor,
        w: Tensor,
        into: Tensor | None = None,
    ) -> Tensor:
        if into is not None and 1 not in w.shape[-2:]:
            return torch.matmul(y, w, out=into)
        product = _multiply_complex(y, w)
        return product if into is None else into.copy_(product)

    def weight_gradient(
        self,
        x: Tensor,
        y: Tensor,
        total: Tensor | None = None,
    ) -> Tensor:
        if x.shape[-1] < y.shape[-1]:
            # Conjugate the smaller factor, and then the result.
            product = _multiply_complex(x.mH, y).conj_physical_().mT
        elif total is None or 1 in total.shape[-2:]:
            product = _multiply_complex(y.mH, x)
        else:
            total.flatten(0, -3).baddbmm_(y.mH.flatten(0, -3), x.flatten(0, -3))
            return total
        return product if total is None else total.add_(product)


def _multiply_complex(a: Tensor, b: Tensor) -> Tensor:
    """Return the matrix product; thin matrices are several times faster than with the library's general one."""
    if a.shape[-1] == 1:
        return a.resolve_conj() * b  # a lazy conjugate is ignored in the first call of compiled code (torch 2.13)
    if b.shape[-1] == 1:
        return (b.mT @ a.mT).mT
    return a @ b


class PointwiseComplex(ComplexProducts):
    """Depthwise products of complex spectra, frequencies last: x, y (B, C, *F), w (C, *F)."""

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return x * w

    def input_gradient(
        self,
        y: Tensor,
        w: Tensor,
        into: Tensor | None = None,
    ) -> Tensor:
        return torch.mul(y, w, out=into)

    def weight_gradient(
        self,
        x: Tensor,
        y: Tensor,
        total: Tensor | None = None,
    ) -> Tensor:
        y = y.conj_physical()
        if self.recorded or len(x) > FEW_SIGNALS:
            product = (x * y).sum(0)
            return product if total is None else total.add_(product)
        total = x[0] * y[0] if total is None else total.addcmul_(x[0], y[0])
        for signal, output in zip(x[1:], y[1:], strict=True):
            total.addcmul_(signal, output)
        return total
