"""A figure of accuracy against cost, for budgets of learned sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flexkern.app.report.figures import STYLE, import_matplotlib

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def budgets_figure(budgets: Sequence[dict[str, Any]]) -> Figure:
    """Test accuracy against products per image: every run as a dot, means as a line, budgets written beside.

    Args:
        budgets: as in the results of ``flexkern reproduce size-budget``.

    Raises:
        ImportError: matplotlib is missing.

    Example:
        >>> runs = [{"macs": 2e7, "test": 0.9}]
        >>> len(budgets_figure([{"budget": None, "macs_mean": 2e7, "test_mean": 0.9, "runs": runs}]).axes)
        1
    """
    matplotlib = import_matplotlib()
    with matplotlib.rc_context(STYLE):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5.6, 3.6), layout="constrained")
        panel = figure.subplots()
        ordered = sorted(budgets, key=lambda one: one["macs_mean"])
        means = [(one["macs_mean"] / 1e6, 100 * one["test_mean"]) for one in ordered]
        panel.plot(*zip(*means, strict=True), color="#2563a8", lw=1.4, marker="o", ms=5)
        for index, (one, (macs, accuracy)) in enumerate(zip(ordered, means, strict=True)):
            runs = [(run["macs"] / 1e6, 100 * run["test"]) for run in one["runs"]]
            panel.plot(*zip(*runs, strict=True), "o", color="#9ac4e3", ms=3, zorder=0)
            text = "no budget" if one["budget"] is None else f"budget {one['budget'] / 1e6:g} M"
            at, side = ((-6, 6), "right") if index % 2 else ((6, -10), "left")  # neighbours may be as good as one
            panel.annotate(text, (macs, accuracy), xytext=at, textcoords="offset points", fontsize=8, ha=side)
        panel.set_xscale("log")
        panel.set_xlabel("million multiply-accumulates per image")
        panel.set_ylabel("test accuracy, %")
        panel.spines[["top", "right"]].set_visible(False)
    return figure
