"""The sections of RESULTS.md, one kind of result each: a claim from published.json and our numbers beside it."""

import math
import statistics
from collections.abc import Callable
from typing import Any


def section(name: str, claim: dict[str, Any], result: dict[str, Any]) -> list[str]:
    runs = result["runs"]
    spread = f" +- {100 * result['accuracy_sd']:.2f}" if result["accuracy_sd"] is not None else ""
    seeds = ", ".join(str(run["seed"]) for run in runs)
    each = ", ".join(f"{100 * run['accuracy']:.2f}" for run in runs)
    minutes = ", ".join(f"{run['seconds'] / 60:.0f}" for run in runs)
    machine, versions = result["machine"], result["versions"]
    lines = [
        f"## {name}",
        "",
        f"{claim['what']}.",
        "",
        "| | accuracy | parameters | source |",
        "|---|---|---|---|",
        f"| published | {claim['published']} | | {claim['source']} |",
        f"| flexkern | {100 * result['accuracy_mean']:.2f}{spread} % | {result['parameters']:,} "
        f"| results/{name}.json, {len(runs)} seed(s): {seeds} |",
        "",
        f"Aim: {100 * claim['aim']:.1f} %. Each run: {each} % on {result['n_test']:,} test samples, touched once; "
        f"{result['n_train']:,} trained on, {result['n_validation']:,} chose the epoch. Minutes: {minutes}, "
        f"{machine['threads']} thread(s) of {machine['cpu']}; torch {versions['torch']}; "
        f"commit {runs[0]['commit'][:10]}. {claim['note']}",
        "",
        f"Learned sizes, seed {runs[0]['seed']}, from the first layer to the last: "
        f"{', '.join(runs[0]['sizes'].values())}.",
        "",
    ]
    return lines


def comparison(name: str, claim: dict[str, Any], result: dict[str, Any]) -> list[str]:
    """Several models under one recipe: accuracy beside what they cost."""
    machine, versions = result["machine"], result["versions"]
    first = next(iter(result["contestants"].values()))["runs"][0]
    limits = " / ".join(limit.removesuffix(" %") for limit in first["epochs_to"])
    commits = sorted({short(run["commit"]) for entry in result["contestants"].values() for run in entry["runs"]})
    lines = [
        f"## {name}",
        "",
        f"{claim['what']}. Published: {claim['published']} ({claim['source']}).",
        "",
        "| contestant | test accuracy | seeds | parameters | MACs | activations | one image "
        f"| forward and backward of 32 | memory, 64 images | epochs to {limits} % |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for title, entry in result["contestants"].items():
        spread = f" +- {100 * entry['accuracy_sd']:.2f}" if entry["accuracy_sd"] is not None else ""
        lines.append(
            f"| {title}: {entry['about']} | {100 * entry['accuracy_mean']:.2f}{spread} % "
            f"| {', '.join(str(run['seed']) for run in entry['runs'])} | {entry['parameters']:,} "
            f"| {entry['macs'] / 1e6:.2f} M | {entry['activations'] / 1e3:.1f} k | {1e3 * entry['latency']:.2f} ms "
            f"| {1e3 * entry['step']:.1f} ms | {mebibytes(entry['memory'])} | {epochs_reached(entry['runs'])} |"
        )
    return [
        *lines,
        "",
        f"{first['n_train']:,} trained on, {first['n_validation']:,} chose the epoch, {first['n_test']:,} test images "
        f"touched once per run. Epochs: the median over seeds of the first epoch whose validation accuracy is there. "
        f"Times on {machine['threads']} thread(s) of {machine['cpu']}; torch {versions['torch']}; runs of commits "
        f"{', '.join(commits)}, times of {short(result['commit'])}. {claim['note']}",
        "",
    ]


def short(commit: str | None) -> str:
    """Ten digits of a commit."""
    return "unknown" if commit is None else commit[:10]


def mebibytes(count: int | None) -> str:
    return "-" if count is None else f"{count / 2**20:.1f} MiB"


def networks(name: str, claim: dict[str, Any], result: dict[str, Any]) -> list[str]:
    """Networks on one task, and some of them against others."""
    times, measure, unit, gained = (
        (1, "PSNR", "dB", "dB") if result.get("unit") == "dB" else (100, "accuracy", "%", "points")
    )
    lines = [f"## {name}", "", f"{claim['what']}. Published: {claim['published']} ({claim['source']}).", ""]
    lines += [
        f"| network | test {measure} | parameters | MACs | one sample, ONNX Runtime | in torch |",
        "|---" * 6 + "|",
    ]
    for title, net in result["nets"].items():
        spread = f" +- {times * net['test_sd']:.2f}" if net["test_sd"] is not None else ""
        lines.append(
            f"| {title} | {times * net['test_mean']:.2f}{spread} {unit} | {net['parameters']:,} "
            f"| {thousands(net['macs'])} | {microseconds(net['latency'])} | {microseconds(net['latency_torch'])} |"
        )
    lines.append("")
    for title, found in result["comparisons"].items():
        rival = "" if found["rival"] in title else f" over {found['rival']}"
        lines.append(
            f"* {title}: {times * found['gain']:+.2f} {gained}{rival}, exact permutation test p = {found['p']:.3f}."
        )
    counts = result["counts"]
    seeds = ", ".join(str(run["seed"]) for run in next(iter(result["nets"].values()))["runs"])
    return [
        *lines,
        "",
        f"Seeds {seeds}; {counts['train']:,} samples to train, {counts['validation']:,} to choose, "
        f"{counts['test']:,} to test; {result['epochs']} epochs. MACs and times are of the last seed, on "
        f"{provenance(result)} {claim['note']}",
        "",
    ]


def kernels(name: str, claim: dict[str, Any], result: dict[str, Any]) -> list[str]:
    """How far the kernels of a trained model follow its input."""
    shares = ", ".join(f"{100 * share:.0f} % of the energy of `{layer}`" for layer, share in result["share"].items())
    return [
        f"## {name}",
        "",
        f"{claim['what']}: {shares} varies with the input. Of {result['n']:,} training images the model "
        f"tells {100 * result['accuracy']:.2f} %, and {100 * result['accuracy_of_mean']:.2f} % with mean kernels "
        f"in their place. `{result['command']}`, torch {result['versions']['torch']}, commit {result['commit'][:10]}. "
        f"{claim['note']}",
        "",
        f"![kernels of two digits]({name}.png)",
        "",
    ]


def thousands(count: int | None) -> str:
    return "-" if count is None else f"{count / 1e3:,.0f} k"


def microseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1e6 * seconds:.0f} us"


