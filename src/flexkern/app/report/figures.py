"""Figures of learned windows. Axes are in samples from the centre, or back from now if causal."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from flexkern._support.atomic import atomic_path
from flexkern.windows import Bounds, GaussianWindow, current_bounds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK, _SOFT, _BLUE, _ACCENT = "#1f2a37", "#8a94a3", "#2563a8", "#e8590c"
_RAMP = ("#ffffff", "#dbe9f6", "#9ac4e3", "#4a90c8", "#1f5f9f", "#0d3463")
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.color": _INK,
    "axes.edgecolor": "#c9d0d9",
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.8,
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "figure.facecolor": "white",
}


def windows_figure(model: nn.Module) -> Figure:
    """Draw learned windows by depth: every layer's window over its horizon, with its crop and its size.

    Series give one curve per layer. Images give one panel per layer, and the sizes by depth below. Where windows
    differ by channel, the highest value is drawn; of three axes, the middle slice of the first.

    Raises:
        ValueError: the model has no layer that learns its size.
        ImportError: matplotlib is missing.

    Example:
        >>> import flexkern
        >>> figure = windows_figure(flexkern.FlexConv2d(1, 4, kernel_size=33))
        >>> save_figure(figure, "windows.png")  # doctest: +SKIP
    """
    matplotlib = import_matplotlib()
    windows = named_windows(model)
    if not windows:
        raise ValueError("the model has no layer that learns its size: there are no windows to draw.")
    with matplotlib.rc_context(STYLE):
        dims = {len(window.lengths) for window in windows.values()}
        return _curves(windows) if dims == {1} else _panels(windows)


def save_figure(figure: Figure, path: str | Path, *, dpi: int = 150) -> None:
    """Write a figure atomically, in the format of the file name's suffix."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi, bbox_inches="tight", pad_inches=0.15)


def check_figure(path: str | Path) -> None:
    """Check that a figure can be written to ``path``, before anything is computed for it.

    Raises:
        ImportError: matplotlib is missing.
        ValueError: the suffix is no format of figures.
    """
    import_matplotlib()
    suffix = Path(path).suffix.removeprefix(".").lower()
    if suffix not in _new_figure(1, 1).canvas.get_supported_filetypes():
        raise ValueError(f"{path} must end in .png, .svg, .pdf or another format of figures, got {suffix!r}.")


def named_windows(model: nn.Module) -> dict[str, GaussianWindow]:
    """Return the windows by the name of their layer, in the order of the model."""
    windows = {}
    for name, module in model.named_modules():
        if isinstance(module, GaussianWindow):
            layer_name = name.removesuffix("window").removesuffix(".")
            windows[layer_name or type(model).__name__] = module
    return windows


