"""The tensors of a convolution as spectra, and back.

Legend: ``B`` batch, ``G`` groups, ``I`` and ``O`` channels per group, ``M`` features, ``F`` frequencies.
"""

from typing import Any, Protocol, TypeGuard, TypeVar

import torch
from torch import Tensor

from ..._support.precision import at_least_float32
from ..._support.tracing import plain_operations, transforming
from ..plan import ConvProblem, PassPlan
from ..weight import FactoredWeight, Weight, dense, gradients_of_factors
from .dft import MatrixTransform, Positions, Split
from .fft import FrequencyFirstTransform, LibraryTransform
from .products import DenseComplex, DenseSplit, PointwiseComplex, PointwiseSplit
from .tiling import cut_output, cut_signal, join_output, join_signal, tile_problem

KERNEL_BYTES = 2**22
"""Limit of the kernels' spectra that are computed at a time: about what the caches of the cores hold."""

Spectrum = Split | Tensor
"""Of kernels: (F, G, O, I), depthwise (F, C) or (C, *F); of signals and outputs see :mod:`.products`."""

S = TypeVar("S", Split, Tensor)


class Transform(Protocol[S]):
    """A discrete Fourier transform between samples at positions (*lead, *J) and their spectrum."""

    def analyse(self, samples: Tensor, positions: Positions) -> S:
        """Return the spectrum of samples."""

    def synthesise(
        self,
        spectrum: S,
        positions: Positions,
        into: Tensor | None = None,
    ) -> Tensor:
        """Return the samples of a spectrum, written ``into`` a tensor if given."""

    def frequency_weights(
        self,
        dtype: torch.dtype,
        device: torch.device,
    ) -> Tensor:
        """Return how often each frequency counts in a sum over all of them, over the number of samples."""


class Products(Protocol[S]):
    """Products of the spectra of signals ``x``, outputs ``y`` and kernels ``w``, see :mod:`.products`."""

    def conjugate(self, w: S) -> S:
        """Return the kernels as ``forward`` takes them; may overwrite ``w``."""

    def forward(self, x: S, w: S) -> S:
        """Return the spectra of outputs."""

    def input_gradient(
        self,
        y: S,
        w: S,
        into: S | None = None,
    ) -> S:
        """Return the spectra of signals, written ``into`` others if given."""

    def weight_gradient(
        self,
        x: S,
        y: S,
        total: S | None = None,
    ) -> S:
        """Return the spectra of kernels, added to ``total`` if given."""


