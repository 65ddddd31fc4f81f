"""Sums over channels and over the batch, one per frequency: what is left of a convolution between two transforms.

Legend: ``F`` frequencies, ``G`` groups, ``B`` batch, ``I`` and ``O`` channels per group. Signal spectra are
``x`` (G, B, I), output spectra ``y`` (G, B, O), kernel spectra ``w`` (G, O, I); where a group has one channel in and
out (depthwise) the product is pointwise, and spectra are ``x``, ``y`` (B, C) and ``w`` (C).

    forward          y = x w*        summed over I
    input gradient   x = y w         summed over O
    weight gradient  w = x y*        summed over B
"""

import torch
from torch import Tensor

from .dft import Split, add_product


class Dense:
    """Matrix products of split spectra, frequency first; one batch of F G of them."""

    def forward(self, x: Split, w: Split) -> Split:
        return _multiply(x, Split(w.real.mT, w.imag.mT), conjugate="b")

    def input_gradient(self, y: Split, w: Split) -> Split:
        return _multiply(y, w)

    def weight_gradient(self, x: Split, y: Split) -> Split:
        return _multiply(Split(y.real.mT, y.imag.mT), x, conjugate="a")


def _multiply(a: Split, b: Split, *, conjugate: str = "") -> Split:
    """Complex matrix product from four real ones, one of the factors conjugated."""
    shape = a.real.shape[:-1] + b.real.shape[-1:]
    (ar, ai), (br, bi) = ([part.reshape(-1, *part.shape[-2:]) for part in pair] for pair in (a, b))
    real = add_product(torch.bmm(ar, br), ai, bi, 1 if conjugate else -1)
    if conjugate == "b":
        imag = add_product(torch.bmm(ai, br), ar, bi, -1)
    else:
        imag = add_product(torch.bmm(ar, bi), ai, br, -1 if conjugate else 1)
    return Split(real.view(shape), imag.view(shape))


class PointwiseSplit:
    """Depthwise, split spectra: x, y (F, B, C), w (F, C)."""

    def forward(self, x: Split, w: Split) -> Split:
        wr, wi = w.real[:, None], w.imag[:, None]
        return Split((x.real * wr).addcmul_(x.imag, wi), (x.imag * wr).addcmul_(x.real, wi, value=-1))

    def input_gradient(self, y: Split, w: Split) -> Split:
        wr, wi = w.real[:, None], w.imag[:, None]
        return Split((y.real * wr).addcmul_(y.imag, wi, value=-1), (y.imag * wr).addcmul_(y.real, wi))

    def weight_gradient(self, x: Split, y: Split) -> Split:
        real = (x.real * y.real).addcmul_(x.imag, y.imag)
        return Split(real.sum(1), (x.imag * y.real).addcmul_(x.real, y.imag, value=-1).sum(1))


class PointwiseComplex:
    """Depthwise, complex spectra, frequencies last: x, y (B, C, *F), w (C, *F)."""

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return x * w.conj()

    def input_gradient(self, y: Tensor, w: Tensor) -> Tensor:
        return y * w

    def weight_gradient(self, x: Tensor, y: Tensor) -> Tensor:
        return (x * y.conj()).sum(0)
