"""The three passes by spectra: transform, multiply, transform back; a few signals at a time.

Legend: ``B`` batch, ``G`` groups, ``I`` and ``O`` channels per group, ``M`` features, ``F`` frequencies.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..tracing import compiling, transforming
from .blocks import block_problem, cut_output, cut_signal, join_output, join_signal
from .dft import MatrixTransform, Split
from .fft import LibraryTransform, SplitLibraryTransform
from .plan import ConvProblem, PassPlan, last_axes
from .products import Dense, PointwiseComplex, PointwiseSplit
from .weight import FactoredWeight, Weight, dense, gradients_of_factors

Spectrum = Split | Tensor


def reads_factors(weight: Weight) -> bool:
    """Whether M transforms of features are fewer than those of all kernels."""
    return isinstance(weight, FactoredWeight) and weight.readout.shape[2] < weight.readout[..., 0].numel()


@dataclass(frozen=True)
class KernelSpectrum:
    """The kernels' spectra and, where the weight is factored, those of its features."""

    kernels: Spectrum  # (F, G, O, I); depthwise (F, C) or (C, *F)
    features: Split | None = None  # (F, M)


class SpectralConv:
    """One convolution at one choice of transform: its tensors to spectra and back."""

    def __init__(self, problem: ConvProblem, plan: PassPlan) -> None:
        self.whole, self.block = problem, plan.block
        self.problem = block_problem(problem, plan.block) if plan.block else problem
        self.geometry, self.pointwise = self.problem.geometry, problem.depthwise
        self.products: Any = PointwiseSplit() if self.pointwise else Dense()
        if plan.matrices:
            self.transform: Any = MatrixTransform(plan.lengths, plan.fold)
        elif self.pointwise:
            self.transform, self.products = LibraryTransform(plan.lengths), PointwiseComplex()
        else:
            self.transform = SplitLibraryTransform(plan.lengths)

    def kernel(self, weight: Weight) -> KernelSpectrum:
        """Spectra of the kernels, from those of the features where these are fewer."""
        _check_finite(weight)
        if isinstance(weight, FactoredWeight) and reads_factors(weight) and self._mixes_features:
            spectra = self.transform.analyse(_working(weight.features), self.geometry.kernel)
            readout = _working(weight.readout).flatten(0, 1).t()
            return KernelSpectrum(
                Split(*((part @ readout).unflatten(1, self._kernel_lead) for part in spectra)), spectra
            )
        kernels = _working(dense(weight)).reshape(*self._kernel_lead, *weight.shape[2:])
        return KernelSpectrum(self.transform.analyse(kernels, self.geometry.kernel))

    def kernel_gradient(self, gradient: Spectrum, weight: Weight, features: Split | None) -> tuple[Tensor, ...]:
        """Gradient of the weight, or of its readout and features, from that of the kernels' spectra."""
        if features is None:
            whole = self.transform.synthesise(gradient, self.geometry.kernel).reshape(weight.shape)
            return gradients_of_factors(whole, weight) if isinstance(weight, FactoredWeight) else (whole,)
        assert isinstance(weight, FactoredWeight)
        readout = _working(weight.readout).flatten(0, 1)
        flat = [part.flatten(1) for part in gradient]  # (F, G O I)
        feature_gradient = self.transform.synthesise(Split(*(part @ readout for part in flat)), self.geometry.kernel)
        counts = self.transform.frequency_weights(readout.dtype, readout.device)[:, None]
        # Parseval: the sum over samples is a sum over frequencies.
        real, imag = (part.t() @ (one * counts) for part, one in zip(flat, features, strict=True))
        return (real + imag).view(weight.readout.shape), feature_gradient

    def signal(self, input: Tensor) -> Spectrum:
        """Signals (B, G I, *S) -> their spectra, or those of their blocks."""
        used = cut_signal(input, self.whole, self.block) if self.block else input[last_axes(self.problem.used)]
        return self.transform.analyse(self._arrange(used), self.geometry.signal)

    def output_gradient(self, gradient: Tensor) -> Spectrum:
        """The same of tensors like the output (B, G O, *T)."""
        cut = cut_output(gradient, self.whole, self.block) if self.block else gradient
        return self.transform.analyse(self._arrange(cut), self.geometry.output)

    def to_output(self, spectrum: Spectrum) -> Tensor:
        """Spectra -> outputs (B, G O, *T)."""
        output = self._restore(self.transform.synthesise(spectrum, self.geometry.output))
        return join_output(output, self.whole, self.block) if self.block else output

    def to_signal(self, spectrum: Spectrum) -> Tensor:
        """Spectra -> gradients of signals (B, G I, *S), zero where no output reads them."""
        signal = self._restore(self.transform.synthesise(spectrum, self.geometry.signal))
        if self.block:
            return join_signal(signal, self.whole, self.block)
        sides = [(part.start, n - part.stop) for part, n in zip(self.problem.used, self.problem.signal, strict=True)]
        return F.pad(signal, [side for pair in reversed(sides) for side in pair]) if any(map(any, sides)) else signal

    @property
    def _mixes_features(self) -> bool:
        """Complex pointwise spectra are those of whole kernels: there is one per channel only."""
        return not isinstance(self.products, PointwiseComplex)

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


