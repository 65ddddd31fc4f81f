"""MLP: an ordinary small network over positions."""

import itertools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import Generator
from .region import Region

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "silu": F.silu,
    "gelu": F.gelu,
    "tanh": torch.tanh,
}


class MLP(Generator):
    r"""Network :math:`h_{l+1} = \phi(\mathrm{norm}(A_l h_l + c_l))` over positions or their random Fourier features.

    With ``fourier=n``, the input is :math:`(\sin 2\pi B x, \cos 2\pi B x)` with ``n`` fixed random rows of ``B``
    (Tancik et al. 2020). They are drawn from :math:`N(0, \mathrm{fourier\_scale}^2)` and stored in the state dict.
    Deviation from the MLP of the FlexConv code: LayerNorm is the only norm, because BatchNorm would make a kernel
    depend on the positions at which it is sampled.

    Args:
        dims, channels, region, device, dtype: see :class:`Generator`.
        hidden: units per layer, which is also the number of features.
        layers: number of linear maps including the readout, at least 2.
        activation: "relu", "leaky_relu", "silu", "gelu" or "tanh".
        norm: whether a LayerNorm over the units precedes the activation.
        fourier: number of random frequencies; 0 uses the positions themselves.
        fourier_scale: standard deviation of the random frequencies, in Hz per unit coordinate.

    Shape:
        Positions ``(D, *K)`` to values ``(channels, *K)``.

    Raises:
        ValueError: if ``layers`` is less than 2, ``activation`` is unknown or ``fourier`` is negative.

    Example:
        >>> MLP(1, 4, hidden=8, fourier=6)(torch.zeros(1, 5)).shape
        torch.Size([4, 5])
    """

    frequencies: Tensor | None

    def __init__(
        self,
        dims: int,
        channels: int,
        *,
        hidden: int = 32,
        layers: int = 3,
        activation: str = "relu",
        norm: bool = False,
        fourier: int = 0,
        fourier_scale: float = 4.0,
        region: Region | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if layers < 2:
            raise ValueError(f"`layers` must be at least 2 (one hidden layer and the readout), got {layers}.")
        if fourier < 0:
            raise ValueError(f"`fourier` must not be negative, got {fourier}.")
        if activation not in ACTIVATIONS:
            raise ValueError(f"`activation` must be one of {', '.join(ACTIVATIONS)}, got {activation!r}.")
        super().__init__(
            dims,
            channels,
            num_features=hidden,
            region=region,
            device=device,
            dtype=dtype,
        )
        self.activation = activation
        self.fourier_scale = fourier_scale
        frequencies = torch.empty(fourier, dims, device=device, dtype=dtype) if fourier else None
        self.register_buffer("frequencies", frequencies)
        widths = [2 * fourier or dims] + [hidden] * (layers - 1)
        self.hidden_layers = nn.ModuleList()
        self.norms = nn.ModuleList()
        for inputs, outputs in itertools.pairwise(widths):
            self.hidden_layers.append(nn.Linear(inputs, outputs, device=device, dtype=dtype))
            if norm:
                self.norms.append(nn.LayerNorm(outputs, device=device, dtype=dtype))
        self.reset_parameters()

    def features_at(self, points: Tensor) -> Tensor:  # (D, P) -> (H, P)
        hidden = points.T  # (P, D): the layout of nn.Linear
        if self.frequencies is not None:
            phase = 2 * math.pi * hidden @ self.frequencies.T
            hidden = torch.cat([torch.sin(phase), torch.cos(phase)], dim=-1)
        activation = ACTIVATIONS[self.activation]
        for index, layer in enumerate(self.hidden_layers):
            hidden = layer(hidden)
            if self.norms:
                hidden = self.norms[index](hidden)
            hidden = activation(hidden)
        return hidden.T

    def reset_features(self) -> None:
        if self.frequencies is not None:
            self.frequencies.normal_(0, self.fourier_scale)
        for module in itertools.chain(self.hidden_layers, self.norms):
            module.reset_parameters()  # type: ignore[operator]

    def extra_repr(self) -> str:
        fourier = 0 if self.frequencies is None else len(self.frequencies)
        return f"{super().extra_repr()}, activation={self.activation}, fourier={fourier}"
