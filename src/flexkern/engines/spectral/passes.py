"""The three passes by spectra: transform, multiply, transform back.

They proceed in chunks of the batch and of the channels, and in ranges of tiles, so that the caches hold the spectra.
"""

import dataclasses
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..._support.precision import at_least_float32
from ..plan import ConvProblem, PassPlan
from ..weight import FactoredWeight, Weight, dense, gradients_of_factors
from .dft import Split
from .spectra import SpectralConv, Spectrum, frequency_chunks, readout_matrix
from .tiling import cut_channels, cut_tile_rows


def forward(
    input: Tensor,
    weight: Weight,
    problem: ConvProblem,
    plan: PassPlan,
    prepared: Spectrum | None = None,
    into: Tensor | None = None,
) -> Tensor:
    """Return the convolution, in float32 at least.

    ``prepared`` is the result of :func:`prepare` for the same weight and plan.
    """
    conv = SpectralConv(problem, plan)
    input = at_least_float32(input)
    in_chunks = plan.batch_chunk or plan.tile_rows or plan.channel_chunk
    if conv.recorded and into is None and not in_chunks:
        kernels = conv.conjugate_kernel(weight) if prepared is None else prepared
        return conv.to_output(conv.products.forward(conv.signal(input), kernels)).contiguous()
    if into is None:
        # Allocated first: a tensor that lives long, above others that are freed at once, would leave holes in the heap.
        into = input.new_empty((input.shape[0], problem.out_channels, *problem.output_size))
    if plan.channel_chunk:
        _forward_by_channels(input, weight, conv, prepared, into)
        return into
    kernels = conv.conjugate_kernel(weight) if prepared is None else prepared
    if plan.tile_rows and max(problem.padding[0]) >= problem.extent[0]:
        into.zero_()  # some outputs belong to no range of tiles
    for chunk in _chunks(conv, input.shape[0]):
        product = chunk.conv.products.forward(chunk.conv.signal(input[chunk.input]), kernels)
        chunk.conv.to_output(product, into[chunk.output])
        del product  # before the next transform allocates
    return into


def _forward_by_channels(
    input: Tensor,
    weight: Weight,
    conv: SpectralConv,
    prepared: Spectrum | None,
    into: Tensor,
) -> None:
    """Convolve some channels at a time, because the caches would not hold all spectra."""
    chunk_plan = dataclasses.replace(conv.plan, channel_chunk=0)
    if isinstance(prepared, Tensor):  # the kernels themselves are not needed
        for channels, problem in cut_channels(conv.problem, conv.plan):
            forward(
                input[:, channels],
                weight,
                problem,
                chunk_plan,
                prepared[channels],
                into[:, channels],
            )
        return
    kernels = dense(weight)
    for channels, problem in cut_channels(conv.problem, conv.plan):
        forward(
            input[:, channels],
            kernels[channels],
            problem,
            chunk_plan,
            into=into[:, channels],
        )


def prepare(
    weight: Weight,
    problem: ConvProblem,
    plan: PassPlan,
) -> Spectrum:
    """Return the kernels' spectra for :func:`forward`, which can be reused while the weight stays the same."""
    return SpectralConv(problem, plan).conjugate_kernel(weight)


def gradients(
    input: Tensor,
    weight: Weight,
    gradient: Tensor,
    problem: ConvProblem,
    plan: PassPlan,
    needs: tuple[bool, bool],
    into: Tensor | None = None,
) -> tuple[Tensor | None, tuple[Tensor, ...] | None]:
    """Return the gradients of the input and of the weight's tensors, those that are needed; they share spectra.

    The gradient of the input is written ``into`` a tensor if given.
    """
    conv = SpectralConv(problem, plan)
    input = at_least_float32(input)
    gradient = at_least_float32(gradient)
    if plan.channel_chunk:
        return _gradients_by_channels(input, weight, gradient, conv, needs)
    if conv.uses_factors(weight):
        return _factored_gradients(input, weight, gradient, conv, needs)
    needs_input, needs_weight = needs
    input_gradient = None
    kernels = None
    if needs_input:
        input_gradient = conv.empty_gradient(input, into)
        kernels = conv.kernel(weight)
    kernel_sums = None
    for chunk in _chunks(conv, input.shape[0]):
        products = chunk.conv.products
        y = chunk.conv.output_gradient(gradient[chunk.output])
        if needs_weight:
            kernel_sums = products.weight_gradient(chunk.conv.signal(input[chunk.input]), y, kernel_sums)
        if input_gradient is not None:
            x = products.input_gradient(y, kernels)
            del y  # before the transform allocates
            chunk.conv.to_signal(x, input_gradient[chunk.input])
            del x
    weight_gradients = None if kernel_sums is None else conv.kernel_gradient(kernel_sums, weight)
    return input_gradient, weight_gradients


def _gradients_by_channels(
    input: Tensor,
    weight: Weight,
    gradient: Tensor,
    conv: SpectralConv,
    needs: tuple[bool, bool],
) -> tuple[Tensor | None, tuple[Tensor, ...] | None]:
    """Return both gradients, computed for some channels at a time."""
    chunk_plan = dataclasses.replace(conv.plan, channel_chunk=0)
    kernels = dense(weight)
    input_gradient = None
    if needs[0]:
        input_gradient = torch.empty_like(input, memory_format=torch.contiguous_format)
    kernel_gradients: list[Tensor] = []
    for channels, problem in cut_channels(conv.problem, conv.plan):
        into = None if input_gradient is None else input_gradient[:, channels]
        _, chunk_gradients = gradients(
            input[:, channels],
            kernels[channels],
            gradient[:, channels],
            problem,
            chunk_plan,
            needs,
            into,
        )
        kernel_gradients += chunk_gradients or ()
    if not needs[1]:
        return input_gradient, None
    return input_gradient, gradients_of_factors(torch.cat(kernel_gradients), weight)


