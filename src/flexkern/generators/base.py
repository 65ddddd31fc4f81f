"""The base of all kernel generators: features of a position and a linear readout."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from .._support.deferred import Deferred
from ..functional import readout_std
from .region import Region


class Generator(nn.Module, metaclass=Deferred):
    r"""Continuous kernel: maps positions ``(D, *K)`` to values ``(C, *K)``.

    .. math:: \psi_c(x) = \sum_m R_{cm} F_m(x) + r_c

    A subclass defines the features ``F`` in :meth:`features_at` and draws their parameters in :meth:`reset_features`.
    It calls :meth:`reset_parameters` at the end of its constructor. The readout ``R`` is stored and initialised here.
    Engines may use the two factors separately.

    A subclass called with options alone returns a factory, which layers accept: ``MAGNet(hidden=64)``.

    Args:
        dims: number of axes ``D``.
        channels: number of kernels ``C``; for a layer, ``out_channels * in_channels / groups``.
        num_features: number of features ``M``.
        readout_bias: whether there is a constant ``r``.
        region: where the kernel is sampled when training starts; by default a grid of 9 samples per axis, without a
            window. The readout is drawn such that the kernel of a layer preserves the variance of white noise there
            (:func:`flexkern.functional.readout_std`).
        device, dtype: of the parameters.

    Raises:
        ValueError: if ``dims``, ``channels`` or ``num_features`` is not positive.

    Example:
        >>> class Monomials(Generator):
        ...     def __init__(self, dims, channels, **options):
        ...         super().__init__(dims, channels, num_features=3, **options)
        ...         self.reset_parameters()
        ...     def features_at(self, points):  # (1, P) -> (3, P)
        ...         return torch.cat([points**0, points, points**2])
        ...     def reset_features(self):
        ...         pass
        >>> Monomials(1, 4)(torch.zeros(1, 5)).shape
        torch.Size([4, 5])
    """

    factored: ClassVar[bool] = True
    """Whether layers keep readout and features apart: one set of features serves all channels and is not sparse."""
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
        weight = torch.empty(channels, num_features, device=device, dtype=dtype)
        self.readout_weight = nn.Parameter(weight)
        if readout_bias:
            bias = torch.empty(channels, device=device, dtype=dtype)
            self.readout_bias = nn.Parameter(bias)
        else:
            self.register_parameter("readout_bias", None)

    @property
    def readout(self) -> tuple[Tensor, Tensor | None]:
        """Linear map at the end of the generator: weight ``(C, M)`` and constant ``(C,)``, or None without one."""
        return self.readout_weight, self.readout_bias

    def features_at(self, points: Tensor) -> Tensor:  # (D, P) -> (M, P)
        """Return the features of shape ``(M, P)`` at points of shape ``(D, P)``."""
        raise NotImplementedError

    def reset_features(self) -> None:
        """Draw the parameters of the features."""
        raise NotImplementedError

    def bandwidth(self, stddevs: float = 1.0) -> Tensor | None:
        """Return the top frequency in Hz per unit coordinate, or None if it is not known in closed form.

        Args:
            stddevs: number of standard deviations at which Gaussian spectra are cut.
        """
        return None

    def features(self, positions: Tensor) -> Tensor:  # (D, *K) -> (M, *K)
        """Return the features of shape ``(M, *K)`` at positions of shape ``(D, *K)``.

        Raises:
            ValueError: if ``positions`` does not have one row per axis.
        """
        self.check_positions(positions)
        features = self.features_at(positions.flatten(1))
        return features.unflatten(-1, positions.shape[1:])

    def check_positions(self, positions: Tensor) -> None:
        """Raise a ValueError if ``positions`` does not have one row per axis."""
        if positions.shape[0] != self.dims:
            raise ValueError(f"`positions` must have {self.dims} rows, one per axis, got {positions.shape[0]}.")

    def forward(self, positions: Tensor) -> Tensor:  # (D, *K) -> (C, *K)
        """Return the values of the kernel, shape ``(C, *K)``, at positions of shape ``(D, *K)``."""
        values = self.readout_weight @ self.features(positions).flatten(1)
        if self.readout_bias is not None:
            values = values + self.readout_bias[:, None]
        return values.unflatten(-1, positions.shape[1:])

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Redraw all parameters; do nothing on the meta device."""
        if self.readout_weight.is_meta:
            return
        self.reset_features()
        std = readout_std(self._initial_features(), self.region.fan_in)
        bound = math.sqrt(3) * std
        self.readout_weight.uniform_(-bound, bound)
        if self.readout_bias is not None:
            # A constant drawn like the weight would dominate what varies with position.
            self.readout_bias.zero_()

    def _initial_features(self) -> Tensor:  # (M, P)
        """Return the windowed features at the samples of the region."""
        dtype = torch.promote_types(self.readout_weight.dtype, torch.float32)
        positions = self.region.positions(self.readout_weight.device, dtype)
        features = evaluate_features(self, positions)
        windowed = features * self.region.window(positions)
        return windowed.flatten(1)

    def extra_repr(self) -> str:
        return f"dims={self.dims}, channels={self.channels}, features={self.num_features}"


class _FeaturesModule(nn.Module):
    """Module whose ``forward`` is ``features``, for ``functional_call``."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, positions: Tensor) -> Tensor:
        return self.generator.features(positions)


def evaluate_features(generator: Generator, positions: Tensor) -> Tensor:  # (D, *K) -> (M, *K)
    """Return the features in the precision of ``positions``, even if the parameters are in half precision.

    Bfloat16 has 8 bits and cannot distinguish more than 256 neighbouring positions. The parameters are therefore
    converted to the dtype of the positions, not the positions to the dtype of the parameters.

    Args:
        generator: the generator, whose parameters stay as they are.
        positions: shape ``(D, *K)``.

    Returns:
        Features of shape ``(M, *K)``.

    Example:
        >>> from flexkern.generators import SIREN
        >>> generator = SIREN(1, 4, hidden=8, dtype=torch.bfloat16)
        >>> evaluate_features(generator, torch.zeros(1, 5)).dtype
        torch.float32
    """
    if generator.readout_weight.dtype == positions.dtype:
        return generator.features(positions)
    converted = {}
    for name, parameter in generator.named_parameters(prefix="generator"):
        converted[name] = parameter.to(positions.dtype)
    for name, buffer in generator.named_buffers(prefix="generator"):
        converted[name] = buffer.to(positions.dtype)
    module = _FeaturesModule(generator)
    return torch.func.functional_call(module, converted, (positions,))
