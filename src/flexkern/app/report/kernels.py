"""Figures of adaptive kernels: what they are for an input, and where they differ most from their mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from flexkern.analysis import adaptivity
from flexkern.layers import AdaptiveConv2d

from .figures import STYLE, import_matplotlib

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PIXELS_SHOWN = 3
BEHIND = {"facecolor": "black", "alpha": 0.7, "pad": 0.8, "linewidth": 0}
"""Background that makes a number readable on a bright map."""


@torch.no_grad()
def kernels_figure(layer: AdaptiveConv2d, images: Tensor, output: int = 0) -> Figure:
    """Draw a row per image: the image, where its kernels differ from the mean, the mean kernel, and three kernels.

    The three are those of the pixels where kernels differ most, far from each other.

    Args:
        layer: the layer whose kernels are drawn.
        images: (B, in, H, W) as the layer gets them; the first input channel is drawn.
        output: the output channel.

    Raises:
        ValueError: for images of another shape.
        ImportError: matplotlib is missing.

    Example:
        >>> figure = kernels_figure(AdaptiveConv2d(1, 2, 3), torch.randn(2, 1, 12, 12))
        >>> len(figure.axes)
        12
    """
    if images.dim() != 4:
        raise ValueError(f"`images` must be (batch, channels, height, width), got {tuple(images.shape)}.")
    variation = adaptivity(layer, images)
    kernels = layer.kernels(images)[:, output, 0]
    limit = float(kernels.abs().max())
    matplotlib = import_matplotlib()
    with matplotlib.rc_context(STYLE):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(1.6 * (3 + PIXELS_SHOWN), 1.8 * len(images)), layout="constrained")
        axes = figure.subplots(len(images), 3 + PIXELS_SHOWN, squeeze=False)
        signed = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
        for row, image, difference, values in zip(axes, images, variation.map, kernels, strict=True):
            pixels = far_maxima(difference, PIXELS_SHOWN)
            _draw(row[0], image[0], "image", cmap="gray")
            _draw(row[1], difference, "differs from mean", cmap="magma")
            _draw(row[2], variation.mean[output, 0], "mean kernel", **signed)
            for number, (y, x) in enumerate(pixels, 1):
                row[1].text(x, y, str(number), color="white", ha="center", va="center", fontsize=8, bbox=BEHIND)
                _draw(row[2 + number], values[:, :, y, x], f"at {number}", **signed)
        figure.suptitle(f"{100 * variation.share:.1f} % of the kernels' energy varies with the input")
    return figure


def far_maxima(values: Tensor, count: int) -> list[tuple[int, int]]:
    """Return the positions of the largest values of (H, W), none within a quarter of the side of another.

    Example:
        >>> far_maxima(torch.eye(4) * torch.arange(1, 5), 2)
        [(3, 3), (2, 2)]
    """
    remaining = values.clone()
    radius = max(1, min(values.shape) // 4)
    positions = []
    for _ in range(count):
        y, x = divmod(int(remaining.argmax()), remaining.shape[1])
        positions.append((y, x))
        top = max(0, y - radius + 1)
        left = max(0, x - radius + 1)
        remaining[top : y + radius, left : x + radius] = -torch.inf
    return positions


def _draw(panel: Any, values: Tensor, title: str, **style: Any) -> None:
    panel.imshow(values.numpy(), **style)
    panel.set_title(title, fontsize=8)
    panel.set_axis_off()
