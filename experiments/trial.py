"""Trials: several small networks on the same samples, once per seed, and whether one of them is really better."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexkern.analysis import count_cost
from flexkern.app.measure.exported import exported_call
from flexkern.app.measure.timing import interleave, time_runs
from flexkern.app.training.accuracy import count_correct
from flexkern.app.training.batches import Batches
from flexkern.app.training.loop import train_epochs
from flexkern.app.training.record import commit

ROUNDS = 31
EQUAL = 1.02
"""Up to this factor more parameters count as equal."""
Result = dict[str, Any]
Makers = Mapping[str, Callable[[], nn.Module]]
Maker = TypeVar("Maker")


class Samples(NamedTuple):
    """Inputs (N, C, *S) and their classes (N,), or whatever a network should give."""

    x: Tensor
    y: Tensor


class Objective(NamedTuple):
    """What is trained for, and what is told of a trained network, in per cent (of a share) or in dB; more is better."""

    loss: Callable[[Tensor, Tensor], Tensor]
    score: Callable[[nn.Module, Samples], float]
    unit: str

    def text(self, score: float) -> str:
        """As in 98.20 %."""
        return f"{100 * score:.2f} %" if self.unit == "%" else f"{score:.2f} {self.unit}"


def run_trials(
    nets: Makers,
    data: Mapping[str, Samples],
    *,
    seeds: Sequence[int],
    epochs: int,
    batch: int,
    rate: float,
    say: Callable[[str], None] = lambda text: None,
    objective: Objective | None = None,
) -> tuple[dict[str, nn.Module], dict[str, list[Result]]]:
    """Trains every network on ``data["train"]`` once per seed; scores on the other two parts, by default accuracies.

    Returns:
        By network: the one trained last; ``seed``, ``commit``, ``validation`` and ``test`` of each run.
    """
    objective, trained = objective or Objective(F.cross_entropy, accuracy, "%"), {}
    runs: dict[str, list[Result]] = {name: [] for name in nets}
    for seed, name in itertools.product(seeds, nets):
        options: dict[str, Any] = {"epochs": epochs, "batch": batch, "rate": rate, "loss": objective.loss}
        net = trained[name] = train(nets[name], data["train"], seed, **options)
        found = {part: objective.score(net, data[part]) for part in ("validation", "test")}
        runs[name].append({"seed": seed, "commit": commit(), **found})
        say(f"{name}, seed {seed}: {objective.text(found['test'])}")
    return trained, runs


def train(
    make: Callable[[], nn.Module],
    samples: Samples,
    seed: int,
    *,
    epochs: int,
    batch: int,
    rate: float,
    penalty: Callable[[nn.Module], Tensor] | None = None,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
) -> nn.Module:
    """AdamW with one cycle of the learning rate; the last weights. ``penalty`` is added to the loss."""
    torch.manual_seed(seed)
    net = make().train()
    batches = Batches(samples.x, samples.y, batch, seed=seed)
    optimiser = torch.optim.AdamW(net.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=epochs * len(batches))
    train_epochs(net, batches, optimiser, schedule, epochs=epochs, loss=loss, penalty=penalty)
    return net.eval()


def accuracy(net: nn.Module, samples: Samples) -> float:
    """Return the fraction of samples classified correctly."""
    return count_correct(net, samples.x, samples.y, batch_size=1000) / len(samples.y)


@torch.inference_mode()
def summarise(
    nets: Mapping[str, nn.Module],
    runs: Mapping[str, list[Result]],
    shape: tuple[int, ...],
    *,
    exported: bool = True,
) -> dict[str, Result]:
    """Means and deviations, what each trained network costs, and the seconds of one sample, taken in turns.

    Those are measured in eager torch (``latency_torch``) and in ONNX Runtime (``latency``), which is what a device
    would run; the latter is None without ``exported``.
    """
    sample = torch.randn(1, *shape)
    eager = _seconds({name: functools.partial(net, sample) for name, net in nets.items()})
    onnx = (
        _seconds({name: exported_call(net, sample, threads=torch.get_num_threads()) for name, net in nets.items()})
        if exported
        else {}
    )
    return {
        name: {
            "validation_mean": statistics.mean(run["validation"] for run in found),
            "test_mean": statistics.mean(run["test"] for run in found),
            "test_sd": statistics.stdev([run["test"] for run in found]) if len(found) > 1 else None,
            **dataclasses.asdict(count_cost(nets[name], shape)),
            "latency_torch": eager[name],
            "latency": onnx.get(name),
            "runs": found,
        }
        for name, found in runs.items()
    }


def _seconds(calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    for call in calls.values():
        call()
    timings = interleave(calls, {name: time_runs(call) for name, call in calls.items()}, ROUNDS, give_up=False)
    return {name: timing.seconds for name, timing in timings.items()}


def compare(nets: Mapping[str, Result], ours: Sequence[str], rivals: Sequence[str]) -> dict[str, Result]:
    """Each of ours against the rival that validates best, at equal parameters, and at equal latency (ONNX Runtime)."""
    found = {}
    for name, (key, slack) in itertools.product(ours, (("parameters", EQUAL), ("latency", 1.0))):
        equal = [rival for rival in rivals if nets[rival][key] <= slack * nets[name][key]]
        if equal:
            rival = max(equal, key=lambda one: nets[one]["validation_mean"])
            found[f"{name}, equal {key}"] = {"rival": rival, **gain_over(nets[name], nets[rival])}
    return found


def gain_over(ours: Result, theirs: Result) -> Result:
    """Difference of mean test accuracies and its p."""
    a, b = ([run["test"] for run in one["runs"]] for one in (ours, theirs))
    return {"gain": statistics.mean(a) - statistics.mean(b), "p": permutation_test(a, b)}


def permutation_test(a: Sequence[float], b: Sequence[float]) -> float:
    """Two-sided p that means differ as much as these if labels are exchanged in every possible way.

    Example:
        >>> permutation_test([3.0, 4.0, 5.0], [0.0, 1.0, 2.0])
        0.1
    """
    both, total = [*a, *b], sum(a) + sum(b)

    def difference(chosen: Sequence[float]) -> float:
        return abs(sum(chosen) / len(a) - (total - sum(chosen)) / len(b))

    ways = [difference(chosen) for chosen in itertools.combinations(both, len(a))]
    return sum(way >= difference(a) - 1e-12 for way in ways) / len(ways)


def chosen(nets: Mapping[str, Maker], only: Sequence[str]) -> dict[str, Maker]:
    """The networks asked for, all by default.

    Raises:
        ValueError: for an unknown network.
    """
    for name in only:
        if name not in nets:
            raise ValueError(f"unknown contestant `{name}`; known: {', '.join(nets)}.")
    return {name: nets[name] for name in only or nets}
