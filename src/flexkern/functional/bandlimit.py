"""Top frequencies in closed form, and the highest frequency that a grid can represent.

All frequencies are in Hz per unit of the [-1, 1] coordinate (cycles per unit), never in radians. A Gaussian has no top
frequency. Its spectrum, which is a Gaussian too, is cut ``stddevs`` standard deviations from its centre: 2 keeps 95.4 %
of the area and is the value of the runs of Romero et al. 2022.
"""

import math

from torch import Tensor

TWO_PI = 2 * math.pi


def sine_frequency(weight: Tensor) -> Tensor:
    r"""Return the frequency of :math:`\sin(W x)` per axis, :math:`|W| / 2\pi`.

    Args:
        weight: wave vectors ``W`` of any shape, in radians per unit coordinate.

    Returns:
        Frequencies of the shape of ``weight``, in Hz per unit coordinate.

    Example:
        >>> import torch
        >>> sine_frequency(torch.tensor([-TWO_PI])).tolist()
        [1.0]
    """
    return weight.abs() / TWO_PI


def gaussian_frequency(inverse_width: Tensor, stddevs: float = 1.0) -> Tensor:
    r"""Return the cut-off frequency of a Gaussian of inverse width ``gamma``, :math:`h |\gamma| / 2\pi`.

    The Fourier transform of :math:`\exp(-(\gamma x)^2 / 2)` is a Gaussian of standard deviation
    :math:`\gamma / 2\pi`.

    Args:
        inverse_width: ``gamma`` of any shape. For a window of width ``sigma``, pass ``1 / sigma``.
        stddevs: number ``h`` of standard deviations at which the spectrum is cut.

    Returns:
        Frequencies of the shape of ``inverse_width``, in Hz per unit coordinate.

    Example:
        >>> import torch
        >>> gaussian_frequency(torch.tensor([TWO_PI]), stddevs=2.0).tolist()
        [2.0]
    """
    return stddevs * inverse_width.abs() / TWO_PI


def gabor_frequency(weight: Tensor, gamma: Tensor, stddevs: float = 1.0) -> Tensor:
    r"""Return the top frequency of every Gabor atom and axis, :math:`f^+_{ja} = (|W_{ja}| + h \gamma_{ja}) / 2\pi`.

    Romero et al. 2022. Deviation: the authors' code adds the maximum of ``|W|`` and the maximum of ``gamma`` over all
    atoms, which may come from different atoms. This bound is computed per atom, so its maximum is tighter.

    Args:
        weight: wave vectors ``W`` of shape ``(*L, H, D)``, in radians per unit coordinate.
        gamma: inverse widths of shape ``(*L, H, D)`` or ``(*L, H, 1)``.
        stddevs: number ``h`` of standard deviations at which Gaussian spectra are cut.

    Returns:
        Frequencies of shape ``(*L, H, D)``, in Hz per unit coordinate.

    Example:
        >>> import torch
        >>> gabor_frequency(torch.ones(4, 2), torch.ones(4, 1)).shape
        torch.Size([4, 2])
    """
    return sine_frequency(weight) + gaussian_frequency(gamma, stddevs)


def nyquist(length: int) -> float:
    """Return the highest frequency that ``length`` samples on [-1, 1] can represent, ``(k - 1) / 4``.

    Example:
        >>> nyquist(33)  # Hz per unit coordinate
        8.0
    """
    return (length - 1) / 4
