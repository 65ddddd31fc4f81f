"""Band-limited resizing of signals by the discrete cosine transform."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def resize_bandlimited(x: Tensor, size: Sequence[int]) -> Tensor:
    r"""Resample signals to other numbers of samples, without frequencies that the coarser grid cannot represent.

    .. math:: X_k = \sum_{i=0}^{n-1} x_i \cos\frac{\pi k (i + 1/2)}{n}, \qquad
              y_j = \frac{1}{n} \sum_{k=0}^{\min(n, m) - 1} (2 - \delta_{k0}) X_k \cos\frac{\pi k (j + 1/2)}{m}

    along each of the last ``len(size)`` axes, from ``n`` to ``m`` samples. The cosines mirror the signal at its
    borders. Samples are the middles of pixels, and both grids cover the same extent, as is usual for images. Enlarging
    interpolates: shrinking the result again recovers the signal. Sharp edges overshoot by up to 0.1 of their height, as
    in any band-limited signal. Half precision is computed in float32.

    Args:
        x: floating-point signals of shape ``(..., *S)``.
        size: new number of samples of each of the last axes.

    Returns:
        Signals of shape ``(..., *size)`` and the dtype of ``x``, contiguous.

    Raises:
        ValueError: if a size is not positive, if there are more sizes than axes, or if ``x`` is not floating point.

    Example:
        >>> resize_bandlimited(torch.ones(1, 4, 4), (2, 6)).shape
        torch.Size([1, 2, 6])
    """
    if not 0 < len(size) <= x.dim() or min(size) < 1:
        raise ValueError(f"`size` must have 1 to {x.dim()} positive numbers, got {tuple(size)}.")
    if not x.is_floating_point():
        raise ValueError(f"`x` must be floating point, got {x.dtype}; convert it with `.float()`.")
    dtype = torch.promote_types(x.dtype, torch.float32)
    resized = x.to(dtype)
    for axis, length in enumerate(size, start=-len(size)):
        if resized.shape[axis] == length:
            continue
        resized = resized.transpose(axis, -1)
        resized = _resize_last_axis(resized, length)
        resized = resized.transpose(axis, -1)
    return resized.to(x.dtype).contiguous()


def _resize_last_axis(x: Tensor, length: int) -> Tensor:  # (..., n) -> (..., m)
    # The cosine transform is the Fourier transform of the mirrored signal, shifted by half a sample.
    old_length = x.shape[-1]
    num_frequencies = min(old_length, length)
    mirrored = torch.cat([x, x.flip(-1)], dim=-1)
    spectrum = torch.fft.rfft(mirrored)[..., :num_frequencies]

    order = torch.arange(num_frequencies, device=x.device, dtype=x.dtype)
    half_samples = 0.5 / length - 0.5 / old_length
    phase = math.pi * order * half_samples
    shift = torch.polar(torch.ones_like(order), phase)

    padding = length + 1 - num_frequencies
    padded = F.pad(spectrum * shift, (0, padding))
    mirrored_result = torch.fft.irfft(padded, n=2 * length)
    result = mirrored_result[..., :length]
    return result * (length / old_length)