def import_matplotlib() -> Any:
    """Import matplotlib; raise an ImportError that names the extra where it is missing."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError("figures need the `report` extra: pip install 'flexkern[report]'.") from error
    return matplotlib


def _new_figure(width: float, height: float) -> Figure:
    # A Figure made directly has the Agg canvas and leaves pyplot and the caller's back-end alone.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


@torch.no_grad()
def _values(window: GaussianWindow) -> Tensor:  # shape: the last two (or one) lengths
    """Return the window over its whole horizon."""
    positions = window.grid.positions(device=window.log_width.device, dtype=torch.float32)
    values = window(positions).cpu()
    if values.ndim > len(window.lengths):
        values = values.amax(dim=0)
    if values.ndim < 3:
        return values
    return values[values.shape[0] // 2]


def _axis_limits(window: GaussianWindow, axis: int) -> tuple[float, float]:
    """Return the first and last position of an axis in samples: centred on 0, or ending at 0 (now) if causal."""
    last = window.lengths[axis] - 1
    if window.causal:
        return -float(last), 0.0
    return -last / 2, last / 2


def _size_text(bounds: Bounds) -> str:
    return " \u00d7 ".join(str(stop - start) for start, stop in bounds)


def _heading(figure: Figure, windows: dict[str, GaussianWindow]) -> None:
    from matplotlib.transforms import offset_copy

    horizons = sorted({" \u00d7 ".join(map(str, window.lengths)) for window in windows.values()})
    figure.suptitle("Learned kernel sizes", x=0.02, ha="left", fontsize=13, fontweight="bold")
    below_top = offset_copy(figure.transFigure, fig=figure, y=-11, units="points")
    place: dict[str, Any] = {"ha": "right", "va": "center", "transform": below_top}
    figure.text(0.98, 1, f"horizon {', '.join(horizons)} samples", color=_SOFT, fontsize=9, **place)


def _curves(windows: dict[str, GaussianWindow]) -> Figure:
    """Draw one row per layer, the first on top: the window as a curve, its crop in colour, its size at the right."""
    figure = _new_figure(7.2, 1.1 + 0.52 * len(windows))
    axes = figure.subplots(len(windows), 1, sharex=True, squeeze=False)[:, 0]
    limits = [_axis_limits(window, 0) for window in windows.values()]
    left = min(first for first, _ in limits)
    right = max(last for _, last in limits)
    for axis, (name, window) in zip(axes, windows.items(), strict=True):
        _curve(axis, name, window)
        axis.set_xlim(left - 0.5, right + 0.5)
    causal = all(window.causal for window in windows.values())
    axes[-1].set_xlabel("samples back from now" if causal else "samples from the centre")
    _heading(figure, windows)
    return figure


def _curve(axis: Any, name: str, window: GaussianWindow) -> None:
    bounds = current_bounds(window)
    first, last = _axis_limits(window, 0)
    position = torch.linspace(first, last, window.lengths[0]).numpy()
    values = _values(window).numpy()
    crop = slice(*bounds[0])
    axis.fill_between(position, values, color="#eef1f5", lw=0)
    axis.fill_between(position[crop], values[crop], color="#c3dbf0", lw=0)
    axis.plot(position, values, color=_BLUE, lw=1.4)
    for edge in (position[crop][0] - 0.5, position[crop][-1] + 0.5):
        axis.axvline(edge, color=_ACCENT, lw=1.3)
    axis.set_ylim(0, 1.08)
    axis.set_yticks([])
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(length=0)
    axis.set_ylabel(name, rotation=0, ha="right", va="center", labelpad=8)
    text = axis.annotate(_size_text(bounds), (1.02, 0.5), xycoords="axes fraction", va="center")
    text.set(color=_ACCENT, fontweight="bold", fontsize=11)


def _panels(windows: dict[str, GaussianWindow]) -> Figure:
    """Draw one panel per layer, in reading order, and the sizes by depth below."""
    columns = _columns(len(windows))
    rows = math.ceil(len(windows) / columns)
    figure = _new_figure(max(6.4, 1.55 * columns), 0.6 + 1.95 * rows + 1.9)
    subfigures: Any = figure.subfigures(2, 1, height_ratios=[1.95 * rows, 1.9])
    upper, lower = subfigures
    axes = upper.subplots(rows, columns, squeeze=False).flatten()
    for axis in axes[len(windows) :]:
        axis.set_axis_off()
    for axis, (name, window) in zip(axes, windows.items(), strict=False):
        _panel(axis, name, window)
    _by_depth(lower.subplots(), windows)
    _heading(figure, windows)
    return figure


def _columns(count: int) -> int:
    """Return the panels per row: at most 7, with rows as even as possible."""
    rows = math.ceil(count / 7)
    return max(3, math.ceil(count / rows))


def _panel(axis: Any, name: str, window: GaussianWindow) -> None:
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.patches import Rectangle

    bounds = current_bounds(window)
    values = torch.atleast_2d(_values(window))
    height = values.shape[0]
    axis.imshow(values.numpy(), cmap=LinearSegmentedColormap.from_list("ink", _RAMP), vmin=0, vmax=1)
    # A kernel with one axis is drawn as an image of one row.
    (top, bottom), (left, right) = ((0, height), *bounds)[-2:]
    box = Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, edgecolor=_ACCENT, lw=1.6)
    box.set_clip_on(False)
    axis.add_patch(box)
    axis.set_title(name, fontsize=8, pad=4)
    axis.set_xlabel(_size_text(bounds), color=_ACCENT, fontweight="bold", fontsize=11, labelpad=3)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_aspect("equal" if height > 1 else "auto")


def _by_depth(axis: Any, windows: dict[str, GaussianWindow]) -> None:
    """Draw the size of every axis against depth, and the horizon as a dotted line."""
    from matplotlib.ticker import MaxNLocator

    depth = range(1, len(windows) + 1)
    sizes = []
    for window in windows.values():
        sizes.append([stop - start for start, stop in current_bounds(window)])
    styles = (("height", _BLUE, "o", "-"), ("width", _ACCENT, "s", "--"))
    for index, (label, colour, marker, line) in enumerate(styles):
        values = [size[index - 2] if len(size) > 1 else size[0] for size in sizes]
        axis.plot(depth, values, line, color=colour, marker=marker, ms=4.5, lw=1.6, label=label)
    horizon = [max(window.lengths) for window in windows.values()]
    axis.plot(depth, horizon, ":", color=_SOFT, lw=1.2, label="horizon")
    axis.set_ylim(0, 1.12 * max(horizon))
    axis.set_xlim(0.6, len(windows) + 0.4)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axis.grid(axis="y", color="#e6eaef", lw=0.8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(length=0)
    axis.set_xlabel("layer, from the input")
    axis.set_ylabel("size in samples")
    axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), handlelength=1.8)
