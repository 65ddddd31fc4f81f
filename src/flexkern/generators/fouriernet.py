"""FourierNet: products of plane waves."""

import torch

from .multiplicative import MultiplicativeGenerator
from .region import Region


class FourierNet(MultiplicativeGenerator):
    r"""Multiplicative network with sine filters :math:`g_{lj}(x) = \sin(W_{lj} x + b_{lj})`.

    Fathony et al. 2021. Deviation: it starts below the Nyquist frequency of the grid. The FlexConv code has an
    ``input_scale`` of 256, far above that of usual kernels.

    See :class:`MultiplicativeGenerator` for the arguments and errors.

    Shape:
        Positions ``(D, *K)`` to values ``(channels, *K)``.

    Example:
        >>> FourierNet(1, 4, hidden=8)(torch.zeros(1, 5)).shape
        torch.Size([4, 5])
    """

    def __init__(
        self,
        dims: int,
        channels: int,
        *,
        hidden: int = 32,
        layers: int = 3,
        input_scale: float | None = None,
        region: Region | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            dims,
            channels,
            hidden=hidden,
            layers=layers,
            input_scale=input_scale,
            region=region,
            device=device,
            dtype=dtype,
        )
        self.reset_parameters()
