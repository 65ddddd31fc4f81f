"""Gabor atoms: the filters of MAGNet, GaborNet and FourierNet.

Notation: ``H`` atoms, ``D`` axes, ``P`` positions, ``*L`` any leading axes, for instance the layers of a generator.
"""

import torch
from torch import Tensor


def sine_atoms(
    positions: Tensor,
    weight: Tensor,
    bias: Tensor,
) -> Tensor:
    r"""Return plane waves :math:`\sin(\sum_a W_{ja} x_a + b_j)`, the filters of a FourierNet.

    Fathony et al. 2021 (multiplicative filter networks).

    Args:
        positions: shape ``(D, P)``.
        weight: wave vectors ``W`` of shape ``(*L, H, D)``, in radians per unit coordinate.
        bias: phases ``b`` of shape ``(*L, H)``, in radians.

    Returns:
        Values of shape ``(*L, H, P)``.

    Example:
        >>> sine_atoms(torch.zeros(1, 2), torch.ones(3, 1), torch.zeros(3)).shape
        torch.Size([3, 2])
    """
    phase = weight @ positions + bias[..., None]
    return torch.sin(phase)


def gabor_envelope(
    positions: Tensor,
    gamma: Tensor,
    mu: Tensor,
    angle: Tensor | None = None,
) -> Tensor:
    r"""Return Gaussian envelopes :math:`\exp(-\tfrac12 \sum_a (\gamma_{ja} [R_j (x - \mu_j)]_a)^2)`.

    One ``gamma`` per atom and axis is the anisotropic form of MAGNet (Romero et al. 2022). One ``gamma`` per atom is
    the form of GaborNet (Fathony et al. 2021). ``R_j`` rotates by ``angle`` and is the identity without it.

    Args:
        positions: shape ``(D, P)``.
        gamma: inverse widths (not variances) of shape ``(*L, H, D)`` or ``(*L, H, 1)``.
        mu: centres of shape ``(*L, H, D)``.
        angle: rotation of each atom, shape ``(*L, H)``, in radians; for ``D = 2`` only.

    Returns:
        Values of shape ``(*L, H, P)``, 1 at the centre of an atom.

    Example:
        >>> gabor_envelope(torch.zeros(1, 1), torch.ones(1, 1), torch.zeros(1, 1)).item()
        1.0
    """
    offset = positions - mu[..., None]  # (*L, H, D, P)
    if angle is not None:
        offset = _rotate(offset, angle[..., None])
    scaled = gamma[..., None] * offset
    return torch.exp(-0.5 * scaled.square().sum(dim=-2))


def _rotate(offset: Tensor, angle: Tensor) -> Tensor:  # (*L, H, 2, P), (*L, H, 1) -> (*L, H, 2, P)
    cos = torch.cos(angle)
    sin = torch.sin(angle)
    x, y = offset.unbind(dim=-2)
    rotated_x = cos * x - sin * y
    rotated_y = sin * x + cos * y
    return torch.stack([rotated_x, rotated_y], dim=-2)


def gabor_atoms(
    positions: Tensor,
    weight: Tensor,
    bias: Tensor,
    gamma: Tensor,
    mu: Tensor,
    angle: Tensor | None = None,
) -> Tensor:
    r"""Return Gabor atoms, envelope times wave: :math:`g_j(x) = e_j(x) \sin(\sum_a W_{ja} x_a + b_j)`.

    Romero et al. 2022. See :func:`gabor_envelope` for :math:`e_j` and :func:`sine_atoms` for the wave.

    Args:
        positions: shape ``(D, P)``.
        weight: wave vectors ``W`` of shape ``(*L, H, D)``, in radians per unit coordinate.
        bias: phases ``b`` of shape ``(*L, H)``, in radians.
        gamma: inverse widths of shape ``(*L, H, D)`` or ``(*L, H, 1)``.
        mu: centres of shape ``(*L, H, D)``.
        angle: rotation of each envelope, shape ``(*L, H)``, in radians; for ``D = 2`` only.

    Returns:
        Values of shape ``(*L, H, P)``.

    Example:
        >>> ones = torch.ones(1, 1)
        >>> gabor_atoms(torch.zeros(1, 1), ones, torch.full((1,), torch.pi / 2), ones, 0 * ones).item()
        1.0
    """
    envelope = gabor_envelope(positions, gamma, mu, angle)
    return envelope * sine_atoms(positions, weight, bias)
