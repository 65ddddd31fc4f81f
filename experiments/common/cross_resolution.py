"""Networks trained at half the resolution, then used at the whole: out of the box, and after fine-tuning.

Published for CIFAR-10, 16 to 32 pixels (Romero et al. 2022). Here for that and for MNIST, 14 to 28, with a small
network and a small budget.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import itertools
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from flexkern.analysis import alias_report, at_resolution
from flexkern.app.data import load_task, split_task
from flexkern.app.training.record import commit, write_result
from flexkern.functional import resize_bandlimited
from flexkern.models import thin_resnet
from flexkern.regularisers import alias_penalty
from flexkern.windows import sizes

from .baselines import NJetConv2d
from .by_engines import ByEngines
from .resume import earlier
from .small_flexnet import AUTHORS_MAGNET, EQUAL_POINTS, EQUAL_SIREN, small_flexnet
from .trial import Result, Samples, accuracy, chosen, train

RATES = {"batch": 64, "rate": 0.01, "tuning_rate": 0.003, "penalty": 0.1}
"""Settings of all networks: the weight of the alias penalty is the published one."""


@dataclass(frozen=True)
class CrossTask:
    """Which data, and how long networks are trained at half and fine-tuned at the whole resolution."""

    data: str
    side: int
    epochs: int
    tuning: int
    train: int
    """Samples that are trained on, the first of the training part."""


MNIST, CIFAR10 = CrossTask("mnist", 28, 4, 1, 20_000), CrossTask("cifar10", 32, 8, 2, 30_000)
CROSS_RESOLUTION = {"cross-resolution": MNIST, "cross-resolution-cifar10": CIFAR10}


def _flexnet(channels: int, classes: int, side: int, **options: Any) -> nn.Module:
    return small_flexnet(horizon=side + 1, channels=channels, classes=classes, **options)


def _njet(in_channels: int, out_channels: int, *, kernel_size: int, padding: str) -> nn.Module:
    """An N-Jet finds its own size."""
    return NJetConv2d(in_channels, out_channels)


def _resnet(channels: int, classes: int, side: int, *, depth: int) -> nn.Module:
    return thin_resnet(channels, classes, depth=depth, width=16)


PENALTIES = {"FlexNet with penalty": 1.0, "FlexNet with thrice the penalty": 3.0}
"""Networks that are penalised, and how many times the published weight."""
NETS: dict[str, Callable[[int, int, int], nn.Module]] = {
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
"""Networks whose kernels adapt have about equal parameters, ordinary ones what their sizes take."""
WIDE = ("conv horizon",)
"""Networks of ordinary convolutions so wide that they go by the engines."""


def reproduce_cross_resolution(
    name: str,
    out: str | Path,
    data_dir: str | Path,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    epochs: int | None = None,
    only: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
) -> Result:
    """Trains every network once per seed; writes ``out`` after each run, and does not repeat runs that it holds.

    Raises:
        ValueError: for an unknown network, or an ``out`` of other settings.
    """
    task = CROSS_RESOLUTION[name]
    task = replace(task, epochs=epochs or task.epochs)
    nets, data = chosen(NETS, only), cross_samples(task, data_dir)
    counts = {part: len(samples.y) for part, samples in data["whole"].items()}
    settings = {"name": name, "counts": counts, **asdict(task), **RATES}
    result: Result = dict(settings)
    result["nets"] = earlier(out, settings).get("nets", {})
    for seed, net in itertools.product(seeds, nets):
        runs = result["nets"].get(net, {"runs": []})["runs"]
        if seed in [run["seed"] for run in runs]:
            continue
        with ByEngines() if net in WIDE else contextlib.nullcontext():
            runs = [*runs, _run(nets[net], task, data, seed, penalty=PENALTIES.get(net))]
        say(f"{net}, seed {seed}: " + ", ".join(f"{key} {100 * runs[-1][key]:.2f} %" for key in MEASURED))
        found = {**result["nets"], net: _summary(runs)}
        result["nets"] = {name: found[name] for name in NETS if name in found}
        write_result(out, result)
    return result


MEASURED = ("source", "out_of_box", "enlarged", "tuned")


def cross_samples(task: CrossTask, data_dir: str | Path) -> dict[str, dict[str, Samples]]:
    """Training and test parts at the whole and at half the resolution, by mean and deviation of the former."""
    split = split_task(load_task(task.data, str(data_dir)), 0.1)
    mean = split.train[0].mean((0, 2, 3), keepdim=True)
    std = split.train[0].std((0, 2, 3), keepdim=True)
    parts = {"train": [values[: task.train] for values in split.train], "test": split.test}
    whole = {part: Samples((x - mean) / std, y) for part, (x, y) in parts.items()}
    half = {part: Samples(resize_bandlimited(x, (task.side // 2,) * 2), y) for part, (x, y) in whole.items()}
    return {"whole": whole, "half": half}


def _run(
    make: Callable[[int, int, int], nn.Module],
    task: CrossTask,
    data: dict[str, dict[str, Samples]],
    seed: int,
    *,
    penalty: float | None,
) -> Result:
    """One network: accuracy at half the resolution, at the whole, with ordinary kernels enlarged, after fine-tuning."""
    half, whole = data["half"], data["whole"]
    added = None if penalty is None else functools.partial(_penalty, times=penalty)
    train_at = functools.partial(train, batch=int(RATES["batch"]), penalty=added)
    channels, classes = half["train"].x.shape[1], int(half["train"].y.max()) + 1
    first = functools.partial(make, channels, classes, task.side // 2)
    net = train_at(first, half["train"], seed, epochs=task.epochs, rate=RATES["rate"])
    fine, large = at_resolution(net, 2.0), at_resolution(net, 2.0, plain="enlarge")
    found: Result = {"seed": seed, "commit": commit(), "parameters": sum(p.numel() for p in net.parameters())}
    found["source"] = accuracy(net, half["test"])
    found["out_of_box"], found["enlarged"] = (accuracy(changed, whole["test"]) for changed in (fine, large))
    if sizes(net):
        found["sizes"] = {name: list(size) for name, size in sizes(net).items()}
        found["energy_above"] = max(layer.energy_above for layer in alias_report(net).values())
    again = functools.partial(copy.deepcopy, fine)
    tuned = train_at(again, whole["train"], seed, epochs=task.tuning, rate=RATES["tuning_rate"])
    return {**found, "tuned": accuracy(tuned, whole["test"])}


def _penalty(net: nn.Module, *, times: float) -> Tensor:
    return times * RATES["penalty"] * alias_penalty(net)


def _summary(runs: list[Result]) -> Result:
    summary: Result = {"parameters": runs[0]["parameters"], "runs": runs}
    for key in MEASURED:
        values = [run[key] for run in runs]
        summary[f"{key}_mean"] = statistics.mean(values)
        summary[f"{key}_sd"] = statistics.stdev(values) if len(values) > 1 else None
    return summary
