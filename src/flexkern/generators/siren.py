"""SIREN: a small network with sine activations."""

import itertools
import math

import torch
from torch import Tensor, nn

from .base import Generator
from .region import Region


class SIREN(Generator):
    r"""Sine network :math:`h_{l+1} = \sin(\omega_0 (A_l h_l + c_l))` with :math:`h_0 = x`.

    Sitzmann et al. 2020; the kernel network of CKConv (Romero et al. 2021). ``omega`` multiplies the bias too, as in
    the code of CKConv. At the start, :math:`A_0 \sim U(\pm 1 / D)`, the other matrices are
    :math:`U(\pm\sqrt{6/H}/\omega_0)` and biases :math:`U(\pm 1 / \sqrt{\text{inputs}})`. With biases of zero, every
    kernel would start exactly odd. Deviation: the readout preserves the variance of the signal.

    Args:
        dims, channels, region, device, dtype: see :class:`Generator`.
        hidden: units ``H`` per layer, which is also the number of features.
        layers: number of linear maps including the readout, at least 2; there are ``layers - 1`` sine layers.
        omega: frequency scale :math:`\omega_0` in radians per unit coordinate.

    Shape:
        Positions ``(D, *K)`` to values ``(channels, *K)``.

    Raises:
        ValueError: if ``layers`` is less than 2 or ``omega`` is not positive.

    Example:
        >>> SIREN(1, 4, hidden=8)(torch.zeros(1, 5)).shape
        torch.Size([4, 5])
    """

    def __init__(
        self,
        dims: int,
        channels: int,
        *,
        hidden: int = 32,
        layers: int = 3,
        omega: float = 30.0,
        region: Region | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if layers < 2:
            raise ValueError(f"`layers` must be at least 2 (one sine layer and the readout), got {layers}.")
        if not omega > 0:
            raise ValueError(f"`omega` must be positive, got {omega}.")
        super().__init__(
            dims,
            channels,
            num_features=hidden,
            region=region,
            device=device,
            dtype=dtype,
        )
        self.omega = omega
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        widths = [dims] + [hidden] * (layers - 1)
        for inputs, outputs in itertools.pairwise(widths):
            self.weights.append(self.readout_weight.new_empty(outputs, inputs))
            self.biases.append(self.readout_weight.new_empty(outputs))
        self.reset_parameters()

    def features_at(self, points: Tensor) -> Tensor:  # (D, P) -> (H, P)
        hidden = points
        for weight, bias in zip(self.weights, self.biases, strict=True):
            mixed = torch.addmm(bias[:, None], weight, hidden)
            hidden = torch.sin(self.omega * mixed)
        return hidden

    def reset_features(self) -> None:
        for layer, weight in enumerate(self.weights):
            inputs = weight.shape[1]
            bound = 1 / inputs
            if layer > 0:
                bound = math.sqrt(6 / inputs) / self.omega
            weight.uniform_(-bound, bound)
            bias_bound = 1 / math.sqrt(inputs)
            self.biases[layer].uniform_(-bias_bound, bias_bound)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, omega={self.omega:g}"
