"""Tables of results: the generated part of an experiment's notes, by the kind of its result."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .statistics import Result, Scale, score_scale

NO_SIZES = "N-Jet"
"""Network whose size is learned but not stored."""


def result_lines(result: Result) -> list[str]:
    """Return the lines of Markdown that describe a result."""
    for key, lines_of_kind in KINDS.items():
        if key in result:
            return lines_of_kind(result)
    return run_lines(result)


def run_lines(result: Result) -> list[str]:
    """Describe runs of one recipe that differ in their seed."""
    runs = result["runs"]
    first = runs[0]
    machine = result["machine"]
    rows = [
        ["test accuracy", _accuracy(result)],
        ["seeds", _join(run["seed"] for run in runs)],
        ["accuracy of each, %", _join(_percent(run["accuracy"]) for run in runs)],
        ["parameters", f"{result['parameters']:,}"],
        ["samples to train", f"{result['n_train']:,}"],
        ["samples that chose the epoch", f"{result['n_validation']:,}"],
        ["samples to test, used once", f"{result['n_test']:,}"],
        ["minutes", _join(f"{run['seconds'] / 60:.0f}" for run in runs)],
        ["learned sizes, first layer to last", _join(first["sizes"].values())],
        ["machine", f"{machine['threads']} thread(s) of {machine['cpu']}"],
        ["torch", result["versions"]["torch"]],
        ["commit", short(first["commit"])],
    ]
    sizes = f"Sizes are those of seed {first['seed']}."
    return [*markdown_table(["", "flexkern"], rows), "", sizes]


def contestant_lines(result: Result) -> list[str]:
    """Describe models under one recipe: accuracy and costs."""
    entries = result["contestants"]
    first = next(iter(entries.values()))["runs"][0]
    limits = " / ".join(limit.removesuffix(" %") for limit in first["epochs_to"])
    header = [
        "contestant",
        "test accuracy",
        "seeds",
        "parameters",
        "MACs",
        "activations",
        "one image",
        "forward and backward of 32",
        "memory, 64 images",
        f"epochs to {limits} %",
    ]
    rows = [_contestant_row(name, entry) for name, entry in entries.items()]
    commits = {short(run["commit"]) for entry in entries.values() for run in entry["runs"]}
    notes = (
        f"{first['n_train']:,} samples to train; {first['n_validation']:,} chose the epoch; {first['n_test']:,} test "
        "images, used once per run. Epochs: the median over seeds of the first epoch whose validation accuracy reaches "
        f"the value. Runs of commits {_join(sorted(commits))}. Times: {provenance(result)}"
    )
    return [*markdown_table(header, rows), "", notes]


def _contestant_row(name: str, entry: Result) -> list[str]:
    return [
        f"{name}: {entry['about']}",
        _accuracy(entry),
        _join(run["seed"] for run in entry["runs"]),
        f"{entry['parameters']:,}",
        f"{entry['macs'] / 1e6:.2f} M",
        f"{entry['activations'] / 1e3:.1f} k",
        f"{1e3 * entry['latency']:.2f} ms",
        f"{1e3 * entry['step']:.1f} ms",
        _mebibytes(entry["memory"]),
        epochs_reached(entry["runs"]),
    ]


def epochs_reached(runs: Sequence[Result]) -> str:
    """Return medians over runs of the epochs that reached each threshold; a dash where most runs never did."""
    medians = []
    for limit in runs[0]["epochs_to"]:
        epochs = [run["epochs_to"][limit] or math.inf for run in runs]
        median = statistics.median_low(epochs)
        medians.append("-" if math.isinf(median) else str(median))
    return " / ".join(medians)


def network_lines(result: Result) -> list[str]:
    """Describe networks on one task, and comparisons of some of them."""
    scale = score_scale(result)
    rows = []
    for name, net in result["nets"].items():
        row = [
            name,
            f"{_mean(net, 'test', scale.factor)} {scale.unit}",
            f"{net['parameters']:,}",
            _thousands(net["macs"]),
            _microseconds(net["latency"]),
            _microseconds(net["latency_torch"]),
        ]
        rows.append(row)
    header = [
        "network",
        f"test {scale.measure}",
        "parameters",
        "MACs",
        "one sample, ONNX Runtime",
        "in torch",
    ]
    comparisons = []
    for title, comparison in result["comparisons"].items():
        comparisons.append(_comparison_line(title, comparison, scale))
    return [
        *markdown_table(header, rows),
        "",
        *comparisons,
        "",
        _network_notes(result),
    ]


def _comparison_line(title: str, comparison: Result, scale: Scale) -> str:
    gain = f"{scale.factor * comparison['gain']:+.2f} {scale.gain_unit}"
    if comparison["rival"] not in title:
        gain += f" over {comparison['rival']}"
    return f"* {title}: {gain}, exact permutation test p = {comparison['p']:.3f}."


def _network_notes(result: Result) -> str:
    counts = result["counts"]
    first = next(iter(result["nets"].values()))
    return (
        f"Seeds {_join(run['seed'] for run in first['runs'])}; {counts['train']:,} samples to train, "
        f"{counts['validation']:,} for validation, {counts['test']:,} to test; {result['epochs']} epochs. "
        f"MACs and times are of the last seed: {provenance(result)}"
    )


def kernel_lines(result: Result) -> list[str]:
    """Describe how far the kernels of a trained model follow its input."""
    rows = []
    for layer, share in result["share"].items():
        about = f"energy of the kernels of `{layer}` that varies with the input"
        rows.append([about, f"{100 * share:.0f} %"])
    rows += [
        ["accuracy", f"{_percent(result['accuracy'])} %"],
        ["accuracy with mean kernels instead", f"{_percent(result['accuracy_of_mean'])} %"],
        ["training images", f"{result['n']:,}"],
    ]
    torch_version = result["versions"]["torch"]
    return [
        *markdown_table(["", "flexkern"], rows),
        "",
        f"torch {torch_version}; commit {short(result['commit'])}.",
        "",
        "![kernels of two digits](result.png)",
    ]


def resolution_lines(result: Result) -> list[str]:
    """Describe networks at half the resolution, at the whole, and fine-tuned."""
    header = [
        "network",
        "parameters",
        "half",
        "whole, out of the box",
        "ordinary kernels enlarged",
        "fine-tuned",
    ]
    rows = []
    energies = []
    for name, net in result["nets"].items():
        rows.append(_resolution_row(name, net))
        shares = [run["energy_above"] for run in net["runs"] if "energy_above" in run]
        if shares:
            percent = f"{100 * max(shares):.2f} %"
            energies.append(f"* {name}: at most {percent} of the energy of a layer lies above Nyquist.")
    return [
        *markdown_table(header, rows),
        "",
        *energies,
        "",
        _resolution_notes(result),
    ]


def _resolution_row(name: str, net: Result) -> list[str]:
    change = 100 * (net["out_of_box_mean"] - net["source_mean"])
    adapts = bool(net["runs"][0].get("sizes")) or name == NO_SIZES
    return [
        name,
        f"{net['parameters']:,}",
        _mean(net, "source"),
        f"{_mean(net, 'out_of_box')} ({change:+.1f})",
        "-" if adapts else _mean(net, "enlarged"),
        _mean(net, "tuned"),
    ]


def _resolution_notes(result: Result) -> str:
    counts = result["counts"]
    runs = [run for net in result["nets"].values() for run in net["runs"]]
    seeds = sorted({run["seed"] for run in runs})
    commits = sorted({short(run["commit"]) for run in runs})
    return (
        f"Test accuracy in %, mean and deviation over seeds {_join(seeds)}, as far as a row has them; "
        f"{counts['train']:,} samples to train, {counts['test']:,} to test; {result['epochs']} epochs, "
        f"{result['tuning']} of fine-tuning. Energies are measured after training. Runs of commits {_join(commits)}; "
        f"last call: {provenance(result)}"
    )


def fit_lines(result: Result) -> list[str]:
    """Describe kernel networks on targets: a table for each number of parameters."""
    lines = []
    for budget in _distinct(result["rows"], "budget"):
        rows = [row for row in result["rows"] if row["budget"] == budget]
        about = f"At most {budget:,} parameters: PSNR in dB (steps until it was {result['good']:.0f} dB)."
        lines += [about, "", *_fit_table(rows, _distinct(result["rows"], "target")), ""]
    rates = _join(f"{rate:g}" for rate in result["rates"])
    notes = (
        f"{result['size']} x {result['size']} samples; {result['steps']} steps of Adam; the best of the learning rates "
        f"{rates} for each network and target; mean over seeds {_join(result['seeds'])}, the best in bold, steps of "
        f"the first seed. {provenance(result)}"
    )
    return [*lines, notes]


def _fit_table(rows: Sequence[Result], targets: Sequence[str]) -> list[str]:
    best = dict.fromkeys(targets, -math.inf)
    for row in rows:
        best[row["target"]] = max(best[row["target"]], row["psnr_mean"])
    table_rows = []
    for network in _distinct(rows, "network"):
        fits = {row["target"]: row for row in rows if row["network"] == network}
        first_fit = next(iter(fits.values()))
        cells = [network, f"{first_fit['parameters']:,}"]
        for target in targets:
            cells.append(_fit_cell(fits.get(target), best[target]))
        table_rows.append(cells)
    return markdown_table(["network", "parameters", *targets], table_rows)


def _fit_cell(row: Result | None, best: float) -> str:
    """Return the mean and the steps; a dash where there is no run."""
    if row is None:
        return "-"
    value = f"{row['psnr_mean']:.1f}"
    if row["psnr_mean"] == best:
        value = f"**{value}**"
    return f"{value} ({row['steps_to_good'] or '-'})"


def budget_lines(result: Result) -> list[str]:
    """Describe accuracy and cost by budget, with the figure that the experiment draws."""
    rows = [_budget_row(entry) for entry in result["budgets"]]
    counts = result["counts"]
    first_runs = result["budgets"][0]["runs"]
    seeds = _join(run["seed"] for run in first_runs)
    notes = (
        f"Seeds {seeds}; {counts['train']:,} samples to train, {counts['test']:,} to test; {result['epochs']} epochs. "
        f"{provenance(result)}"
    )
    header = ["budget", "products per image", "test accuracy", "sizes, first seed"]
    return [
        *markdown_table(header, rows),
        "",
        notes,
        "",
        "![accuracy against cost](result.png)",
    ]


def _budget_row(entry: Result) -> list[str]:
    budget = "none"
    if entry["budget"] is not None:
        budget = f"{entry['budget'] / 1e6:g} M"
    sizes = []
    for size in entry["runs"][0]["sizes"].values():
        sizes.append("x".join(map(str, size)))
    return [
        budget,
        f"{entry['macs_mean'] / 1e6:.1f} M",
        f"{_mean(entry, 'test')} %",
        _join(sizes),
    ]


def provenance(result: Result) -> str:
    """Return the machine, the version of torch and the commit of a result."""
    machine = result["machine"]
    processor = f"{machine['threads']} thread(s) of {machine['cpu']}"
    return f"{processor}; torch {result['versions']['torch']}; commit {short(result['commit'])}."


def short(commit: str | None) -> str:
    """Return ten digits of a commit.

    Example:
        >>> short("0123456789abcdef"), short(None)
        ('0123456789', 'unknown')
    """
    return "unknown" if commit is None else commit[:10]


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table.

    Example:
        >>> markdown_table(["network", "accuracy"], [["plain", "98 %"]])
        ['| network | accuracy |', '|---|---|', '| plain | 98 % |']
    """
    lines = [_table_row(header), "|---" * len(header) + "|"]
    lines += [_table_row(row) for row in rows]
    return lines