class SpectralConv:
    """One convolution at one choice of transform: its tensors to spectra and back.

    ``recorded`` is whether autograd or a function transform follows, so that no tensor may be overwritten.
    """

    def __init__(self, problem: ConvProblem, plan: PassPlan) -> None:
        self.problem = problem
        self.plan = plan
        self.recorded = plain_operations()
        self.depthwise = problem.depthwise
        tile = tile_problem(problem, plan.tile) if plan.tile else problem
        self.geometry = tile.geometry
        self._used: tuple[Any, ...] = (..., *tile.used)
        self._has_groups = not self.depthwise and problem.groups > 1
        self._rearranges = bool(plan.tile) or self._has_groups
        self._kernel_lead = kernel_lead(problem)
        self.transform: Transform[Any]
        self.products: Products[Any]
        if plan.matrices:
            in_place = not transforming()
            self.transform = MatrixTransform(plan.lengths, plan.fold, in_place)
            self.products = PointwiseSplit() if self.depthwise else DenseSplit(in_place=in_place)
        elif self.depthwise:
            self.transform = LibraryTransform(plan.lengths)
            self.products = PointwiseComplex(recorded=self.recorded)
        else:
            self.transform = FrequencyFirstTransform(plan.lengths, self.recorded)
            self.products = DenseComplex(recorded=self.recorded)

    # Kernels ------------------------------------------------------------------------------------------------------

    def uses_factors(self, weight: Weight) -> TypeGuard[FactoredWeight]:
        """Return whether M features are transformed instead of all kernels.

        Complex pointwise spectra are those of whole kernels, because there is only one kernel per channel.
        """
        if not isinstance(weight, FactoredWeight) or (self.depthwise and not self.plan.matrices):
            return False
        outputs, inputs, features = weight.readout.shape
        return features < outputs * inputs

    def kernel(self, weight: Weight) -> Spectrum:
        """Return the spectra of the kernels, mixed from those of the features where these are fewer."""
        if self.uses_factors(weight):
            return self._mix_all(self.features(weight), weight)
        kernels = at_least_float32(dense(weight))
        _, _, *size = kernels.shape
        kernels = kernels.reshape(*self._kernel_lead, *size)
        return self.transform.analyse(kernels, self.geometry.kernel)

    def conjugate_kernel(self, weight: Weight) -> Spectrum:
        """Return the spectra of the kernels as the forward product takes them."""
        return self.products.conjugate(self.kernel(weight))

    def features(self, weight: FactoredWeight) -> Split:
        """Return the spectra (F, M) of the features, always split."""
        spectrum = self.transform.analyse(at_least_float32(weight.features), self.geometry.kernel)
        return Split(spectrum.real, spectrum.imag)

    def mix(
        self,
        features: Split,
        readout: Tensor,
        into: Tensor | None = None,
    ) -> Spectrum:
        """Return the spectra of the kernels at some frequencies, from the :func:`readout_matrix`.

        Complex spectra are written ``into`` a tensor if given.
        """
        real = (features.real @ readout).unflatten(1, self._kernel_lead)
        imag = (features.imag @ readout).unflatten(1, self._kernel_lead)
        if self.plan.matrices:
            return Split(real, imag)
        return torch.complex(real, imag, out=into)

    def _mix_all(
        self,
        features: Split,
        weight: FactoredWeight,
    ) -> Spectrum:
        """Return the spectra of the kernels; complex ones are computed for a few frequencies at a time."""
        readout = readout_matrix(weight)
        count = features.real.shape[0]
        chunks = frequency_chunks(count, weight)
        if self.plan.matrices or self.recorded or len(chunks) == 1:
            return self.mix(features, readout)
        spectra = features.real.new_empty(count, *self._kernel_lead, dtype=features.real.dtype.to_complex())
        for frequencies in chunks:
            self.mix(features.at(frequencies), readout, spectra[frequencies])
        return spectra

    def features_gradient(self, gradient: Split) -> Tensor:
        """Return the gradient of the features from that of their spectra."""
        spectrum = gradient if self.plan.matrices else torch.complex(*gradient)
        return self.transform.synthesise(spectrum, self.geometry.kernel)

    def kernel_gradient(
        self,
        gradient: Spectrum,
        weight: Weight,
    ) -> tuple[Tensor, ...]:
        """Return the gradients of the weight's tensors from that of the kernels' spectra."""
        kernels = self.transform.synthesise(gradient, self.geometry.kernel)
        kernels = kernels.reshape(weight.shape)
        return gradients_of_factors(kernels, weight)

    # Signals and outputs ------------------------------------------------------------------------------------------

    def signal(self, input: Tensor) -> Spectrum:
        """Return the spectra of signals (B, G I, *S), or those of their tiles."""
        tile = self.plan.tile
        used = cut_signal(input, self.problem, tile) if tile else input[self._used]
        if self._has_groups:
            used = self._groups_first(used)
        return self.transform.analyse(used, self.geometry.signal)

    def output_gradient(self, gradient: Tensor) -> Spectrum:
        """Return the spectra of the gradients of outputs (B, G O, *T), or those of their tiles."""
        if self.plan.tile:
            gradient = cut_output(gradient, self.problem, self.plan.tile)
        if self._has_groups:
            gradient = self._groups_first(gradient)
        return self.transform.analyse(gradient, self.geometry.output)

    def to_output(
        self,
        spectrum: Spectrum,
        into: Tensor | None = None,
    ) -> Tensor:
        """Return the outputs (B, G O, *T) of spectra, written ``into`` a tensor if given."""
        if not self._rearranges:
            return self.transform.synthesise(spectrum, self.geometry.output, into)
        output = self.transform.synthesise(spectrum, self.geometry.output)
        if self._has_groups:
            output = _batch_first(output)
        if self.plan.tile:
            output = join_output(output, self.problem, self.plan.tile)
        return output if into is None else into.copy_(output)

    def to_signal(self, spectrum: Spectrum, into: Tensor) -> Tensor:
        """Write the gradients of signals (B, G I, *S) ``into`` a tensor; they are zero where no output reads them."""
        if not self._rearranges:
            used = into[self._used]
            if used.shape != into.shape:
                into.zero_()
            return self.transform.synthesise(spectrum, self.geometry.signal, used)
        signal = self.transform.synthesise(spectrum, self.geometry.signal)
        if self._has_groups:
            signal = _batch_first(signal)
        if not self.plan.tile:
            into.zero_()[self._used] = signal
            return into
        signal = join_signal(signal, self.problem, self.plan.tile)
        return into.add_(signal) if self.plan.tile_rows else into.copy_(signal)

    def empty_gradient(
        self,
        input: Tensor,
        into: Tensor | None = None,
    ) -> Tensor:
        """Return the tensor for the gradient of the input; zeros if ranges of tiles, which overlap, are added."""
        gradient = torch.empty_like(input, memory_format=torch.contiguous_format) if into is None else into
        return gradient.zero_() if self.plan.tile_rows else gradient

    def empty_signal(self, outputs: Spectrum) -> Spectrum:
        """Return uninitialised spectra of the signals that belong to spectra of outputs."""
        channels = self.problem.in_channels
        if not self.depthwise:
            channels //= self.problem.groups
        if isinstance(outputs, Split):
            shape = (*outputs.real.shape[:-1], channels)
            real = outputs.real.new_empty(shape)
            imag = outputs.imag.new_empty(shape)
            return Split(real, imag)
        shape = (*outputs.shape[:-1], channels)
        return outputs.new_empty(shape)

    def _groups_first(self, values: Tensor) -> Tensor:
        """(B, G I, ...) -> (G, B, I, ...)."""
        return values.unflatten(1, (self.problem.groups, -1)).transpose(0, 1)


def _batch_first(values: Tensor) -> Tensor:
    """(G, B, O, ...) -> (B, G O, ...)."""
    return values.transpose(0, 1).flatten(1, 2)


def kernel_lead(problem: ConvProblem) -> tuple[int, ...]:
    """Return the leading axes of the kernels, as the products need them."""
    if problem.depthwise:
        return (problem.in_channels,)
    outputs = problem.out_channels // problem.groups
    inputs = problem.in_channels // problem.groups
    if problem.groups == 1:
        return outputs, inputs
    return problem.groups, outputs, inputs


def readout_matrix(weight: FactoredWeight) -> Tensor:
    """Return the readout as a matrix (M, G O I)."""
    return at_least_float32(weight.readout).flatten(0, 1).t()


def frequency_chunks(count: int, weight: FactoredWeight) -> list[slice]:
    """Cut ``count`` frequencies into chunks for which the kernels' spectra fit into the caches."""
    outputs, inputs, _ = weight.readout.shape
    step = max(KERNEL_BYTES // (8 * outputs * inputs), 1)
    chunks = []
    for start in range(0, count, step):
        chunks.append(slice(start, start + step))
    return chunks
