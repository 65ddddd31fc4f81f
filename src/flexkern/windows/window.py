"""The window whose learned width is the size of a kernel."""

import math
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .._support.deferred import Deferred
from ..functional import Grid, continuous_window, crop_bounds, gaussian_window, pitch, radius_per_width, window_extent

PAPER_WIDTH = 0.075  # initial width of every published run

Bounds = tuple[tuple[int, int], ...]

_LIVE: "weakref.WeakSet[GaussianWindow]" = weakref.WeakSet()
_LIVE_LOCK = threading.Lock()


def live_windows() -> list["GaussianWindow"]:
    """Every window in memory, so that all that changed can be read with one host sync (see layers/sizing.py)."""
    with _LIVE_LOCK:
        return list(_LIVE)


def _note_live(window: "GaussianWindow") -> None:
    with _LIVE_LOCK:
        _LIVE.add(window)


class GaussianWindow(nn.Module, metaclass=Deferred):
    r"""Gaussian window over the positions of a kernel, with learnable width (and centre) per axis.

    .. math:: w(x) = \prod_a \frac{\max(g_a - \tau, 0)}{1 - \tau}, \qquad
              g_a = \exp\left(-\tfrac12 ((x_a - \mu_a) / \sigma_a)^2\right), \qquad
              \sigma_a = \sigma^{\min}_a + e^{s_a}

    The samples where :math:`g_a` falls below the threshold :math:`\tau` are cropped, so the width decides the size.
    Deviations from Romero et al. 2022, whose window is :math:`\prod_a g_a`, cut off where it is still 0.1 high
    (``continuous=False``): there the output jumps whenever the size changes, and once the generator fits the data
    within the crop, nothing tells a width that is too small to grow. Their width is a free parameter that can reach
    zero (NaN) or change sign; here ``s = log_width`` is learned, which keeps it above half a sample and makes a step
    of the optimiser a relative change. Lowered by 0.1, a window is about 1.12 times as wide as the Gaussian it fits
    best.

    Args:
        lengths: samples per axis of the kernel's grid, the horizon.
        channels: number of output channels; needed for ``per_channel``.
        causal: the grid's +1 is the most recent sample, and the window sits there.
        width: initial width per axis, in the unit of the [-1, 1] coordinate. By default 0.075 as in the paper, or
            a quarter above the smallest width where the grid is too coarse for that.
        centre: initial centre per axis; 0, or 1 if causal.
        threshold: relative height below which samples are cropped (paper: 0.1). A kernel that starts below a sample
            in two or three dimensions finds its size only with a lower one, such as 0.01, which keeps more taps.
        per_channel: one window per output channel instead of one per layer.
        learn_width, learn_centre: whether they are learned; a tuple decides per axis.
        continuous: lower the window to zero at the border of the crop; False is the paper's window.

    Shape: positions (D, *K) -> (*K), or (C, *K) per channel.

    Raises:
        ValueError: for a width at or below half a sample, a threshold outside (0, 1), or a wrong number of entries.

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
        self.min_width = tuple(pitch(k) / 2 for k in self.lengths)  # part of what log_width means, whatever the grid
        self.initial_width = self._check_width(width)
        self.initial_centre = self._per_axis("centre", float(causal) if centre is None else centre)
        if not all(-1 <= c <= 1 for c in self.initial_centre):
            raise ValueError(f"`centre` must lie within [-1, 1], got {centre}.")
        self.learn_width = self._per_axis("learn_width", learn_width)
        self.learn_centre = self._per_axis("learn_centre", learn_centre)
        self.frozen_bounds: Bounds | None = None
        self._learning: list[str] = []
        shape = (channels, len(self.lengths)) if per_channel else (len(self.lengths),)
        for name, learned in (("centre", self.learn_centre), ("log_width", self.learn_width)):
            value = torch.empty(shape, device=device, dtype=dtype)
            if any(learned):
                self.register_parameter(name, nn.Parameter(value))
            else:
                self.register_buffer(name, value)
        self.reset_parameters()
        _note_live(self)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Samples per axis of the whole grid."""
        return self.grid.lengths

    @property
    def causal(self) -> bool:
        """Whether +1 is the most recent sample."""
        return self.grid.causal

    def _per_axis(self, name: str, value: Any) -> tuple[Any, ...]:
        values = (value,) * len(self.lengths) if isinstance(value, bool | int | float) else tuple(value)
        if len(values) != len(self.lengths):
            raise ValueError(f"`{name}` must be one value or {len(self.lengths)}, one per axis, got {values}.")
        return values

    def _check_width(self, width: float | Sequence[float] | None) -> tuple[float, ...]:
        if width is None:
            return tuple(max(PAPER_WIDTH, 1.25 * least) for least in self.min_width)
        widths = self._per_axis("width", width)
        for value, least, length in zip(widths, self.min_width, self.lengths, strict=True):
            if not least < value < math.inf:
                raise ValueError(
                    f"`width` must exceed half a sample, {least:.4g} on an axis of {length} samples, got {value}."
                )
        return widths

    def set_initial_width(self, width: tuple[float, ...]) -> None:
        """Make ``width`` the initial width, and the current one."""
        self.initial_width = self._check_width(width)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Put width and centre back to where they started."""
        excess = [w - least for w, least in zip(self.initial_width, self.min_width, strict=True)]
        self.log_width.copy_(self.log_width.new_tensor(excess).log())
        self.centre.copy_(self.centre.new_tensor(self.initial_centre))

    @property
    def width(self) -> Tensor:  # shape: (D,) or (C, D)
        """Widths per axis, always above half a sample; in the unit of the [-1, 1] coordinate."""
        # Axis by axis with Python numbers: a tensor of the floors would have to be sent to the device each time.
        excess = _learned_only(self.log_width, self.learn_width).exp().unbind(-1)
        return torch.stack([e + least for e, least in zip(excess, self.min_width, strict=True)], dim=-1)

    @torch.no_grad()
    def set_width(self, width: Tensor) -> None:
        """Overwrite the widths, shape (D,) or (C, D); those below the floor are raised to just above it."""
        floor = torch.tensor(self.min_width, device=width.device, dtype=width.dtype)
        self.log_width.copy_((width - floor).clamp_min(1e-6 * floor.max()).log())

    def forward(self, positions: Tensor) -> Tensor:  # (D, *K) -> (*K) or (C, *K)
        """The window's values, in the precision of ``positions``."""
        centre = _learned_only(self._kept_centre(), self.learn_centre).to(positions.dtype)
        width = self.width.to(positions.dtype)
        if self.continuous:
            return continuous_window(positions, centre, width, self.threshold)
        return gaussian_window(positions, centre, width)

    def _kept_centre(self) -> Tensor:
        """The centre, held to half a sample around the grid if the window is zero beyond its support.

        Farther out it would have no gradient and could never come back; the gradient of the border passes instead.
        """
        if not self.continuous:
            return self.centre
        columns = zip(self.centre.unbind(-1), self.min_width, strict=True)
        kept = [column.detach().clamp(-1 - half, 1 + half) - column.detach() for column, half in columns]
        return self.centre + torch.stack(kept, dim=-1)

    def extent(self) -> Tensor:  # shape: (D,)
        """How far the support reaches per axis, the widest channel's; input of ``crop_bounds``."""
        reach = window_extent(self._kept_centre().detach(), self.width.detach(), self.threshold, causal=self.causal)
        return reach.amax(dim=0) if self.per_channel else reach

    def crop(self, reach: Sequence[float]) -> Bounds:
        """Per axis the samples ``(start, stop)`` kept for a reach already read to the host."""
        return self.grid.bounds(reach)

    def covered(self) -> tuple[float, ...]:
        """The extent of the support within [-1, 1] per axis, read to the host."""
        sides = 1 if self.causal else 2
        return tuple(min(sides * reach, 2.0) for reach in self._host_extent())

    def move_to_grid(self, grid: Grid) -> None:
        """Be sampled on another grid; frozen bounds are those of that grid."""
        self.grid = grid
        if self.frozen_bounds is not None:
            self.frozen_bounds = self.crop(self._host_extent())

    def _host_extent(self) -> list[float]:
        """The reach as numbers; the initial one where there are no values."""
        return self._initial_extent() if self.log_width.is_meta else self.extent().tolist()

    def initial_bounds(self) -> Bounds:
        """The samples that the initial width keeps; from plain numbers, so it works on any device."""
        return self.crop(self._initial_extent())

    def _initial_extent(self) -> list[float]:
        radius = radius_per_width(self.threshold)
        pairs = zip(self.initial_centre, self.initial_width, strict=True)
        return [1 - (c - radius * w) if self.causal else abs(c) + radius * w for c, w in pairs]

    def freeze(self, bounds: Bounds) -> None:
        """Keep ``bounds`` whatever the width does, and stop learning it; see :func:`flexkern.freeze_sizes`."""
        if self.frozen_bounds is None:
            self._learning = [name for name, parameter in self.named_parameters() if parameter.requires_grad]
        self.frozen_bounds = bounds
        self.requires_grad_(False)

    def unfreeze(self) -> None:
        """Undo :meth:`freeze`: what was learned before it is learned again."""
        if self.frozen_bounds is not None:
            self.frozen_bounds = None
            for name in self._learning:
                self.get_parameter(name).requires_grad_(True)

    def __setstate__(self, state: dict[str, Any]) -> None:  # copies and unpickled windows are live, too
        super().__setstate__(state)
        _note_live(self)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        if self.frozen_bounds is not None:  # the frozen size is that of the widths just loaded
            self.frozen_bounds = self.crop(self.extent().tolist())

    def extra_repr(self) -> str:
        kind = "" if self.continuous else ", continuous=False"
        per = ", per_channel" if self.per_channel else ""
        return (
            f"threshold={self.threshold:g}, learn_width={self.learn_width}, learn_centre={self.learn_centre}{kind}{per}"
        )


