"""Convolutions that learn the size of their kernel."""

from collections.abc import Callable, Sequence

import torch

from ..generators import Generator
from ..windows import GaussianWindow, width_for_size
from .arguments import ConvArguments, per_axis
from .base import ContinuousConv


class FlexConv(ContinuousConv):
    r"""Convolution that learns its kernel size: a continuous kernel times a Gaussian window of learnable width.

    .. math:: \psi_{oi}(x) = w(x; \mu, \sigma) \, \mathrm{generator}_{oi}(x), \qquad x \in [-1, 1]^N

    FlexConv (Romero et al. 2022). ``kernel_size`` is the horizon, the largest size the kernel may take. Samples where
    the window is below its threshold are cropped, so small kernels are cheap. The shape of the output never depends
    on the learned size. See :class:`~flexkern.CKConv2d` for the other arguments and the deviations from the paper,
    and :class:`~flexkern.GaussianWindow` for those of the window.

    Args:
        window: a factory such as ``GaussianWindow(threshold=0.05, per_channel=True)``. The default is our window,
            which reaches zero at its border; ``GaussianWindow(continuous=False)`` is the paper's.
        init_size: initial size in samples per axis; by default that of the window's initial width, 0.075.

    Raises:
        ValueError: for an ``init_size`` that exceeds the horizon, is below the smallest window, or is given together
            with a window that sets its own ``width`` or ``centre``.

    Example:
        >>> layer = FlexConv2d(3, 8, kernel_size=33, padding="same")
        >>> layer(torch.randn(2, 3, 32, 32)).shape, layer.size
        (torch.Size([2, 8, 32, 32]), (5, 5))
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: str | int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        generator: str | Callable[..., Generator] = "magnet",
        window: Callable[..., GaussianWindow] | None = None,
        causal: bool = False,
        init_size: int | Sequence[int] | None = None,
        engine: str = "auto",
    ) -> None:
        arguments = ConvArguments.parse(
            self.dims,
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            padding_mode,
            causal=causal,
        )
        gaussian = _build_window(arguments, window or GaussianWindow, init_size, device=device, dtype=dtype)
        super().__init__(arguments, generator, gaussian, bias=bias, engine=engine, device=device, dtype=dtype)


def _build_window(
    arguments: ConvArguments,
    factory: Callable[..., GaussianWindow],
    init_size: int | Sequence[int] | None,
    *,
    device: torch.device | str | None,
    dtype: torch.dtype | None,
) -> GaussianWindow:
    if isinstance(factory, GaussianWindow) or not callable(factory):
        raise TypeError(f"`window` must be a factory such as GaussianWindow(threshold=0.05), got {factory!r}.")
    options = getattr(factory, "keywords", {})
    if options.get("causal", arguments.causal) != arguments.causal:
        raise ValueError(f"the window's `causal` must be the layer's, {arguments.causal}; leave it out.")
    if init_size is not None and {"width", "centre"} & set(options):
        raise ValueError("`init_size` and a window's own `width` or `centre` exclude each other: give one of them.")
    window = factory(
        arguments.kernel_size,
        arguments.out_channels,
        causal=arguments.causal,
        device=device,
        dtype=dtype,
    )
    if init_size is not None:
        size = per_axis("init_size", init_size, arguments.dims, least=1)
        width = width_for_size(arguments.kernel_size, size, window.threshold, causal=arguments.causal)
        window.set_initial_width(width)
    return window


class FlexConv1d(FlexConv):
    __doc__ = FlexConv.__doc__
    dims = 1


class FlexConv2d(FlexConv):
    __doc__ = FlexConv.__doc__
    dims = 2


class FlexConv3d(FlexConv):
    __doc__ = FlexConv.__doc__
    dims = 3
