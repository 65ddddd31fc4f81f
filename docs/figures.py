"""Draw the pictures of README and docs from committed results and the shipped weights.

python docs/figures.py [FOLDER]     FOLDER takes the pictures (default: docs/images)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import torch
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from safetensors import safe_open
from torch import Tensor, nn

from flexkern import GaussianWindow, create_model, sizes
from flexkern.windows import width_for_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
DIGITS = ROOT / "experiments" / "digits" / "result.json"
GROWTH = ROOT / "benchmarks" / "results" / "conv-growth.json"
STEPS = ROOT / "benchmarks" / "results" / "step.json"
WEIGHTS = ROOT / "src" / "flexkern" / "app" / "weights" / "mnist-flexnet.safetensors"

INK, SOFT, BLUE, ORANGE = "#1f2a37", "#8a94a3", "#2563a8", "#e8590c"
RAMP = LinearSegmentedColormap.from_list("ink", ("#ffffff", "#dbe9f6", "#9ac4e3", "#4a90c8", "#1f5f9f", "#0d3463"))
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": "#c9d0d9",
    "axes.labelcolor": INK,
    "axes.titlesize": 9.5,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
}
CONTESTANTS = {
    "auto": ("flexkern", ORANGE, "o"),
    "torch": ("torch", BLUE, "s"),
    "torch-fftconv": ("torch-fftconv", SOFT, "^"),
}
SERIES = "dense 1x24x64x64 "
"""Points of the growth series that are drawn: images of 64 x 64 pixels, 24 -> 24 channels, batch 1."""

Size = tuple[int, ...]


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a result file."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def recorded_windows(path: Path) -> tuple[list[tuple[Size, Tensor]], Size]:
    """Return size and window of every layer of a recorded run, and the kernel size.

    A record contains sizes in samples only, so each window is the one that keeps that size.
    """
    record = read_json(path)
    length = record["recipe"]["model"]["kernel_size"]
    windows = []
    for text in record["runs"][0]["sizes"].values():
        size = tuple(int(number) for number in text.split("x"))
        window = GaussianWindow((length, length), width=width_for_size((length, length), size))
        windows.append((size, window_values(window)))
    return windows, (length, length)


def shipped_windows(path: Path) -> tuple[list[tuple[Size, Tensor]], Size]:
    """Return size and window of every layer of a weights file, and the kernel size."""
    model = load_model(path)
    layers = list(sizes(model).items())
    windows = []
    for name, size in layers:
        window = model.get_submodule(name).window
        windows.append((size, window_values(window)))
    return windows, model.get_submodule(layers[0][0]).kernel_size


def load_model(path: Path) -> nn.Module:
    """Return the model of a weights file."""
    with safe_open(path, framework="pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        about = json.loads(file.metadata()["flexkern"])
    classes = len(about["class_names"])
    model = create_model(about["model"], in_channels=about["in_channels"], classes=classes, **about["options"])
    model.load_state_dict(state)
    return model


@torch.no_grad()
def window_values(window: GaussianWindow) -> Tensor:
    """Return the window over its whole grid."""
    values: Tensor = window(window.grid.positions(device=None, dtype=torch.float32))
    return values


def draw_windows(panels: list[Axes], windows: list[tuple[Size, Tensor]], kernel_size: Size) -> None:
    """Draw one panel per layer, from the input to the output: the window, the crop as a box, the size below."""
    for depth, (panel, (size, values)) in enumerate(zip(panels, windows, strict=True), 1):
        panel.imshow(values.numpy(), cmap=RAMP, vmin=0, vmax=1)
        corner = [(length - extent) / 2 - 0.5 for length, extent in zip(kernel_size, size, strict=True)]
        box = Rectangle((corner[1], corner[0]), size[1], size[0], fill=False, edgecolor=ORANGE, linewidth=1.3)
        panel.add_patch(box)
        panel.set_title(f"layer {depth}", fontsize=8, color=SOFT)
        panel.set_xlabel(" x ".join(map(str, size)), color=ORANGE, fontweight="bold")
        panel.set_xticks([])
        panel.set_yticks([])


def draw_growth(axes: Axes, path: Path) -> None:
    """Draw the time of a convolution, forward and both gradients, against the kernel size."""
    points = [point for point in read_json(path)["points"] if point["name"].startswith(SERIES)]
    extents = [point["kernel"][0] for point in points]
    for name, (label, colour, marker) in CONTESTANTS.items():
        milliseconds = [1e3 * point["results"][name]["seconds"] for point in points]
        axes.loglog(extents, milliseconds, color=colour, marker=marker, markersize=4, linewidth=1.5, label=label)
    open_axes(axes, extents)
    axes.set_xlabel("kernel size (square)")
    axes.set_ylabel("ms, forward + backward")


def draw_steps(axes: Axes, path: Path) -> None:
    """Draw the time of a training step of FlexNet-7 against the kernel size."""
    points = [point for point in read_json(path)["points"] if point["model"] == "flexnet7"]
    for name, label, colour in (("ours", "flexkern", ORANGE), ("authors", "algorithm of the authors", BLUE)):
        timed = [point for point in points if "seconds" in point["results"][name]]
        extents = [point["sizes"]["stem.0"][0] for point in timed]
        seconds = [point["results"][name]["seconds"] for point in timed]
        axes.loglog(extents, seconds, color=colour, marker="o", markersize=4, linewidth=1.5, label=label)
    open_axes(axes, [point["sizes"]["stem.0"][0] for point in points])
    axes.set_xlabel("kernel size of all layers (square)")
    axes.set_ylabel("s per training step")


def open_axes(axes: Axes, ticks: list[int]) -> None:
    """Mark the kernel sizes on the axis, remove the frame at the top and at the right, and add a legend."""
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6eaef", linewidth=0.8)
    axes.legend(frameon=False, fontsize=8, loc="upper left")


def overview() -> Figure:
    """Learned windows by depth, and the cost of a convolution against the kernel size."""
    windows, kernel_size = recorded_windows(DIGITS)
    figure = Figure(figsize=(10.4, 2.6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[6.6, 3.8], wspace=0.03)
    panels = left.subplots(1, len(windows))
    draw_windows(list(panels), windows, kernel_size)
    left.suptitle("Learned kernel sizes by depth (handwritten digits)", fontsize=9.5)
    axes = right.subplots()
    draw_growth(axes, GROWTH)
    axes.set_title("Cost against kernel size (64 x 64 pixels)")
    return figure


def steps() -> Figure:
    """The time of a training step against the kernel size."""
    figure = Figure(figsize=(5.4, 3.2), layout="constrained")
    axes = figure.subplots()
    draw_steps(axes, STEPS)
    axes.set_title("Training step of FlexNet-7 (64 images of 32 x 32 pixels)")
    return figure


def windows() -> Figure:
    """The windows of the weights that come with the package."""
    layers, kernel_size = shipped_windows(WEIGHTS)
    figure = Figure(figsize=(1.25 * len(layers), 1.9), layout="constrained")
    draw_windows(list(figure.subplots(1, len(layers))), layers, kernel_size)
    return figure


FIGURES = {"overview.png": overview, "steps.png": steps, "windows.png": windows}


def main(folder: Path) -> None:
    """Write all pictures to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        for name, draw in FIGURES.items():
            draw().savefig(folder / name, dpi=160)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