def _learned_only(value: Tensor, learned: tuple[bool, ...]) -> Tensor:
    """``value`` (..., D) with a gradient on the learned axes only."""
    if all(learned) or not any(learned):
        return value
    columns = zip(value.unbind(-1), learned, strict=True)
    return torch.stack([column if flag else column.detach() for column, flag in columns], dim=-1)


def width_for_size(
    lengths: Sequence[int], size: Sequence[float], threshold: float = 0.1, *, causal: bool = False
) -> tuple[float, ...]:
    """Widths whose windows keep ``size`` samples per axis.

    Exact for a size of the same parity as the axis (a centred crop keeps the parity), else the next smaller one.
    The floor of half a sample keeps at least 3 samples of an odd axis, 2 of an even or causal one.

    Raises:
        ValueError: if a size is below what the floor keeps or exceeds the axis.

    Example:
        >>> [round(w, 4) for w in width_for_size((33,), (5,))]
        [0.0728]
    """
    widths = []
    for length, wanted in zip(lengths, size, strict=True):
        step = pitch(length)
        reach = (wanted - 0.5) * step if causal else wanted / 2 * step
        # Where the floor keeps just the samples wanted, start a little above it.
        width = max(reach / radius_per_width(threshold), 1.1 * step / 2)
        least = len(range(*crop_bounds(length, step / 2 * radius_per_width(threshold), causal=causal)))
        if not least <= wanted <= length:
            raise ValueError(f"`init_size` must be between {least} and the kernel size {length}, got {wanted}.")
        widths.append(width)
    return tuple(widths)