def epochs_reached(runs: list[dict[str, Any]]) -> str:
    """Medians over the runs; a dash where most runs never got there."""
    found = []
    for limit in runs[0]["epochs_to"]:
        epochs = sorted(run["epochs_to"][limit] or math.inf for run in runs)
        middle = statistics.median_low(epochs)
        found.append("-" if math.isinf(middle) else str(middle))
    return " / ".join(found)


def resolutions(name: str, claim: dict[str, Any], result: dict[str, Any]) -> list[str]:
    """Networks at half the resolution, at the whole, and fine-tuned."""
    lines = [f"## {name}", "", f"{claim['what']}. Published: {claim['published']} ({claim['source']}).", ""]
    lines += ["| network | parameters | half | whole, out of the box | ordinary kernels enlarged | fine-tuned |"]
    lines += ["|---" * 6 + "|"]
    for title, net in result["nets"].items():
        lost = 100 * (net["out_of_box_mean"] - net["source_mean"])
        cells = [spread(net, key) for key in ("source", "out_of_box", "enlarged", "tuned")]
        cells[1] += f" ({lost:+.1f})"
        if net["runs"][0].get("sizes") or title == "N-Jet":
            cells[2] = "-"
        lines.append(f"| {title} | {net['parameters']:,} | " + " | ".join(cells) + " |")
    lines.append("")
    for title, net in result["nets"].items():
        found = [100 * run["energy_above"] for run in net["runs"] if "energy_above" in run]
        if found:
            lines.append(f"* {title}: at most {max(found):.2f} % of a layer's energy above Nyquist, after training.")
    counts = result["counts"]
    runs = [run for net in result["nets"].values() for run in net["runs"]]
    seeds, commits = ({run[key] for run in runs} for key in ("seed", "commit"))
    return [
        *lines,
        "",
        f"Test accuracy in %, mean and deviation over seeds {', '.join(map(str, sorted(seeds)))}, if a row has them; "
        f"{counts['train']:,} samples to train, {counts['test']:,} to test; {result['epochs']} epochs, "
        f"{result['tuning']} of fine-tuning. Runs of commit {', '.join(sorted(str(one)[:10] for one in commits))}; "
        f"{provenance(result)} {claim['note']}",
        "",
    ]


