"""Trials: several small networks trained on the same samples, once per seed, then compared."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from flexkern.app.cli.text import table
from flexkern.app.training.record import commit
from flexkern.windows import GaussianWindow

from .costs import network_costs
from .ledger import Ledger, Result, Runs, read_entries
from .options import Settings
from .statistics import mean_and_sd, score_scale
from .training import CLASSIFICATION, Objective, Samples, Schedule, count_samples, train

Maker = Callable[[], nn.Module]
Parts = Mapping[str, Samples]


@dataclass(frozen=True)
class Trial:
    """Networks on one task.

    Args:
        nets: makers of the networks, by name.
        compare: returns the comparisons, by title, of networks with results.
        schedule: of every run.
        objective: the loss and the score.
        exported: whether networks are timed in ONNX Runtime too.
    """

    nets: Mapping[str, Maker]
    compare: Callable[[dict[str, Result]], dict[str, Result]]
    schedule: Schedule
    objective: Objective = CLASSIFICATION
    exported: bool = False


def run_trial(trial: Trial, parts: Parts, settings: Settings) -> Result:
    """Train the networks that the results lack, measure what all of them cost, compare them, and write the results.

    Args:
        trial: the networks and how they are trained and compared.
        parts: samples to train, for validation, and to test.
        settings: options of the call.

    Raises:
        ValueError: the results are of other settings, or too old to be continued.
    """
    schedule = trial.schedule
    if settings.epochs:
        schedule = schedule._replace(epochs=settings.epochs)
    ledger = _open_ledger(trial, parts, schedule, settings)
    missing = ledger.missing(settings.contestants, settings.seeds)
    if missing:
        _check_stored_runs(trial, ledger)
    for seed, name in missing:
        run = _run(trial, parts, name, seed, schedule)
        ledger.add(name, run)
        print(f"{name}, seed {seed}: {trial.objective.text(run['test'])}", flush=True)
    if missing or "comparisons" not in ledger.result:
        _compare(trial, ledger, tuple(parts["train"].x.shape[1:]))
    return ledger.result


def print_trial(result: Result) -> None:
    """Print a row for every network, then the comparisons."""
    scale = score_scale(result)
    rows = []
    for name, net in result["nets"].items():
        row = [
            name,
            f"{scale.factor * net['test_mean']:.2f}",
            f"{net['parameters']:,}",
            _microseconds(net),
        ]
        rows.append(row)
    header = ["network", f"{scale.measure}, {scale.unit}", "parameters", "one sample"]
    print(table(header, rows))
    for title, comparison in result["comparisons"].items():
        gain = f"{scale.factor * comparison['gain']:+.2f} {scale.gain_unit}"
        p_value = f"(p = {comparison['p']:.3f})"
        print(f"{title}: {gain} over {comparison['rival']} {p_value}")


def _open_ledger(trial: Trial, parts: Parts, schedule: Schedule, settings: Settings) -> Ledger:
    facts: Result = {"name": settings.name, "epochs": schedule.epochs}
    if trial.objective.unit != "%":
        facts["unit"] = trial.objective.unit
    facts["counts"] = count_samples(parts)
    return Ledger(
        settings.out,
        facts,
        read=functools.partial(read_entries, group="nets"),
        summarise=functools.partial(_summarise, order=tuple(trial.nets)),
    )


def _run(trial: Trial, parts: Parts, name: str, seed: int, schedule: Schedule) -> Result:
    net = train(trial.nets[name], parts["train"], seed, schedule, loss=trial.objective.loss)
    run: Result = {
        "seed": seed,
        "commit": commit(),
        "validation": trial.objective.score(net, parts["validation"]),
        "test": trial.objective.score(net, parts["test"]),
    }
    windows = read_windows(net)
    if windows:
        run["windows"] = windows
    return run


def _summarise(runs: Runs, order: Iterable[str]) -> Result:
    nets = {}
    for name in order:
        if name in runs:
            validation = mean_and_sd(runs[name], "validation")
            nets[name] = {
                "validation_mean": validation["validation_mean"],
                **mean_and_sd(runs[name], "test"),
                "runs": runs[name],
            }
    return {"nets": nets}


def _compare(trial: Trial, ledger: Ledger, shape: tuple[int, ...]) -> None:
    """Measure the costs of all networks in the results, of the last seed each, and compare the networks."""
    entries = _summarise(ledger.runs, trial.nets)["nets"]
    nets = {}
    for name, entry in entries.items():
        last_run = entry["runs"][-1]
        nets[name] = trial.nets[name]().eval()
        write_windows(nets[name], last_run.get("windows", {}))
    costs = network_costs(nets, shape, exported=trial.exported)
    summaries = {}
    for name, entry in entries.items():
        runs = entry.pop("runs")
        summaries[name] = {**entry, **costs[name], "runs": runs}
    ledger.write({"nets": summaries, "comparisons": trial.compare(summaries)})


def read_windows(net: nn.Module) -> dict[str, Any]:
    """Return the learned windows of a network, which decide its costs, as numbers by name."""
    windows = {}
    for name, module in net.named_modules():
        if isinstance(module, GaussianWindow):
            for key, value in module.state_dict().items():
                windows[f"{name}.{key}"] = value.tolist()
    return windows


def write_windows(net: nn.Module, windows: Mapping[str, Any]) -> None:
    """Give a network the windows that :func:`read_windows` returned."""
    state = {name: torch.tensor(value) for name, value in windows.items()}
    net.load_state_dict(state, strict=False)


def _check_stored_runs(trial: Trial, ledger: Ledger) -> None:
    """Refuse results of networks whose costs cannot be measured again."""
    for name, runs in ledger.runs.items():
        if name not in trial.nets:
            raise ValueError(f"{ledger.out} has results of `{name}`, which is no contestant: give another `--out`.")
        if "windows" not in runs[-1] and read_windows(trial.nets[name]()):
            raise ValueError(f"{ledger.out} was written without the windows of `{name}`: give another `--out`.")


def _microseconds(net: Result) -> str:
    if net["latency"]:
        return f"{1e6 * net['latency']:.0f} us, ONNX Runtime"
    return f"{1e6 * net['latency_torch']:.0f} us, torch"


def names_starting(nets: Iterable[str], prefix: str) -> Sequence[str]:
    """Return the names that start with a prefix.

    Example:
        >>> names_starting(["plain 3x3", "adaptive"], "plain")
        ['plain 3x3']
    """
    return [name for name in nets if name.startswith(prefix)]
