"""SIREN: a small network with sine activations."""

import itertools
import math

import torch
from torch import Tensor, nn

from .base import Generator
from .region import Region


class SIREN(Generator):
    r"""Sine network :math:`h_{l+1} = \sin(\omega_0 (A_l h_l + c_l))`, :math:`h_0 = x`.

    Sitzmann et al. 2020; the kernel network of CKConv (Romero et al. 2021). ``omega`` multiplies the bias too, as
    in the authors' code. At the start :math:`A_0 \sim U(\pm 1 / D)`, the others :math:`U(\pm\sqrt{6/H}/\omega_0)`
    and biases are :math:`U(\pm 1 / \sqrt{\text{inputs}})` (with zero ones every kernel would start exactly odd).
    Deviation: the readout keeps the variance of the signal.

    Args:
        hidden: units ``H`` per layer, and the number of features.
        layers: linear maps including the readout, at least 2; so ``layers - 1`` sine layers.
        omega: frequency scale in radians per unit coordinate.

    Raises:
        ValueError: if ``layers`` < 2 or ``omega`` is not positive.

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
        super().__init__(dims, channels, num_features=hidden, region=region, device=device, dtype=dtype)
        self.omega = omega
        widths = [dims] + [hidden] * (layers - 1)
        empty = self.readout_weight.new_empty
        self.weights = nn.ParameterList(empty(b, a) for a, b in itertools.pairwise(widths))
        self.biases = nn.ParameterList(empty(b) for b in widths[1:])
        self.reset_parameters()

    def features_at(self, points: Tensor) -> Tensor:  # (D, P) -> (H, P)
        hidden = points
        for weight, bias in zip(self.weights, self.biases, strict=True):
            hidden = torch.sin(self.omega * torch.addmm(bias[:, None], weight, hidden))
        return hidden

    def reset_features(self) -> None:
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            fan_in = weight.shape[1]
            bound = 1 / fan_in if index == 0 else math.sqrt(6 / fan_in) / self.omega
            weight.uniform_(-bound, bound)
            bias.uniform_(-1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, omega={self.omega:g}"