def fits(name: str, claim: dict[str, Any], result: dict[str, Any]) -> list[str]:
    """Kernel networks on targets: a table per number of parameters."""
    lines = [f"## {name}", "", f"{claim['what']}. Published: {claim['published']} ({claim['source']})."]
    rows = result["rows"]
    targets, networks_ = (list(dict.fromkeys(row[key] for row in rows)) for key in ("target", "network"))
    for budget in dict.fromkeys(row["budget"] for row in rows):
        lines += [
            "",
            f"At most {budget:,} parameters: PSNR in dB, and after how many steps it was {result['good']:.0f} dB.",
        ]
        lines += ["", "| network | parameters | " + " | ".join(targets) + " |", "|---" * (len(targets) + 2) + "|"]
        for network in networks_:
            found = {row["target"]: row for row in rows if (row["budget"], row["network"]) == (budget, network)}
            best = {
                t: max((r["psnr_mean"] for r in rows if (r["budget"], r["target"]) == (budget, t)), default=0)
                for t in targets
            }
            cells = [fit_cell(found.get(target), best[target]) for target in targets]
            parameters = next((f"{row['parameters']:,}" for row in found.values()), "-")
            lines.append(f"| {network} | {parameters} | " + " | ".join(cells) + " |")
    seeds = ", ".join(map(str, result["seeds"]))
    return [
        *lines,
        "",
        f"{result['size']} x {result['size']} samples, {result['steps']} steps of Adam, the best of the learning rates "
        f"{', '.join(f'{rate:g}' for rate in result['rates'])} for each row and target; mean over seeds {seeds}, "
        f"the best in bold, steps of the first. {provenance(result)} {claim['note']}",
        "",
    ]


def budgets(name: str, claim: dict[str, Any], result: dict[str, Any]) -> list[str]:
    """Accuracy and cost by budget, with the figure that the command drew."""
    lines = [f"## {name}", "", f"{claim['what']}. Published: {claim['published']} ({claim['source']}).", ""]
    lines += ["| budget | products per image | test accuracy | sizes, first seed |", "|---" * 4 + "|"]
    for one in result["budgets"]:
        budget = "none" if one["budget"] is None else f"{one['budget'] / 1e6:g} M"
        learned = ", ".join("x".join(map(str, size)) for size in one["runs"][0]["sizes"].values())
        lines.append(f"| {budget} | {one['macs_mean'] / 1e6:.1f} M | {spread(one, 'test')} % | {learned} |")
    seeds = ", ".join(str(run["seed"]) for run in result["budgets"][0]["runs"])
    counts = result["counts"]
    return [
        *lines,
        "",
        f"Seeds {seeds}; {counts['train']:,} samples to train, {counts['test']:,} to test; {result['epochs']} epochs. "
        f"{provenance(result)} {claim['note']}",
        "",
        f"![accuracy against cost]({name}.png)",
        "",
    ]


def fit_cell(row: dict[str, Any] | None, best: float) -> str:
    """The mean and the steps; a dash where there is no run yet."""
    if row is None:
        return "-"
    value = f"{row['psnr_mean']:.1f}"
    steps = row["steps_to_good"] or "-"
    return f"{f'**{value}**' if row['psnr_mean'] == best else value} ({steps})"


def spread(entry: dict[str, Any], key: str) -> str:
    deviation = entry[f"{key}_sd"]
    return f"{100 * entry[f'{key}_mean']:.2f}" + (f" +- {100 * deviation:.2f}" if deviation is not None else "")


def provenance(result: dict[str, Any]) -> str:
    machine = result["machine"]
    return (
        f"{machine['threads']} thread(s) of {machine['cpu']}; torch {result['versions']['torch']}; "
        f"commit {result['commit'][:10]}."
    )


Section = Callable[[str, dict[str, Any], dict[str, Any]], list[str]]
KINDS: dict[str, Section] = {
    "contestants": comparison,
    "tuning": resolutions,
    "rows": fits,
    "budgets": budgets,
    "nets": networks,
    "share": kernels,
}
"""By a key that results of that kind have; the first that fits. Others are runs of one recipe."""


def write_section(name: str, claim: dict[str, Any], result: dict[str, Any]) -> list[str]:
    """The section of one result."""
    return next((KINDS[key] for key in KINDS if key in result), section)(name, claim, result)
