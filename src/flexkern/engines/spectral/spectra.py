"""The tensors of a convolution as spectra, and back.

Legend: ``B`` batch, ``G`` groups, ``I`` and ``O`` channels per group, ``M`` features, ``F`` frequencies.
"""

import math
from typing import Any, TypeGuard, cast

import torch
from torch import Tensor

from ..._support.axes import last_axes
from ..._support.tracing import plain_operations
from ..plan import ConvProblem, PassPlan
from ..weight import FactoredWeight, Weight, dense, gradients_of_factors
from .dft import MatrixTransform, Split
from .fft import FrequencyFirstTransform, LibraryTransform
from .products import DenseComplex, DenseSplit, PointwiseComplex, PointwiseSplit
from .tiling import block_problem, cut_output, cut_signal, join_output, join_signal

KERNEL_BYTES = 2**22
"""Kernels' spectra at a time: about what the cores' own caches hold."""

Spectrum = Split | Tensor
"""Of kernels: (F, G, O, I), depthwise (F, C) or (C, *F); of signals and outputs see :mod:`.products`."""


class SpectralConv:
    """One convolution at one choice of transform: its tensors to spectra and back."""

    def __init__(self, problem: ConvProblem, plan: PassPlan) -> None:
        self.whole, self.plan, self.block = problem, plan, plan.block
        self.problem = block_problem(problem, plan.block) if plan.block else problem
        self.geometry, self.pointwise = self.problem.geometry, problem.depthwise
        if plan.matrices:
            self.transform: Any = MatrixTransform(plan.lengths, plan.fold)
            self.products: Any = PointwiseSplit() if self.pointwise else DenseSplit()
        elif self.pointwise:
            self.transform, self.products = LibraryTransform(plan.lengths), PointwiseComplex()
        else:
            self.transform, self.products = FrequencyFirstTransform(plan.lengths), DenseComplex()

    def of(self, problem: ConvProblem) -> "SpectralConv":
        """The same for a piece of the signal; kernels' spectra serve all pieces."""
        return self if problem is self.whole else SpectralConv(problem, self.plan)

    def empty_gradient(self, input: Tensor, into: Tensor | None = None) -> Tensor:
        """Where the gradient of the input is written, or added up if pieces overlap."""
        made = torch.empty_like(input, memory_format=torch.contiguous_format) if into is None else into
        return made.zero_() if self.plan.rows else made

    def empty_signal(self, outputs: Spectrum) -> Spectrum:
        """Where spectra of signals are written that belong to spectra of outputs."""
        channels = self.problem.in_channels if self.pointwise else self.problem.in_channels // self.problem.groups
        if isinstance(outputs, Split):
            return Split(*(part.new_empty((*part.shape[:-1], channels)) for part in outputs))
        return outputs.new_empty((*outputs.shape[:-1], channels))

    def kernel(self, weight: Weight) -> Spectrum:
        """Spectra of the kernels, from those of the features where these are fewer."""
        if self.uses_factors(weight):
            return self._mix_all(self.features(weight), weight)
        kernels = working(dense(weight)).reshape(*self._kernel_lead, *weight.shape[2:])
        return self.transform.analyse(kernels, self.geometry.kernel)

    def conjugate_kernel(self, weight: Weight) -> Spectrum:
        """The same as the forward product takes them."""
        return cast(Spectrum, self.products.conjugate(self.kernel(weight)))

    def features(self, weight: FactoredWeight) -> Split:
        """Spectra (F, M) of the features, always split."""
        spectrum = self.transform.analyse(working(weight.features), self.geometry.kernel)
        return Split(*split(spectrum))

    def mix(self, features: Split, weight: FactoredWeight, into: Tensor | None = None) -> Spectrum:
        """Spectra of the kernels, or of their part at some frequencies; complex ones ``into`` a tensor if given."""
        readout = working(weight.readout).flatten(0, 1).t()
        parts = ((part @ readout).unflatten(1, self._kernel_lead) for part in features)
        return Split(*parts) if self.plan.matrices else torch.complex(*parts, out=into)

    def _mix_all(self, features: Split, weight: FactoredWeight) -> Spectrum:
        """Spectra of the kernels; a few frequencies at a time where split parts have to be put together."""
        if self.plan.matrices or plain_operations():
            return self.mix(features, weight)
        count = features.real.shape[0]
        whole = features.real.new_empty(count, *self._kernel_lead, dtype=features.real.dtype.to_complex())
        for part in frequency_blocks(count, weight):
            self.mix(features.at(part), weight, whole[part])
        return whole

    def features_gradient(self, gradient: Split) -> Tensor:
        """Gradient of the features from that of their spectra."""
        spectrum = gradient if self.plan.matrices else torch.complex(*gradient)
        return cast(Tensor, self.transform.synthesise(spectrum, self.geometry.kernel))

    def kernel_gradient(self, gradient: Spectrum, weight: Weight) -> tuple[Tensor, ...]:
        """Gradient of the weight, or of its readout and features, from that of the kernels' spectra."""
        whole = self.transform.synthesise(gradient, self.geometry.kernel).reshape(weight.shape)
        return gradients_of_factors(whole, weight)

    def signal(self, input: Tensor) -> Spectrum:
        """Signals (B, G I, *S) -> their spectra, or those of their blocks."""
        used = cut_signal(input, self.whole, self.block) if self.block else input[last_axes(self.problem.used)]
        return self.transform.analyse(self._arrange(used), self.geometry.signal)

    def output_gradient(self, gradient: Tensor) -> Spectrum:
        """The same of tensors like the output (B, G O, *T)."""
        cut = cut_output(gradient, self.whole, self.block) if self.block else gradient
        return self.transform.analyse(self._arrange(cut), self.geometry.output)

    def to_output(self, spectrum: Spectrum, into: Tensor | None = None) -> Tensor:
        """Spectra -> outputs (B, G O, *T)."""
        if into is not None and self._plain:
            return self.transform.synthesise(spectrum, self.geometry.output, into)
        output = self._restore(self.transform.synthesise(spectrum, self.geometry.output))
        output = join_output(output, self.whole, self.block) if self.block else output
        return output if into is None else into.copy_(output)

    def to_signal(self, spectrum: Spectrum, into: Tensor) -> Tensor:
        """Spectra -> gradients of signals (B, G I, *S), zero where no output reads them."""
        used = last_axes(self.problem.used)
        if self._plain:
            part = into[used]
            if part.shape != into.shape:
                into.zero_()
            return self.transform.synthesise(spectrum, self.geometry.signal, part)
        signal = self._restore(self.transform.synthesise(spectrum, self.geometry.signal))
        if self.block:
            signal = join_signal(signal, self.whole, self.block)
            return into.add_(signal) if self.plan.rows else into.copy_(signal)
        into.zero_()[used] = signal
        return into

    @property
    def _plain(self) -> bool:
        """Whether results of transforms need no rearranging."""
        return not self.block and (self.pointwise or self.problem.groups == 1)

    def uses_factors(self, weight: Weight) -> TypeGuard[FactoredWeight]:
        """Whether transforms of M features replace those of all kernels.

        Complex pointwise spectra are of whole kernels: there is one per channel only.
        """
        return (
            isinstance(weight, FactoredWeight)
            and weight.readout.shape[2] < weight.readout[..., 0].numel()
            and not isinstance(self.products, PointwiseComplex)
        )

    def _arrange(self, values: Tensor) -> Tensor:
        """(B, G I, ...) -> (G, B, I, ...) where groups are mixed."""
        if self.pointwise or self.problem.groups == 1:
            return values
        return values.unflatten(1, (self.problem.groups, -1)).transpose(0, 1)

    def _restore(self, values: Tensor) -> Tensor:
        """(G, B, O, ...) -> (B, G O, ...) where groups are mixed."""
        if self.pointwise or self.problem.groups == 1:
            return values
        return values.transpose(0, 1).flatten(1, 2)

    @property
    def _kernel_lead(self) -> tuple[int, ...]:
        """Leading axes of the kernels, as the products want them."""
        p = self.problem
        if self.pointwise:
            return (p.in_channels,)
        lead = (p.out_channels // p.groups, p.in_channels // p.groups)
        return lead if p.groups == 1 else (p.groups, *lead)


def split(spectrum: Spectrum) -> tuple[Tensor, Tensor]:
    """Real and imaginary part."""
    return (spectrum.real, spectrum.imag)


def frequency_blocks(count: int, weight: Weight) -> list[slice]:
    """Parts of all frequencies for which the kernels' spectra fit into the caches."""
    step = max(KERNEL_BYTES // (8 * math.prod(weight.shape[:2])), 1)
    return [slice(start, start + step) for start in range(0, count, step)]


def working(values: Tensor) -> Tensor:
    """float32 at least: half precision has too few bits for a sum over frequencies."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
