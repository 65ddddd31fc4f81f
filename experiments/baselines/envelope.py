"""Free weights under a Gaussian envelope of learned width: a FlexConv of a table and the paper's window."""

import functools
from collections.abc import Sequence
from typing import Any, TypeVar

from flexkern.generators import Table
from flexkern.layers import FlexConv, FlexConv1d, FlexConv2d
from flexkern.windows import GaussianWindow

Layer = TypeVar("Layer", bound=FlexConv)


def envelope_conv1d(
    in_channels: int,
    out_channels: int,
    kernel_size: int | Sequence[int],
    *,
    width: float | None = None,
    threshold: float = 1e-3,
    **options: Any,
) -> FlexConv1d:
    """:func:`envelope_conv2d` for one axis.

    Example:
        >>> envelope_conv1d(3, 8, kernel_size=31, padding="same", width=0.2).size
        (23,)
    """
    return _envelope_conv(FlexConv1d, in_channels, out_channels, kernel_size, width, threshold, options)


def envelope_conv2d(
    in_channels: int,
    out_channels: int,
    kernel_size: int | Sequence[int],
    *,
    width: float | Sequence[float] | None = None,
    threshold: float = 1e-3,
    **options: Any,
) -> FlexConv2d:
    r"""Convolution whose free weights lie under a Gaussian envelope of learned width, one for each output channel.

    .. math:: \psi_{oi}(x) = W_{oi}(x) \exp\Big(-\tfrac12 \sum_a (x_a / \sigma_{oa})^2\Big), \qquad x \in [-1, 1]^2

    The adaptive convolution kernel of Tek et al. 2020 (arXiv 2009.06385): there are as many weights as in an ordinary
    convolution of ``kernel_size``, and the envelope decides how many of them count. It is a
    :class:`~flexkern.layers.flexconv.FlexConv` with the generator :class:`~flexkern.generators.Table` and
    ``GaussianWindow(continuous=False, per_channel=True, learn_centre=False)``.

    Deviations: a width per axis instead of one per filter, its logarithm above half a sample being what is learned;
    samples where the widest envelope is below ``threshold`` are cropped, the paper keeps the whole grid; the weights
    start such that the product keeps the variance of white noise, and the envelope is not normalised while it is
    learned. Whether and how the authors normalise it was not looked up.

    Args:
        in_channels, out_channels: see ``torch.nn.Conv2d``.
        kernel_size: samples per axis of the free weights, the largest size of a kernel.
        width: initial width, in the unit of the [-1, 1] coordinate; that of ``GaussianWindow`` by default.
        threshold: relative height below which samples are cropped.
        options: ``stride`` to ``dtype`` as ``torch.nn.Conv2d``; ``init_size`` (instead of ``width``) and ``engine`` as
            FlexConv.

    Raises:
        ValueError: as the parts.

    Example:
        >>> import torch
        >>> layer = envelope_conv2d(3, 8, kernel_size=9, padding="same")
        >>> layer(torch.randn(2, 3, 16, 16)).shape, layer.window.width.shape
        (torch.Size([2, 8, 16, 16]), torch.Size([8, 2]))
    """
    return _envelope_conv(FlexConv2d, in_channels, out_channels, kernel_size, width, threshold, options)


def _envelope_conv(
    layer: type[Layer],
    in_channels: int,
    out_channels: int,
    kernel_size: int | Sequence[int],
    width: float | Sequence[float] | None,
    threshold: float,
    options: dict[str, Any],
) -> Layer:
    stated: dict[str, Any] = {} if width is None else {"width": width}
    window = functools.partial(
        GaussianWindow, threshold=threshold, per_channel=True, learn_centre=False, continuous=False, **stated
    )
    return layer(in_channels, out_channels, kernel_size, generator=Table, window=window, **options)
