"""Gabor atoms: the activation functions of MAGNet and GaborNet.

Legend: ``H`` atoms, ``D`` axes, ``P`` positions, ``*L`` any leading axes (for instance the layers of a network).
"""

import torch
from torch import Tensor


def sine_atoms(
    positions: Tensor,  # shape: (D, P)
    weight: Tensor,  # shape: (*L, H, D), radians per unit coordinate
    bias: Tensor,  # shape: (*L, H), radians
) -> Tensor:  # shape: (*L, H, P)
    r"""Plane waves :math:`\sin(\sum_a W_{ja} x_a + b_j)`, the filters of a FourierNet.

    Fathony et al. 2021 (multiplicative filter networks).

    Example:
        >>> sine_atoms(torch.zeros(1, 2), torch.ones(3, 1), torch.zeros(3)).shape
        torch.Size([3, 2])
    """
    return torch.sin(weight @ positions + bias[..., None])


def gabor_envelope(
    positions: Tensor,  # shape: (D, P)
    gamma: Tensor,  # shape: (*L, H, D) or (*L, H, 1), inverse widths
    mu: Tensor,  # shape: (*L, H, D)
    angle: Tensor | None = None,  # shape: (*L, H), radians; D = 2 only
) -> Tensor:  # shape: (*L, H, P)
    r"""Gaussian envelopes :math:`\exp(-\tfrac12 \sum_a (\gamma_{ja} [R_j (x - \mu_j)]_a)^2)`.

    One ``gamma`` per atom and axis is MAGNet's anisotropic form (Romero et al. 2022), one per atom
    GaborNet's. ``R_j`` rotates by ``angle``, identity without it. ``gamma`` is an inverse width, not a variance.

    Example:
        >>> gabor_envelope(torch.zeros(1, 1), torch.ones(1, 1), torch.zeros(1, 1)).item()
        1.0
    """
    offset = positions - mu[..., None]  # (*L, H, D, P)
    if angle is not None:
        offset = _rotate(offset, angle[..., None])
    return torch.exp(-0.5 * (gamma[..., None] * offset).square().sum(dim=-2))


def _rotate(offset: Tensor, angle: Tensor) -> Tensor:
    cos, sin = torch.cos(angle), torch.sin(angle)
    x, y = offset.unbind(dim=-2)
    return torch.stack([cos * x - sin * y, sin * x + cos * y], dim=-2)


def gabor_atoms(
    positions: Tensor,  # shape: (D, P)
    weight: Tensor,  # shape: (*L, H, D)
    bias: Tensor,  # shape: (*L, H)
    gamma: Tensor,  # shape: (*L, H, D) or (*L, H, 1)
    mu: Tensor,  # shape: (*L, H, D)
    angle: Tensor | None = None,  # shape: (*L, H)
) -> Tensor:  # shape: (*L, H, P)
    r"""Envelope times wave: :math:`g_j(x) = e_j(x) \sin(\sum_a W_{ja} x_a + b_j)`.

    Romero et al. 2022. See :func:`gabor_envelope` and :func:`sine_atoms`.

    Example:
        >>> one = torch.ones(1, 1)
        >>> gabor_atoms(torch.zeros(1, 1), one, torch.full((1,), torch.pi / 2), one, 0 * one).item()
        1.0
    """
    return gabor_envelope(positions, gamma, mu, angle) * sine_atoms(positions, weight, bias)
