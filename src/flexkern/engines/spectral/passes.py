"""The three passes by spectra: transform, multiply, transform back; a few signals, channels or pieces at a time."""

import dataclasses
import itertools

import torch
from torch import Tensor

from ..._support.tracing import plain_operations
from ..plan import ConvProblem, PassPlan
from ..weight import FactoredWeight, Weight, dense, gradients_of_factors
from .dft import Split
from .spectra import SpectralConv, Spectrum, frequency_blocks, split, working
from .tiling import Piece, cut_channels, cut_pieces


def forward(
    input: Tensor,
    weight: Weight,
    problem: ConvProblem,
    plan: PassPlan,
    prepared: Spectrum | None = None,
    into: Tensor | None = None,
) -> Tensor:
    """The convolution, in float32 at least; ``prepared`` is what :func:`prepare` gave for the same weight and plan."""
    conv, input = SpectralConv(problem, plan), working(input)
    if into is None and not plan.chunk and not plan.rows and not plan.channels and plain_operations():
        kernels = conv.conjugate_kernel(weight) if prepared is None else prepared
        return conv.to_output(conv.products.forward(conv.signal(input), kernels)).contiguous()
    # Made first: what lives long should not lie above what is freed at once, or the heap is left with holes.
    shape = (input.shape[0], problem.out_channels, *problem.output_size)
    outputs = input.new_empty(shape) if into is None else into
    if plan.channels:
        _forward_by_channels((input, weight, outputs), problem, plan, prepared)
        return outputs
    kernels = conv.conjugate_kernel(weight) if prepared is None else prepared
    if plan.rows and max(problem.padding[0]) >= problem.extent[0]:
        outputs.zero_()  # some outputs belong to no piece
    for at, piece in _turns(conv, input.shape[0]):
        part = conv.of(piece.problem)
        part.to_output(part.products.forward(part.signal(input[at][piece.input]), kernels), outputs[at][piece.output])
    return outputs


def _forward_by_channels(
    tensors: tuple[Tensor, Weight, Tensor], problem: ConvProblem, plan: PassPlan, prepared: Spectrum | None
) -> None:
    """Some channels after the others, from input and weight into the output: the caches would not hold all spectra."""
    input, weight, outputs = tensors
    lot = dataclasses.replace(plan, channels=0)
    if isinstance(prepared, Tensor):  # kernels are not needed, nor computed
        for at, part in cut_channels(problem, plan):
            forward(input[:, at], weight, part, lot, prepared[at], outputs[:, at])
        return
    kernels = dense(weight)
    for at, part in cut_channels(problem, plan):
        forward(input[:, at], kernels[at], part, lot, into=outputs[:, at])


def prepare(weight: Weight, problem: ConvProblem, plan: PassPlan) -> Spectrum:
    """The kernels' spectra for :func:`forward`, to be used again while the weight stays the same."""
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
    """Gradients of the input and of the weight (or its factors), those that are needed; they share spectra."""
    conv, input, gradient = SpectralConv(problem, plan), working(input), working(gradient)
    if plan.channels:
        return _gradients_by_channels((input, weight, gradient), problem, plan, needs)
    turns = _turns(conv, input.shape[0])
    if conv.uses_factors(weight):
        return factored_gradients(conv, (input, weight, gradient), turns, needs)
    inputs, sums = conv.empty_gradient(input, into) if needs[0] else None, None
    kernels = conv.kernel(weight) if needs[0] else None
    for at, piece in turns:
        part = conv.of(piece.problem)
        y = part.output_gradient(gradient[at][piece.output])
        if needs[1]:
            sums = part.products.weight_gradient(part.signal(input[at][piece.input]), y, sums)
        if inputs is not None:
            spectrum = part.products.input_gradient(y, kernels)
            del y  # before the transform takes memory of its own
            part.to_signal(spectrum, inputs[at][piece.input])
            del spectrum
    return inputs, None if sums is None else conv.kernel_gradient(sums, weight)


