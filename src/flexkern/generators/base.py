"""What every kernel generator is: features of a position and a linear readout."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from .._support.deferred import Deferred
from ..functional import readout_std
from .region import Region


class Generator(nn.Module, metaclass=Deferred):
    r"""Positions ``(D, *K)`` to kernel values ``(C, *K)``: a continuous kernel.

    .. math:: \psi_c(x) = \sum_m R_{cm} F_m(x) + r_c

    A subclass states its features ``F`` in :meth:`features_at` and draws their parameters in
    :meth:`reset_features`; the readout ``R`` is held, and initialised, here. Engines may use the two factors.

    Args:
        dims: number of axes ``D``.
        channels: number of kernels ``C`` (``out_channels * in_channels / groups`` for a layer).
        num_features: number of features ``M``.
        readout_bias: whether there is a constant ``r``.
        region: where the kernel will be sampled at first; the grid of 9 samples per axis by default. The
            readout is drawn such that the kernel of a layer passes white noise with its variance kept there
            (:func:`flexkern.functional.readout_std`).

    Raises:
        ValueError: if ``dims`` or ``channels`` is not positive.
    """

    factored: ClassVar[bool] = True
    """Whether layers keep readout and features apart: one set of features serves all channels, and is not sparse."""
    readout_weight: nn.Parameter
    readout_bias: nn.Parameter | None

    def __init__(
        self,
        dims: int,
        channels: int,
        *,
        num_features: int,
        readout_bias: bool = True,
        region: Region | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("dims", dims), ("channels", channels), ("hidden", num_features)):
            if value <= 0:
                raise ValueError(f"`{name}` must be positive, got {value}.")
        self.dims = dims
        self.channels = channels
        self.num_features = num_features
        self.region = region or Region.whole((9,) * dims)
        self.readout_weight = nn.Parameter(torch.empty(channels, num_features, device=device, dtype=dtype))
        bias = nn.Parameter(torch.empty(channels, device=device, dtype=dtype)) if readout_bias else None
        self.register_parameter("readout_bias", bias)

    @property
    def readout(self) -> tuple[Tensor, Tensor | None]:  # (C, M), (C,)
        """The linear map that ends the generator: weight and constant."""
        return self.readout_weight, self.readout_bias

    def features_at(self, points: Tensor) -> Tensor:  # (D, P) -> (M, P)
        """The features at a list of points."""
        raise NotImplementedError

    def reset_features(self) -> None:
        """Draw the parameters of the features."""
        raise NotImplementedError

    def bandwidth(self, stddevs: float = 1.0) -> Tensor | None:
        """Top frequency in Hz per unit coordinate, or None where it is not known in closed form."""
        return None

    def features(self, positions: Tensor) -> Tensor:  # (D, *K) -> (M, *K)
        """The features at every position.

        Raises:
            ValueError: if ``positions`` does not have one row per axis.
        """
        self.check_positions(positions)
        return self.features_at(positions.flatten(1)).unflatten(-1, positions.shape[1:])

    def check_positions(self, positions: Tensor) -> None:
        """Raise a ValueError if ``positions`` does not have one row per axis."""
        if positions.shape[0] != self.dims:
            raise ValueError(f"`positions` must have {self.dims} rows, one per axis, got {positions.shape[0]}.")

    def forward(self, positions: Tensor) -> Tensor:  # (D, *K) -> (C, *K)
        """The kernel's values at every position."""
        values = self.readout_weight @ self.features(positions).flatten(1)
        if self.readout_bias is not None:
            values = values + self.readout_bias[:, None]
        return values.unflatten(-1, positions.shape[1:])

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all parameters anew; nothing happens on the meta device."""
        if self.readout_weight.is_meta:
            return
        self.reset_features()
        bound = math.sqrt(3) * readout_std(self._initial_features(), self.region.fan_in)
        self.readout_weight.uniform_(-bound, bound)
        if self.readout_bias is not None:
            self.readout_bias.zero_()  # a constant drawn like the rest would drown what varies with position

    def _initial_features(self) -> Tensor:  # (M, P)
        """The windowed features on the first grid."""
        dtype = torch.promote_types(self.readout_weight.dtype, torch.float32)
        positions = self.region.positions(self.readout_weight.device, dtype)
        return (evaluate_features(self, positions) * self.region.window(positions)).flatten(1)

    def extra_repr(self) -> str:
        return f"dims={self.dims}, channels={self.channels}, features={self.num_features}"


class _Features(nn.Module):
    """Lets ``functional_call`` reach ``features`` of a generator."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, positions: Tensor) -> Tensor:
        return self.generator.features(positions)


def evaluate_features(generator: Generator, positions: Tensor) -> Tensor:  # (D, *K) -> (M, *K)
    """Features in the precision of ``positions``, also when the parameters are held in half precision.

    Bfloat16 has 8 bits: more than 256 neighbouring positions could not be told apart, so the parameters are
    raised to the precision of the positions instead.
    """
    if generator.readout_weight.dtype == positions.dtype:
        return generator.features(positions)
    raised = {f"generator.{name}": p.to(positions.dtype) for name, p in generator.named_parameters()}
    raised |= {f"generator.{name}": b.to(positions.dtype) for name, b in generator.named_buffers()}
    return torch.func.functional_call(_Features(generator), raised, (positions,))


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> str:
    """``value`` if it is one of ``choices``; otherwise a ValueError that lists them."""
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(choices)}, got {value!r}.")
    return value
