"""Networks trained at half the resolution, then used at the whole: out of the box, and after fine-tuning.

Published for CIFAR-10, 16 to 32 pixels (Romero et al. 2022). Here with a small network and few epochs.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import Tensor, nn

from flexkern.analysis import alias_report, at_resolution
from flexkern.app.cli.text import table
from flexkern.app.data import load_task, split_task
from flexkern.app.training.record import commit
from flexkern.functional import resize_bandlimited
from flexkern.models import thin_resnet
from flexkern.regularisers import alias_penalty
from flexkern.windows import sizes

from ..baselines import NJetConv2d
from .by_engines import ByEngines
from .ledger import Ledger, Result, Runs, read_entries
from .options import Settings
from .small_flexnet import AUTHORS_MAGNET, EQUAL_POINTS, EQUAL_SIREN, small_flexnet
from .statistics import mean_and_sd
from .training import Samples, Schedule, accuracy, count_samples, train

BATCH, RATE, TUNING_RATE = 64, 0.01, 0.003
PENALTY = 0.1
"""Weight of the alias penalty, the published one."""
VALIDATION = 0.1
"""Fraction of the training samples that is left out."""
MEASURED = ("source", "out_of_box", "enlarged", "tuned")
"""Accuracies of a run, in the order in which they are measured."""

Resolutions = dict[str, dict[str, Samples]]


@dataclass(frozen=True)
class CrossTask:
    """Data, and how long networks are trained at half and fine-tuned at the whole resolution.

    Args:
        data: name of the data.
        side: pixels per axis at the whole resolution.
        epochs: of training at half the resolution.
        tuning: epochs of fine-tuning at the whole resolution.
        train: samples to train on, the first of the training part.
    """

    data: str
    side: int
    epochs: int
    tuning: int
    train: int


def _flexnet(channels: int, classes: int, side: int, **options: Any) -> nn.Module:
    return small_flexnet(horizon=side + 1, channels=channels, classes=classes, **options)


def _njet(in_channels: int, out_channels: int, *, kernel_size: int, padding: str) -> nn.Module:
    """Return an N-Jet, which finds its own size and padding."""
    return NJetConv2d(in_channels, out_channels)


def _resnet(channels: int, classes: int, side: int, *, depth: int) -> nn.Module:
    return thin_resnet(channels, classes, depth=depth, width=16)


Maker = Callable[[int, int, int], nn.Module]
"""A function of channels, classes and pixels per axis that returns a network."""

PENALTIES = {"FlexNet with penalty": 1.0, "FlexNet with thrice the penalty": 3.0}
"""Networks that are penalised, and how many times the published weight."""
NETS: dict[str, Maker] = {
    **dict.fromkeys(PENALTIES, _flexnet),
    "FlexNet": _flexnet,
    "FlexNet authors' initialisation": functools.partial(_flexnet, generator=AUTHORS_MAGNET),
    "FlexNet SIREN": functools.partial(_flexnet, generator=EQUAL_SIREN),
    "FlexNet points": functools.partial(_flexnet, generator=EQUAL_POINTS),
    "N-Jet": functools.partial(_flexnet, layer=_njet, width=22),
    "conv 3x3": functools.partial(_flexnet, layer=nn.Conv2d, kernel_size=3),
    "conv horizon": functools.partial(_flexnet, layer=nn.Conv2d),
    "ResNet-20": functools.partial(_resnet, depth=20),
    "ResNet-44": functools.partial(_resnet, depth=44),
}
"""FlexNets, points and N-Jet have about equal parameters, ordinary networks what their sizes take."""
WIDE = ("conv horizon",)
"""Networks of ordinary convolutions that are so wide that the engines compute them."""


def run_cross_resolution(task: CrossTask, settings: Settings) -> int:
    """Train what is missing, print a table, and return the exit code."""
    result = train_at_both(task, settings)
    rows = []
    for name, net in result["nets"].items():
        accuracies = [f"{100 * net[f'{key}_mean']:.2f}" for key in MEASURED]
        rows.append([name, *accuracies])
    header = ["network", "half, %", "whole, out of the box", "ordinary kernels enlarged", "fine-tuned"]
    print(table(header, rows))
    print(f"results: {settings.out}")
    return 0


def train_at_both(task: CrossTask, settings: Settings) -> Result:
    """Train every network that the results lack; write the results after every run.

    Raises:
        ValueError: the results are of other settings.
    """
    if settings.epochs:
        task = replace(task, epochs=settings.epochs)
    data = cross_samples(task, settings.data_dir)
    ledger = Ledger(
        settings.out,
        _facts(task, settings.name, data),
        read=functools.partial(read_entries, group="nets"),
        summarise=_summarise,
    )
    for seed, name in ledger.missing(settings.contestants, settings.seeds):
        run = _run(name, task, data, seed)
        ledger.add(name, run)
        accuracies = ", ".join(f"{key} {100 * run[key]:.2f} %" for key in MEASURED)
        print(f"{name}, seed {seed}: {accuracies}", flush=True)
    return ledger.result


def _facts(task: CrossTask, name: str, data: Resolutions) -> Result:
    return {
        "name": name,
        "counts": count_samples(data["whole"]),
        **asdict(task),
        "batch": BATCH,
        "rate": RATE,
        "tuning_rate": TUNING_RATE,
        "penalty": PENALTY,
    }


def cross_samples(task: CrossTask, data_dir: str | None) -> Resolutions:
    """Return training and test samples at the whole and at half the resolution.

    They are standardised by mean and deviation of the training samples at the whole resolution.
    """
    split = split_task(load_task(task.data, data_dir), VALIDATION)
    train_x, train_y = split.train
    mean = train_x.mean((0, 2, 3), keepdim=True)
    std = train_x.std((0, 2, 3), keepdim=True)
    parts = {
        "train": Samples(train_x[: task.train], train_y[: task.train]),
        "test": Samples(*split.test),
    }
    half_side = task.side // 2
    whole = {}
    half = {}
    for part, samples in parts.items():
        standardised = (samples.x - mean) / std
        resized = resize_bandlimited(standardised, (half_side, half_side))
        whole[part] = Samples(standardised, samples.y)
        half[part] = Samples(resized, samples.y)
    return {"whole": whole, "half": half}


def _run(name: str, task: CrossTask, data: Resolutions, seed: int) -> Result:
    """Train one network at half the resolution and measure it there, at the whole, and after fine-tuning."""
    engines = ByEngines() if name in WIDE else contextlib.nullcontext()
    half, whole = data["half"], data["whole"]
    penalty = penalty_of(name)
    make = _maker(name, half["train"], task.side // 2)
    schedule = Schedule(task.epochs, BATCH, RATE)
    tuning = Schedule(task.tuning, BATCH, TUNING_RATE)
    run: Result = {"seed": seed, "commit": commit()}
    with engines:
        net = train(make, half["train"], seed, schedule, penalty=penalty)
        fine = at_resolution(net, 2.0)
        enlarged = at_resolution(net, 2.0, plain="enlarge")
        run["parameters"] = sum(p.numel() for p in net.parameters())
        run["source"] = accuracy(net, half["test"])
        run["out_of_box"] = accuracy(fine, whole["test"])
        run["enlarged"] = accuracy(enlarged, whole["test"])
        run.update(_describe_sizes(net))
        copies = functools.partial(copy.deepcopy, fine)
        tuned = train(copies, whole["train"], seed, tuning, penalty=penalty)
        run["tuned"] = accuracy(tuned, whole["test"])
    return run


def _maker(name: str, samples: Samples, side: int) -> Callable[[], nn.Module]:
    """Return a function that makes a network for the channels and classes of samples."""
    channels = samples.x.shape[1]
    classes = int(samples.y.max()) + 1
    return functools.partial(NETS[name], channels, classes, side)


def penalty_of(name: str) -> Callable[[nn.Module], Tensor] | None:
    """Return what is added to the loss of a network, or None."""
    times = PENALTIES.get(name)
    if times is None:
        return None

    def penalty(net: nn.Module) -> Tensor:
        return times * PENALTY * alias_penalty(net)

    return penalty


def _describe_sizes(net: nn.Module) -> Result:
    """Return the learned sizes and the largest share of energy above Nyquist, if the network learns sizes."""
    learned = sizes(net)
    if not learned:
        return {}
    shares = [layer.energy_above for layer in alias_report(net).values()]
    return {
        "sizes": {name: list(size) for name, size in learned.items()},
        "energy_above": max(shares),
    }


def _summarise(runs: Runs) -> Result:
    nets: Result = {}
    for name in NETS:
        if name in runs:
            first = runs[name][0]
            entry = {"parameters": first["parameters"], "runs": runs[name]}
            for key in MEASURED:
                entry.update(mean_and_sd(runs[name], key))
            nets[name] = entry
    return {"nets": nets}
