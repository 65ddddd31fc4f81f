"""Ways to describe a kernel, each brought to a given number of parameters."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..baselines.njet import hermite_gaussians
from ..generators import MLP, SIREN, FourierNet, GaborNet, Generator, MAGNet, Points, Region

LARGEST = 4096
"""Units, or points, that are tried."""
JET_ORDER = 9
"""Highest order of a jet, as in the authors' comparison; with more, sums of derivatives lose all digits."""


class Jet(Generator):
    r"""Products of Gaussian derivatives up to a total order, of one learned scale per axis, around 0.

    .. math:: F_m(x) = \prod_a \frac{(-1)^{n_a}}{\sqrt{n_a!}} He_{n_a}(x_a / \sigma_a) \exp(-x_a^2 / 2 \sigma_a^2),
              \qquad \sum_a n_a \le N

    The N-Jet of Pintea et al. 2021 as a function of continuous positions.
    """

    orders: Tensor

    def __init__(
        self, dims: int, channels: int, *, order: int, width: float = 0.3, region: Region | None = None
    ) -> None:
        orders = [n for n in itertools.product(range(order + 1), repeat=dims) if sum(n) <= order]
        super().__init__(dims, channels, num_features=len(orders), readout_bias=False, region=region)
        self.order, self.width = order, width
        self.register_buffer("orders", torch.tensor(orders), persistent=False)
        self.log_sigma = nn.Parameter(torch.empty(dims))
        self.reset_parameters()

    def features_at(self, points: Tensor) -> Tensor:  # (D, P) -> (M, P)
        scaled = points / self.log_sigma.exp()[:, None].to(points.dtype)
        per_axis = [
            hermite_gaussians(row, self.order)[index] for row, index in zip(scaled, self.orders.t(), strict=True)
        ]
        # Derivatives of order n grow like sqrt(n!): without that all digits would go to the highest.
        norms = torch.lgamma(self.orders.to(points.dtype) + 1).mul(-0.5).exp().prod(1)
        return torch.stack(per_axis).prod(0) * norms[:, None]

    def reset_features(self) -> None:
        self.log_sigma.fill_(math.log(self.width))


Sized = Callable[[int], Callable[..., Generator]]

FAMILIES: dict[str, Sized] = {
    "MAGNet": lambda units: functools.partial(MAGNet, hidden=units),
    "MAGNet 1 layer": lambda units: functools.partial(MAGNet, hidden=units, layers=1),
    "MAGNet 256": lambda units: functools.partial(MAGNet, hidden=units, input_scale=256.0),
    "GaborNet": lambda units: functools.partial(GaborNet, hidden=units),
    "GaborNet 1 layer": lambda units: functools.partial(GaborNet, hidden=units, layers=1),
    "FourierNet": lambda units: functools.partial(FourierNet, hidden=units),
    "FourierNet 1 layer": lambda units: functools.partial(FourierNet, hidden=units, layers=1),
    "SIREN": lambda units: functools.partial(SIREN, hidden=units),
    "SIREN 60": lambda units: functools.partial(SIREN, hidden=units, omega=60.0),
    "SIREN 4 layers": lambda units: functools.partial(SIREN, hidden=units, layers=4),
    "MLP": lambda units: functools.partial(MLP, hidden=units),
    "MLP Fourier": lambda units: functools.partial(MLP, hidden=units, fourier=units),
    "points": lambda units: functools.partial(Points, points=units, spread=0.5),
    "N-Jet": lambda units: functools.partial(Jet, order=min(units, JET_ORDER)),
}
"""Names of the contestants: a factory of generators for a number of units.

256 is the authors' ``input_scale`` for this task; other networks of products and of sines have three variants as well.
"""


def sized_net(name: str, shape: tuple[int, ...], parameters: int) -> Generator:
    """The largest network of a family with at most so many parameters, for a kernel on a grid of ``shape``.

    Raises:
        ValueError: for an unknown family, or where not even one unit fits.

    Example:
        >>> net = sized_net("SIREN", (33, 33), 1000)
        >>> net.num_features, sum(p.numel() for p in net.parameters())
        (29, 987)
    """
    if name not in FAMILIES:
        raise ValueError(f"unknown contestant `{name}`; known: {', '.join(FAMILIES)}.")
    low, high = 0, LARGEST  # `low` units fit, more than `high` do not
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _count(name, shape, middle) <= parameters else (low, middle - 1)
    if not low:
        raise ValueError(f"`parameters` {parameters} is too few for {name}.")
    return _make(name, shape, low)


def _make(name: str, shape: tuple[int, ...], units: int) -> Generator:
    return FAMILIES[name](units)(len(shape), 1, region=Region.whole(shape))


def _count(name: str, shape: tuple[int, ...], units: int) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in _make(name, shape, units).parameters())
