"""A figure of accuracy against cost, for budgets of learned sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flexkern.app.report.figures import STYLE, import_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE, DOTS = "#2563a8", "#9ac4e3"
BELOW_RIGHT, ABOVE_LEFT = ((6, -10), "left"), ((-6, 6), "right")
"""Places of a label beside its point: the offset and the alignment."""


def budgets_figure(budgets: Sequence[dict[str, Any]]) -> Figure:
    """Draw test accuracy against products per image: runs as dots, means as a line, with the budgets as labels.

    Args:
        budgets: as in the results of ``python -m experiments size-budget``.

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
        _draw_budgets(panel, sorted(budgets, key=lambda entry: entry["macs_mean"]))
        panel.set_xscale("log")
        panel.set_xlabel("million multiply-accumulates per image")
        panel.set_ylabel("test accuracy, %")
        panel.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_budgets(panel: Axes, budgets: Sequence[dict[str, Any]]) -> None:
    costs = [entry["macs_mean"] / 1e6 for entry in budgets]
    accuracies = [100 * entry["test_mean"] for entry in budgets]
    panel.plot(costs, accuracies, color=LINE, lw=1.4, marker="o", ms=5)
    for index, entry in enumerate(budgets):
        _draw_runs(panel, entry["runs"])
        # Neighbours may lie close together.
        offset, side = ABOVE_LEFT if index % 2 else BELOW_RIGHT
        panel.annotate(
            _label(entry),
            (costs[index], accuracies[index]),
            xytext=offset,
            textcoords="offset points",
            fontsize=8,
            ha=side,
        )


def _draw_runs(panel: Axes, runs: Sequence[dict[str, Any]]) -> None:
    costs = [run["macs"] / 1e6 for run in runs]
    accuracies = [100 * run["test"] for run in runs]
    panel.plot(costs, accuracies, "o", color=DOTS, ms=3, zorder=0)


def _label(entry: dict[str, Any]) -> str:
    if entry["budget"] is None:
        return "no budget"
    return f"budget {entry['budget'] / 1e6:g} M"
