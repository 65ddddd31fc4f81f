"""The N-Jet as a generator of kernels, for the comparison of kernel networks."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from flexkern.generators import Generator, Region

from ..baselines.njet import hermite_gaussians

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
        self,
        dims: int,
        channels: int,
        *,
        order: int,
        width: float = 0.3,
        region: Region | None = None,
    ) -> None:
        all_orders = itertools.product(range(order + 1), repeat=dims)
        orders = [each for each in all_orders if sum(each) <= order]
        super().__init__(
            dims,
            channels,
            num_features=len(orders),
            readout_bias=False,
            region=region,
        )
        self.order = order
        self.width = width
        self.register_buffer("orders", torch.tensor(orders), persistent=False)
        self.log_sigma = nn.Parameter(torch.empty(dims))
        self.reset_parameters()

    def features_at(self, points: Tensor) -> Tensor:  # (D, P) -> (M, P)
        sigma = self.log_sigma.exp().to(points.dtype)
        scaled = points / sigma[:, None]
        factors = []
        for coordinates, orders in zip(scaled, self.orders.t(), strict=True):
            derivatives = hermite_gaussians(coordinates, self.order)
            factors.append(derivatives[orders])
        # Derivatives of order n grow like sqrt(n!): without that all digits would go to the highest.
        log_factorials = torch.lgamma(self.orders.to(points.dtype) + 1)
        norms = log_factorials.mul(-0.5).exp().prod(1)
        products = torch.stack(factors).prod(0)
        return products * norms[:, None]

    def reset_features(self) -> None:
        self.log_sigma.fill_(math.log(self.width))