def _table_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _accuracy(entry: Result) -> str:
    return f"{_mean(entry, 'accuracy')} %"


def _mean(entry: Result, key: str, factor: int = 100) -> str:
    """Return a mean, and its deviation if there is one."""
    text = f"{factor * entry[f'{key}_mean']:.2f}"
    deviation = entry[f"{key}_sd"]
    if deviation is None:
        return text
    return f"{text} +- {factor * deviation:.2f}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f}"


def _mebibytes(count: int | None) -> str:
    return "-" if count is None else f"{count / 2**20:.1f} MiB"


def _thousands(count: int | None) -> str:
    return "-" if count is None else f"{count / 1e3:,.0f} k"


def _microseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1e6 * seconds:.0f} us"


def _join(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values))


def _distinct(rows: Iterable[Result], key: str) -> list[Any]:
    """Return the values of a key in the order in which they first appear."""
    return list(dict.fromkeys(row[key] for row in rows))


KINDS: dict[str, Callable[[Result], list[str]]] = {
    "contestants": contestant_lines,
    "tuning": resolution_lines,
    "rows": fit_lines,
    "budgets": budget_lines,
    "nets": network_lines,
    "share": kernel_lines,
}
"""How to describe a result that has a key; the first key decides. Other results are runs of one recipe."""