def forward(
    input: Tensor, weight: Weight, problem: ConvProblem, plan: PassPlan, prepared: KernelSpectrum | None = None
) -> Tensor:
    """The convolution, in float32 at least; ``prepared`` is what :func:`prepare` gave for the same weight and plan."""
    conv, input = SpectralConv(problem, plan), _working(input)
    kernels = (prepared or conv.kernel(weight)).kernels
    chunks = _chunks(input.shape[0], plan.chunk)
    if len(chunks) == 1:
        # A slice of a longer period would keep all of it alive.
        return conv.to_output(conv.products.forward(conv.signal(input), kernels)).contiguous()
    outputs = input.new_empty(input.shape[0], problem.out_channels, *problem.output_size)
    for at in chunks:
        outputs[at] = conv.to_output(conv.products.forward(conv.signal(input[at]), kernels))
    return outputs


def prepare(weight: Weight, problem: ConvProblem, plan: PassPlan) -> KernelSpectrum:
    """The kernels' spectra for :func:`forward`, to be used again while the weight stays the same."""
    return SpectralConv(problem, plan).kernel(weight)


def gradients(
    input: Tensor, weight: Weight, gradient: Tensor, problem: ConvProblem, plan: PassPlan, needs: tuple[bool, bool]
) -> tuple[Tensor | None, tuple[Tensor, ...] | None]:
    """Gradients of the input and of the weight (or its factors), those that are needed; they share spectra."""
    conv, input, gradient = SpectralConv(problem, plan), _working(input), _working(gradient)
    kernel = conv.kernel(weight) if needs[0] or reads_factors(weight) else None
    inputs, sums = torch.empty_like(input, memory_format=torch.contiguous_format) if needs[0] else None, None
    for at in _chunks(input.shape[0], plan.chunk):
        y = conv.output_gradient(gradient[at])
        if inputs is not None and kernel is not None:
            inputs[at] = conv.to_signal(conv.products.input_gradient(y, kernel.kernels))
        if needs[1]:
            sums = _add(sums, conv.products.weight_gradient(conv.signal(input[at]), y))
    return inputs, None if sums is None else conv.kernel_gradient(
        sums, weight, None if kernel is None else kernel.features
    )


def _chunks(batch: int, size: int) -> list[slice]:
    """Slices of the batch; one where no size is given."""
    return [slice(start, start + size) for start in range(0, batch, size)] if size else [slice(None)]


def _add(total: Spectrum | None, part: Spectrum) -> Spectrum:
    """Sum of spectra, in place after the first."""
    if total is None:
        return part
    if isinstance(total, Split) and isinstance(part, Split):
        return Split(total.real.add_(part.real), total.imag.add_(part.imag))
    assert isinstance(total, Tensor)
    assert isinstance(part, Tensor)
    return total.add_(part)


def _check_finite(weight: Weight) -> None:
    """A ValueError for infinities and NaN, of which one would spread over all outputs.

    Only where looking costs next to nothing: an accelerator would have to wait, and traced code has no values.
    """
    if compiling() or transforming():
        return
    for part in weight if isinstance(weight, FactoredWeight) else (weight,):
        if part.device.type == "cpu" and not part.detach().sum().isfinite() and not part.isfinite().all():
            raise ValueError(f"`weight` must be finite, got {int((~part.isfinite()).sum())} infinite or NaN values.")


def _working(values: Tensor) -> Tensor:
    """float32 at least: half precision has too few bits for a sum over frequencies."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