def _gradients_by_channels(
    tensors: tuple[Tensor, Weight, Tensor], problem: ConvProblem, plan: PassPlan, needs: tuple[bool, bool]
) -> tuple[Tensor | None, tuple[Tensor, ...] | None]:
    """Those of some channels after the others."""
    input, weight, gradient = tensors
    lot, kernels = dataclasses.replace(plan, channels=0), dense(weight)
    of_kernels: list[Tensor] = []
    inputs = torch.empty_like(input, memory_format=torch.contiguous_format) if needs[0] else None
    for at, part in cut_channels(problem, plan):
        into = None if inputs is None else inputs[:, at]
        _, found = gradients(input[:, at], kernels[at], gradient[:, at], part, lot, needs, into)
        of_kernels += found or ()
    return inputs, gradients_of_factors(torch.cat(of_kernels), weight) if needs[1] else None


def _turns(conv: SpectralConv, batch: int) -> list[tuple[slice, Piece]]:
    """Parts of the batch, and of each signal: what is transformed together."""
    size = conv.plan.chunk or max(batch, 1)
    chunks = [slice(start, start + size) for start in range(0, batch, size)]
    return list(itertools.product(chunks, cut_pieces(conv.whole, conv.plan)))


def factored_gradients(
    conv: SpectralConv,
    tensors: tuple[Tensor, FactoredWeight, Tensor],
    turns: list[tuple[slice, Piece]],
    needs: tuple[bool, bool],
) -> tuple[Tensor | None, tuple[Tensor, Tensor] | None]:
    """Gradients of the input and of (readout, features), for input, weight and gradient of the output."""
    input, weight, gradient = tensors
    inputs = conv.empty_gradient(input) if needs[0] else None
    features = conv.features(weight)
    sums = FactorSums(conv, weight, features) if needs[1] else None
    for at, piece in turns:
        part = conv.of(piece.problem)
        y = part.output_gradient(gradient[at][piece.output])
        if sums is not None:
            sums.add(part.signal(input[at][piece.input]), y)
        if inputs is not None:
            spectrum = _input_gradient(part, y, features, weight)
            del y  # before the transform takes memory of its own
            part.to_signal(spectrum, inputs[at][piece.input])
            del spectrum
    return inputs, None if sums is None else sums.gradients()


def _input_gradient(conv: SpectralConv, y: Spectrum, features: Split, weight: FactoredWeight) -> Spectrum:
    """Spectra of the gradient of some signals, given those of the gradient of their outputs."""
    spectrum = conv.empty_signal(y)
    for part in frequency_blocks(len(features.real), weight):
        conv.products.input_gradient(_take(y, part), conv.mix(features.at(part), weight), _take(spectrum, part))
    return spectrum


class FactorSums:
    """Gradients of readout and features' spectra, summed over signals."""

    def __init__(self, conv: SpectralConv, weight: FactoredWeight, features: Split) -> None:
        self.conv, self.weight, self.features = conv, weight, features
        self.matrix = weight.readout.to(features.real.dtype).flatten(0, 1)  # (G O I, M)
        counts = conv.transform.frequency_weights(self.matrix.dtype, self.matrix.device)
        self.weighted = Split(*(part * counts[:, None] for part in features))
        self.of_features = Split(*(torch.zeros_like(part) for part in features))
        self.of_readout = torch.zeros_like(self.matrix)

    def add(self, x: Spectrum, y: Spectrum) -> None:
        """Adds what some signals and gradients of their outputs contribute."""
        for at in frequency_blocks(len(self.features.real), self.weight):
            kernels = self.conv.products.weight_gradient(_take(x, at), _take(y, at))
            for part, feature, total in zip(split(kernels), self.weighted, self.of_features, strict=True):
                flat = part.flatten(1).contiguous()  # (F, G O I)
                total[at].addmm_(flat, self.matrix)
                # Parseval: the sum over samples is a sum over frequencies.
                self.of_readout.addmm_(flat.t(), feature[at])

    def gradients(self) -> tuple[Tensor, Tensor]:
        """Of readout and features."""
        features = self.conv.features_gradient(self.of_features)
        return self.of_readout.view(self.weight.readout.shape), features


def _take(spectrum: Spectrum, part: slice) -> Spectrum:
    """Some of the frequencies."""
    return spectrum.at(part) if isinstance(spectrum, Split) else spectrum[part]
