"""Gradients of a factored weight: kernels' spectra exist for a few frequencies at a time only.

All kernels' spectra, and as much again for their gradients, would be the largest tensors of a training step; they are
mixed from the few features' spectra when they are needed, and summed up into gradients of the factors at once.
"""

import torch
from torch import Tensor

from .dft import Split
from .pieces import Piece
from .spectral import SpectralConv, Spectrum, frequency_blocks, split
from .weight import FactoredWeight


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
