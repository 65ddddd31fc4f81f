"""The tensors of a convolution as spectra, and back.

Legend: ``B`` batch, ``G`` groups, ``I`` and ``O`` channels per group, ``M`` features, ``F`` frequencies.
"""

from typing import Any, TypeGuard

import torch
from torch import Tensor

from ..tracing import transforming
from .blocks import block_problem, cut_output, cut_signal, join_output, join_signal
from .dft import MatrixTransform, Split
from .fft import LibraryTransform, SplitLibraryTransform
from .plan import ConvProblem, PassPlan, last_axes
from .products import Dense, PointwiseComplex, PointwiseSplit
from .weight import FactoredWeight, Weight, dense, factors, gradients_of_factors

Spectrum = Split | Tensor
"""Of kernels: (F, G, O, I), depthwise (F, C) or (C, *F); of signals and outputs see :mod:`.products`."""


class SpectralConv:
    """One convolution at one choice of transform: its tensors to spectra and back."""

    def __init__(self, problem: ConvProblem, plan: PassPlan) -> None:
        self.whole, self.plan, self.block = problem, plan, plan.block
        self.problem = block_problem(problem, plan.block) if plan.block else problem
        self.geometry, self.pointwise = self.problem.geometry, problem.depthwise
        self.products: Any = PointwiseSplit() if self.pointwise else Dense()
        if plan.matrices:
            self.transform: Any = MatrixTransform(plan.lengths, plan.fold)
        elif self.pointwise:
            self.transform, self.products = LibraryTransform(plan.lengths), PointwiseComplex()
        else:
            self.transform = SplitLibraryTransform(plan.lengths)

    def of(self, problem: ConvProblem) -> "SpectralConv":
        """The same for a piece of the signal; kernels' spectra serve all pieces."""
        return self if problem is self.whole else SpectralConv(problem, self.plan)

    def empty_gradient(self, input: Tensor) -> Tensor:
        """Where the gradient of the input is written, or added up if pieces overlap."""
        made = torch.empty_like(input, memory_format=torch.contiguous_format)
        return made.zero_() if self.plan.rows else made

    def kernel(self, weight: Weight) -> Spectrum:
        """Spectra of the kernels, from those of the features where these are fewer."""
        _check_finite(weight)
        if self.uses_factors(weight):
            return self.mix(self.features(weight), weight)
        kernels = working(dense(weight)).reshape(*self._kernel_lead, *weight.shape[2:])
        return self.transform.analyse(kernels, self.geometry.kernel)

    def features(self, weight: FactoredWeight) -> Split:
        """Spectra (F, M) of the features."""
        return self.transform.analyse(working(weight.features), self.geometry.kernel)

    def mix(self, features: Split, weight: FactoredWeight) -> Split:
        """Spectra of the kernels, or of their part at some frequencies."""
        readout = working(weight.readout).flatten(0, 1).t()
        return Split(*((part @ readout).unflatten(1, self._kernel_lead) for part in features))

    def kernel_gradient(self, gradient: Spectrum, weight: Weight) -> tuple[Tensor, ...]:
        """Gradient of the weight, or of its readout and features, from that of the kernels' spectra."""
        whole = self.transform.synthesise(gradient, self.geometry.kernel).reshape(weight.shape)
        return gradients_of_factors(whole, weight) if isinstance(weight, FactoredWeight) else (whole,)

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


def _check_finite(weight: Weight) -> None:
    """A ValueError for infinities and NaN, of which one would spread over all outputs.

    Only where looking costs next to nothing: an accelerator would have to wait, and function transforms see no values.
    """
    if transforming():
        return
    for part in factors(weight):
        if part.device.type == "cpu" and not part.detach().sum().isfinite() and not part.isfinite().all():
            raise ValueError(f"`weight` must be finite, got {int((~part.isfinite()).sum())} infinite or NaN values.")


def working(values: Tensor) -> Tensor:
    """float32 at least: half precision has too few bits for a sum over frequencies."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