class Chunk(NamedTuple):
    """What is transformed together: a convolution, and the indices of its part of the input and of the output."""

    conv: SpectralConv
    input: tuple[Any, ...]
    output: tuple[Any, ...]


def _chunks(conv: SpectralConv, batch: int) -> list[Chunk]:
    """Cut the batch into chunks, and each signal into ranges of tiles."""
    plan = conv.plan
    tile_ranges = []
    if plan.tile_rows:
        for tiles in cut_tile_rows(conv.problem, plan):
            tile_ranges.append((SpectralConv(tiles.problem, plan), tiles))
    step = plan.batch_chunk or max(batch, 1)
    everything = slice(None)
    chunks = []
    for start in range(0, batch, step):
        signals = slice(start, start + step)
        if not plan.tile_rows:
            chunks.append(Chunk(conv, (signals,), (signals,)))
        for tile_conv, tiles in tile_ranges:
            chunks.append(Chunk(tile_conv, (signals, everything, tiles.input), (signals, everything, tiles.output)))
    return chunks


def _factored_gradients(
    input: Tensor,
    weight: FactoredWeight,
    gradient: Tensor,
    conv: SpectralConv,
    needs: tuple[bool, bool],
) -> tuple[Tensor | None, tuple[Tensor, Tensor] | None]:
    """Return the gradients of the input and of (readout, features), those that are needed."""
    input_gradient = conv.empty_gradient(input) if needs[0] else None
    features = conv.features(weight)
    sums = FactorSums(conv, weight, features) if needs[1] else None
    for chunk in _chunks(conv, input.shape[0]):
        y = chunk.conv.output_gradient(gradient[chunk.output])
        if sums is not None:
            sums.add(chunk.conv.signal(input[chunk.input]), y)
        if input_gradient is not None:
            x = _signal_spectra(chunk.conv, y, features, weight)
            del y  # before the transform allocates
            chunk.conv.to_signal(x, input_gradient[chunk.input])
            del x
    return input_gradient, None if sums is None else sums.gradients()


def _signal_spectra(
    conv: SpectralConv,
    y: Spectrum,
    features: Split,
    weight: FactoredWeight,
) -> Spectrum:
    """Return the spectra of the input gradient; those of the kernels are mixed for a few frequencies at a time."""
    x = conv.empty_signal(y)
    readout = readout_matrix(weight)
    for frequencies in frequency_chunks(features.real.shape[0], weight):
        kernels = conv.mix(features.at(frequencies), readout)
        conv.products.input_gradient(_at(y, frequencies), kernels, _at(x, frequencies))
    return x


class FactorSums:
    """Gradients of the readout and of the features' spectra, summed over signals."""

    def __init__(
        self,
        conv: SpectralConv,
        weight: FactoredWeight,
        features: Split,
    ) -> None:
        self.conv = conv
        self.weight = weight
        self.matrix = weight.readout.to(features.real.dtype).flatten(0, 1)  # (G O I, M)
        counts = conv.transform.frequency_weights(self.matrix.dtype, self.matrix.device)[:, None]
        self.weighted = Split(features.real * counts, features.imag * counts)
        self.features_gradient = Split(torch.zeros_like(features.real), torch.zeros_like(features.imag))
        self.readout_gradient = torch.zeros_like(self.matrix)

    def add(self, x: Spectrum, y: Spectrum) -> None:
        """Add the contribution of some signals and of the gradients of their outputs."""
        count = self.weighted.real.shape[0]
        for frequencies in frequency_chunks(count, self.weight):
            kernels = self.conv.products.weight_gradient(
                _at(x, frequencies),
                _at(y, frequencies),
            )
            weighted = self.weighted.at(frequencies)
            features_gradient = self.features_gradient.at(frequencies)
            self._add_part(kernels.real, weighted.real, features_gradient.real)
            self._add_part(kernels.imag, weighted.imag, features_gradient.imag)

    def _add_part(
        self,
        kernels: Tensor,
        weighted: Tensor,
        features_gradient: Tensor,
    ) -> None:
        """Add the real or the imaginary part."""
        flat = kernels.flatten(1).contiguous()  # (F, G O I)
        features_gradient.addmm_(flat, self.matrix)
        # By Parseval's theorem, the sum over samples is a sum over frequencies.
        self.readout_gradient.addmm_(flat.t(), weighted)

    def gradients(self) -> tuple[Tensor, Tensor]:
        """Return the gradients of readout and features."""
        features_gradient = self.conv.features_gradient(self.features_gradient)
        readout_gradient = self.readout_gradient.view(self.weight.readout.shape)
        return readout_gradient, features_gradient


def _at(spectrum: Spectrum, frequencies: slice) -> Spectrum:
    """Return some of the frequencies."""
    if isinstance(spectrum, Split):
        return spectrum.at(frequencies)
    return spectrum[frequencies]
