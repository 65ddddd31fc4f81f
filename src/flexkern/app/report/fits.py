"""A figure of kernel fits: the target, the fit of every network, and error against steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..measure.fitting import Fit
from .figures import STYLE, import_matplotlib

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACROSS = 5


def fits_figure(target: Tensor, fits: Mapping[str, Fit]) -> Figure:
    """Draw target and fits side by side, with their PSNR, and below them the mean squared error by step.

    ``target`` has one to three axes; of three the middle slice of the first is drawn.

    Raises:
        ImportError: matplotlib is missing.

    Example:
        >>> import torch
        >>> from flexkern import SIREN
        >>> from flexkern.app.measure.fitting import fit_kernel
        >>> fit = fit_kernel(lambda: SIREN(2, 1, hidden=4), torch.rand(9, 9), steps=10)
        >>> len(fits_figure(torch.rand(9, 9), {"SIREN": fit}).axes)
        3
    """
    matplotlib = import_matplotlib()
    with matplotlib.rc_context(STYLE):
        from matplotlib.figure import Figure

        pictures = {"target": target}
        for name, fit in fits.items():
            pictures[f"{name}\n{fit.psnr:.1f} dB"] = fit.values
        rows = math.ceil(len(pictures) / ACROSS)
        figure = Figure(figsize=(1.7 * ACROSS, 1.9 * rows + 2.8), layout="constrained")
        places = figure.add_gridspec(rows + 1, ACROSS, height_ratios=[1.9] * rows + [2.8])
        low = target.min().item()
        high = target.max().item()
        for index, (title, values) in enumerate(pictures.items()):
            row, column = divmod(index, ACROSS)
            _draw(figure.add_subplot(places[row, column]), title, values, low, high)
        _curves(figure.add_subplot(places[rows, :]), fits)
    return figure


def _draw(panel: Any, title: str, values: Tensor, low: float, high: float) -> None:
    shown = values[values.shape[0] // 2] if values.dim() == 3 else values
    if shown.dim() == 1:
        panel.plot(shown.numpy(), lw=1.2)
        panel.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    else:
        panel.imshow(shown.numpy(), cmap="gray", vmin=low, vmax=high)
    panel.set_title(title, fontsize=8)
    panel.set_xticks([])
    panel.set_yticks([])


def _curves(panel: Any, fits: Mapping[str, Fit]) -> None:
    for name, fit in fits.items():
        steps, errors = zip(*fit.curve, strict=True)
        panel.loglog(steps, errors, lw=1.3, label=name)
    panel.set_xlabel("step")
    panel.set_ylabel("mean squared error")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
