"""The window whose learned width is the size of a kernel."""

import math
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .._support.deferred import Deferred
from ..functional import Grid, continuous_window, gaussian_window, pitch, radius_per_width, window_extent

PAPER_WIDTH = 0.075
"""Initial width of every run published by Romero et al. 2022."""

Bounds = tuple[tuple[int, int], ...]
"""Per axis the samples ``(start, stop)`` of a grid that are kept."""

_live_windows: "weakref.WeakSet[GaussianWindow]" = weakref.WeakSet()
_live_windows_lock = threading.Lock()


def live_windows() -> list["GaussianWindow"]:
    """Return every window in memory, so that all changed widths can be read with one host sync (see sizes.py)."""
    with _live_windows_lock:
        return list(_live_windows)


def _register_live(window: "GaussianWindow") -> None:
    with _live_windows_lock:
        _live_windows.add(window)


class GaussianWindow(nn.Module, metaclass=Deferred):
    r"""Gaussian window over the positions of a kernel, with learnable width and centre per axis.

    .. math:: w(x) = \prod_a \frac{\max(g_a - \tau, 0)}{1 - \tau}, \qquad
              g_a = \exp\left(-\tfrac12 ((x_a - \mu_a) / \sigma_a)^2\right), \qquad
              \sigma_a = \sigma^{\min}_a + e^{s_a}

    Samples where :math:`g_a` falls below the threshold :math:`\tau` are cropped, so the width decides the size.

    Deviations from Romero et al. 2022:

    * Their window is :math:`\prod_a g_a`, cut off where it is still 0.1 high (``continuous=False``). With it the
      output jumps whenever the size changes, and a window that is too narrow gets no gradient from outside its crop
      once the generator fits the data inside. Ours reaches zero at its border.
    * Their width is a free parameter that can reach zero (NaN) or change sign. Here ``s = log_width`` is learned. The
      width stays above half a sample, and an optimiser step changes it by a factor.
    * Lowered by 0.1, a window is about 1.12 times as wide as the Gaussian that fits it best.

    Args:
        lengths: samples per axis of the kernel's grid, the horizon.
        channels: number of output channels; used by ``per_channel``.
        causal: the grid's +1 is the most recent sample, and the window is centred there.
        width: initial width per axis, in the unit of the [-1, 1] coordinate. The default is 0.075 as in the paper,
            or 1.25 times the smallest width where the grid is too coarse for that.
        centre: initial centre per axis; 0, or 1 if causal.
        threshold: relative height below which samples are cropped (paper: 0.1). A kernel that starts below one sample
            in two or three dimensions needs a lower threshold, such as 0.01, to find its size; it then keeps more
            samples.
        per_channel: use one window per output channel instead of one per layer.
        learn_width, learn_centre: whether they are learned; a tuple decides per axis.
        continuous: lower the window to zero at the border of the crop; False selects the paper's window.

    Shape: positions (D, *K) -> (*K), or (C, *K) with ``per_channel``.

    Raises:
        ValueError: for a width at or below half a sample, a threshold outside (0, 1), a centre outside [-1, 1], or a
            wrong number of entries.

    Example:
        >>> window = GaussianWindow((33, 33))
        >>> window(torch.zeros(2, 1, 1)).item()
        1.0
    """

    centre: Tensor
    log_width: Tensor

    def __init__(
        self,
        lengths: Sequence[int],
        channels: int = 1,
        *,
        causal: bool = False,
        width: float | Sequence[float] | None = None,
        centre: float | Sequence[float] | None = None,
        threshold: float = 0.1,
        per_channel: bool = False,
        learn_width: bool | Sequence[bool] = True,
        learn_centre: bool | Sequence[bool] = True,
        continuous: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        radius_per_width(threshold)  # raises for a threshold outside (0, 1)
        self.grid = Grid(tuple(lengths), causal)
        self.threshold = threshold
        self.per_channel = per_channel
        self.continuous = continuous
        # Part of the meaning of `log_width`: it stays that of the trained grid at every resolution.
        self.min_width = tuple(pitch(length) / 2 for length in self.lengths)
        self.initial_width = self._parse_width(width)
        self.initial_centre = self._parse_centre(centre)
        self.learn_width = self._per_axis("learn_width", learn_width)
        self.learn_centre = self._per_axis("learn_centre", learn_centre)
        self.frozen_bounds: Bounds | None = None
        self._learned_before_freeze: list[str] = []
        axes = len(self.lengths)
        shape = (channels, axes) if per_channel else (axes,)
        self._register("centre", torch.empty(shape, device=device, dtype=dtype), learned=any(self.learn_centre))
        self._register("log_width", torch.empty(shape, device=device, dtype=dtype), learned=any(self.learn_width))
        self.reset_parameters()
        _register_live(self)

    def _register(self, name: str, value: Tensor, *, learned: bool) -> None:
        if learned:
            self.register_parameter(name, nn.Parameter(value))
        else:
            self.register_buffer(name, value)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Samples per axis of the whole grid."""
        return self.grid.lengths

    @property
    def causal(self) -> bool:
        """Whether +1 is the most recent sample."""
        return self.grid.causal

    def _per_axis(self, name: str, value: Any) -> tuple[Any, ...]:
        axes = len(self.lengths)
        values = (value,) * axes if isinstance(value, bool | int | float) else tuple(value)
        if len(values) != axes:
            raise ValueError(f"`{name}` must be one value or {axes}, one per axis, got {values}.")
        return values

    def _parse_width(self, width: float | Sequence[float] | None) -> tuple[float, ...]:
        if width is None:
            return tuple(max(PAPER_WIDTH, 1.25 * least) for least in self.min_width)
        widths = self._per_axis("width", width)
        for value, least, length in zip(widths, self.min_width, self.lengths, strict=True):
            if not least < value < math.inf:
                raise ValueError(
                    f"`width` must exceed half a sample, {least:.4g} on an axis of {length} samples, got {value}."
                )
        return widths

    def _parse_centre(self, centre: float | Sequence[float] | None) -> tuple[float, ...]:
        if centre is None:
            centre = float(self.causal)
        centres = self._per_axis("centre", centre)
        if not all(-1 <= value <= 1 for value in centres):
            raise ValueError(f"`centre` must lie within [-1, 1], got {centre}.")
        return centres

    def set_initial_width(self, width: tuple[float, ...]) -> None:
        """Make ``width`` the initial width, and reset the parameters to it."""
        self.initial_width = self._parse_width(width)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Reset width and centre to their initial values."""
        excess = [width - least for width, least in zip(self.initial_width, self.min_width, strict=True)]
        self.log_width.copy_(self.log_width.new_tensor(excess).log())
        self.centre.copy_(self.centre.new_tensor(self.initial_centre))

    @property
    def width(self) -> Tensor:  # shape: (D,) or (C, D)
        """Widths per axis in the unit of the [-1, 1] coordinate, always above half a sample."""
        # The floors are Python numbers: a tensor of them would have to be sent to the device at every call.
        excess = _with_gradient_on(self.learn_width, self.log_width).exp().unbind(-1)
        return torch.stack([value + least for value, least in zip(excess, self.min_width, strict=True)], dim=-1)

    @torch.no_grad()
    def set_width(self, width: Tensor) -> None:
        """Overwrite the widths, shape (D,) or (C, D). Widths below the floor are raised to just above it."""
        floor = torch.tensor(self.min_width, device=width.device, dtype=width.dtype)
        self.log_width.copy_((width - floor).clamp_min(1e-6 * floor.max()).log())

    def forward(self, positions: Tensor) -> Tensor:  # (D, *K) -> (*K) or (C, *K)
        """Return the window's values in the precision of ``positions``."""
        centre = _with_gradient_on(self.learn_centre, self._clamped_centre()).to(positions.dtype)
        width = self.width.to(positions.dtype)
        if self.continuous:
            return continuous_window(positions, centre, width, self.threshold)
        return gaussian_window(positions, centre, width)

    def _clamped_centre(self) -> Tensor:
        """Return the centre, clamped to half a sample around the grid if the window is zero beyond its support.

        Farther out the centre would have no gradient and could not return. The clamp passes the gradient of the
        border through.
        """
        if not self.continuous:
            return self.centre
        shifts = []
        for centre, half_sample in zip(self.centre.unbind(-1), self.min_width, strict=True):
            value = centre.detach()
            shifts.append(value.clamp(-1 - half_sample, 1 + half_sample) - value)
        return self.centre + torch.stack(shifts, dim=-1)

    def extent(self) -> Tensor:  # shape: (D,)
        """Return how far the support extends per axis, for the widest channel; see :func:`crop_bounds`."""
        centre = self._clamped_centre().detach()
        extent = window_extent(centre, self.width.detach(), self.threshold, causal=self.causal)
        return extent.amax(dim=0) if self.per_channel else extent

    def crop(self, extent: Sequence[float]) -> Bounds:
        """Return the samples kept per axis for an extent that was read to the host."""
        return self.grid.bounds(extent)

    def covered(self) -> tuple[float, ...]:
        """Return the length of the support within [-1, 1] per axis, read to the host."""
        sides = 1 if self.causal else 2
        return tuple(min(sides * extent, 2.0) for extent in self._host_extent())

    def move_to_grid(self, grid: Grid) -> None:
        """Sample the window on another grid; frozen bounds become those of that grid."""
        self.grid = grid
        if self.frozen_bounds is not None:
            self.frozen_bounds = self.crop(self._host_extent())

    def _host_extent(self) -> list[float]:
        """Return the extent as numbers; on the meta device, which has no values, the initial one."""
        return self._initial_extent() if self.log_width.is_meta else self.extent().tolist()

    def initial_bounds(self) -> Bounds:
        """Return the samples that the initial width keeps. Computed from numbers, so it works on any device."""
        return self.crop(self._initial_extent())

    def _initial_extent(self) -> list[float]:
        extents = []
        for centre, width in zip(self.initial_centre, self.initial_width, strict=True):
            radius = radius_per_width(self.threshold) * width
            extents.append(1 - (centre - radius) if self.causal else abs(centre) + radius)
        return extents

    def freeze(self, bounds: Bounds) -> None:
        """Keep ``bounds`` whatever the width, and stop learning width and centre; see :func:`freeze_sizes`."""
        if self.frozen_bounds is None:
            learned = [name for name, parameter in self.named_parameters() if parameter.requires_grad]
            self._learned_before_freeze = learned
        self.frozen_bounds = bounds
        self.requires_grad_(False)

    def unfreeze(self) -> None:
        """Undo :meth:`freeze`: learn again what was learned before."""
        if self.frozen_bounds is None:
            return
        self.frozen_bounds = None
        for name in self._learned_before_freeze:
            self.get_parameter(name).requires_grad_(True)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        _register_live(self)  # copies and unpickled windows are live, too

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        if self.frozen_bounds is not None:
            self.frozen_bounds = self.crop(self.extent().tolist())  # the size of the widths just loaded

    def extra_repr(self) -> str:
        text = f"threshold={self.threshold:g}, learn_width={self.learn_width}, learn_centre={self.learn_centre}"
        if not self.continuous:
            text += ", continuous=False"
        if self.per_channel:
            text += ", per_channel"
        return text


def _with_gradient_on(learned: tuple[bool, ...], value: Tensor) -> Tensor:
    """Return ``value`` (..., D) with a gradient on the learned axes only."""
    if all(learned) or not any(learned):
        return value
    columns = []
    for column, is_learned in zip(value.unbind(-1), learned, strict=True):
        columns.append(column if is_learned else column.detach())
    return torch.stack(columns, dim=-1)
