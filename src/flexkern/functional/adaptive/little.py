"""The adaptive convolution of a small input: all kernels at once, in as few and as fast operations as torch has."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .form import AdaptiveForm
from .plain import applied_channels, applied_values, generated, kernel_view, multiply


def little_adaptive_conv(
    padded: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    form: AdaptiveForm,
    *,
    gain: Tensor | None = None,
    scale: Tensor | None = None,
) -> Tensor:  # (B, in, *padded) -> (B, out, *S)
    """The definition of :func:`adaptive_conv`, differentiated by autograd, which keeps the kernels.

    As in :class:`~flexkern.functional.adaptive.kernels.TanhKernels`, a tanh beside a bias is taken from a sigmoid.

    Example:
        >>> form = AdaptiveForm(2, 4, (3,), (3,), (1,), (1,), 1, "pair", "tanh")
        >>> little_adaptive_conv(torch.ones(1, 2, 8), torch.zeros(24, 1, 3), torch.zeros(24), form).shape
        torch.Size([1, 4, 6])
    """
    size = form.output_size(padded.shape)
    values = _unfolded(padded, form, size)
    if form.squash == "tanh" and bias is not None and not form.normalize:  # which would enlarge what is rounded
        halves = torch.sigmoid(generated(padded, weight * 2, bias * 2, form))
        kernels = form.scaled(halves.mul(2).sub(1), gain, scale)
    else:
        kernels = form.kernels(generated(padded, weight, bias, form), gain, scale)
    return multiply(kernels, values, form, size)


def _unfolded(padded: Tensor, form: AdaptiveForm, size: tuple[int, ...]) -> Tensor:
    """What kernels are multiplied with (B, banks, applied, taps, positions); torch unfolds images in one operation."""
    if len(form.kernel) != 2:
        return applied_values(padded, form, size).flatten(4)
    inside = kernel_view(applied_channels(padded, form), form)
    columns = F.unfold(inside, form.kernel, form.dilation, stride=form.stride)
    return columns.unflatten(1, (form.banks, form.applied, form.taps))
