"""Top frequencies in closed form, and the highest frequency a grid can carry.

All frequencies are in hertz per unit of the [-1, 1] coordinate (cycles per unit), never in radians.
A Gaussian has no top frequency; it is cut ``stddevs`` standard deviations out in its spectrum, which is
a Gaussian too (2 keeps 95.4 % of its area; the paper's runs use 2).
"""

import math

from torch import Tensor

TWO_PI = 2 * math.pi


def sine_frequency(weight: Tensor) -> Tensor:  # shape: as weight
    """Frequency of ``sin(W x)`` per axis: ``|W| / 2 pi``.

    Example:
        >>> import torch; round(sine_frequency(torch.tensor(-TWO_PI)).item(), 6)
        1.0
    """
    return weight.abs() / TWO_PI


def gaussian_frequency(inverse_width: Tensor, stddevs: float = 1.0) -> Tensor:  # shape: as inverse_width
    r"""Cut-off of a Gaussian of inverse width ``gamma``: ``h gamma / 2 pi``.

    The Fourier transform of :math:`\exp(-(\gamma x)^2 / 2)` is a Gaussian of standard deviation
    :math:`\gamma / 2\pi`. For a window of width ``sigma`` pass ``1 / sigma``.
    """
    return stddevs * inverse_width.abs() / TWO_PI


def gabor_frequency(weight: Tensor, gamma: Tensor, stddevs: float = 1.0) -> Tensor:  # shape: (*L, H, D)
    r"""Top frequency of every Gabor atom and axis, :math:`f^+_{ja} = (|W_{ja}| + h \gamma_{ja}) / 2\pi`.

    Romero et al. 2022. Deviation: the authors' code adds the maxima of ``|W|`` and ``gamma`` taken
    separately over all atoms, which bounds an atom that need not exist; this is the bound of each atom, and its
    maximum is tighter.

    Example:
        >>> import torch; gabor_frequency(torch.ones(4, 2), torch.ones(4, 1)).shape
        torch.Size([4, 2])
    """
    return sine_frequency(weight) + gaussian_frequency(gamma, stddevs)


def nyquist(length: int) -> float:
    """Highest frequency that ``length`` samples on [-1, 1] can carry: ``(k - 1) / 4`` (33 samples: 8 Hz)."""
    return (length - 1) / 4
