"""Networks trained at half the resolution, then used at the whole: out of the box, and after fine-tuning.

Published for CIFAR-10, 16 to 32 pixels (Romero et al. 2022). Here for that and for MNIST, 14 to 28, with a small
network and a small budget.
"""

from __future__ import annotations

import copy
import functools
import itertools
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..analysis import alias_penalty, alias_report, at_resolution
from ..baselines import NJetConv2d
from ..data import load_task, split_task
from ..functional import resize_bandlimited
from ..generators import SIREN, MAGNet, Points
from ..layers import FlexConv2d, sizes
from ..models import FlexNet
from ..models.resnet import thin_resnet
from ..training.record import write_result
from .trial import Result, Samples, accuracy, chosen, train

WIDTH, FACTORS, DROPOUT = 12, ((1, 1), (2, 1)), 0.1
BATCH, RATE, SIZE_RATE, TUNE_RATE = 64, 0.01, 0.01, 0.003
PENALTY = 0.1
"""Weight of the alias penalty, as published."""


@dataclass(frozen=True)
class CrossTask:
    """Which data, and how long networks are trained at half and fine-tuned at the whole resolution."""

    data: str
    side: int
    epochs: int
    tuning: int


MNIST, CIFAR10 = CrossTask("mnist", 28, 4, 1), CrossTask("cifar10", 32, 10, 3)
CROSS_RESOLUTION = {"cross-resolution": MNIST, "cross-resolution-cifar10": CIFAR10}


def _flexnet(
    channels: int, classes: int, side: int, *, conv: Callable[..., nn.Module], width: int = WIDTH, **options: Any
) -> nn.Module:
    layer = functools.partial(conv, kernel_size=side + 1, padding="same", **options)
    return FlexNet(channels, classes, layer, width=width, factors=FACTORS, dropout=DROPOUT)


def _njet(in_channels: int, out_channels: int, *, kernel_size: int, padding: str) -> nn.Module:
    """An N-Jet finds its own size."""
    return NJetConv2d(in_channels, out_channels)


def _ordinary(size: int | None, in_channels: int, out_channels: int, *, kernel_size: int, padding: str) -> nn.Module:
    return nn.Conv2d(in_channels, out_channels, size or kernel_size, padding=padding)


def _resnet(channels: int, classes: int, side: int, *, depth: int) -> nn.Module:
    return thin_resnet(channels, classes, depth=depth, width=16)


PENALISED = "FlexNet with penalty"
NETS: dict[str, Callable[[int, int, int], nn.Module]] = {
    PENALISED: functools.partial(_flexnet, conv=FlexConv2d),
    "FlexNet": functools.partial(_flexnet, conv=FlexConv2d),
    "FlexNet authors' initialisation": functools.partial(
        _flexnet, conv=FlexConv2d, generator=functools.partial(MAGNet, input_scale=25.6)
    ),
    "FlexNet SIREN": functools.partial(_flexnet, conv=FlexConv2d, generator=functools.partial(SIREN, hidden=41)),
    "FlexNet points": functools.partial(_flexnet, conv=FlexConv2d, generator=functools.partial(Points, points=41)),
    "N-Jet": functools.partial(_flexnet, conv=_njet, width=22),
    "conv 3x3": functools.partial(_flexnet, conv=functools.partial(_ordinary, 3)),
    "conv horizon": functools.partial(_flexnet, conv=functools.partial(_ordinary, None)),
    "ResNet-20": functools.partial(_resnet, depth=20),
    "ResNet-44": functools.partial(_resnet, depth=44),
}
"""Networks whose kernels adapt have about equal parameters, ordinary ones what their sizes take."""


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
    settings = {"name": name, "data": task.data, "epochs": task.epochs, "tuning": task.tuning}
    result: Result = {**settings, "counts": {part: len(samples.y) for part, samples in data["whole"].items()}}
    result["nets"] = _earlier(Path(out), settings)
    for seed, net in itertools.product(seeds, nets):
        runs = result["nets"].get(net, {"runs": []})["runs"]
        if seed in [run["seed"] for run in runs]:
            continue
        runs = [*runs, _run(nets[net], task, data, seed, penalised=net == PENALISED)]
        say(f"{net}, seed {seed}: " + ", ".join(f"{key} {100 * runs[-1][key]:.2f} %" for key in MEASURED))
        result["nets"][net] = _summary(runs)
        write_result(out, result)
    return result


def _earlier(out: Path, settings: Result) -> Result:
    """The networks of an earlier call with the same settings."""
    if not out.is_file():
        return {}
    stored = json.loads(out.read_text(encoding="utf-8"))
    if any(stored.get(key) != value for key, value in settings.items()):
        raise ValueError(f"{out} holds a comparison of other settings: give another `--out`.")
    return dict(stored["nets"])


MEASURED = ("source", "out_of_box", "enlarged", "tuned")


def cross_samples(task: CrossTask, data_dir: str | Path) -> dict[str, dict[str, Samples]]:
    """Training and test parts at the whole and at half the resolution, by mean and deviation of the former."""
    split = split_task(load_task(task.data, str(data_dir)), 0.1)
    mean = split.train[0].mean((0, 2, 3), keepdim=True)
    std = split.train[0].std((0, 2, 3), keepdim=True)
    whole = {part: Samples((x - mean) / std, y) for part, (x, y) in (("train", split.train), ("test", split.test))}
    half = {part: Samples(resize_bandlimited(x, (task.side // 2,) * 2), y) for part, (x, y) in whole.items()}
    return {"whole": whole, "half": half}


def _run(
    make: Callable[[int, int, int], nn.Module],
    task: CrossTask,
    data: dict[str, dict[str, Samples]],
    seed: int,
    *,
    penalised: bool,
) -> Result:
    """One network: accuracy at half the resolution, at the whole, with ordinary kernels enlarged, after fine-tuning."""
    half, whole = data["half"], data["whole"]
    given: dict[str, Any] = {"batch": BATCH, "size_rate": SIZE_RATE, "penalty": _penalty if penalised else None}
    channels, classes = half["train"].x.shape[1], int(half["train"].y.max()) + 1
    first = functools.partial(make, channels, classes, task.side // 2)
    net = train(first, half["train"], seed, epochs=task.epochs, rate=RATE, **given)
    fine, large = at_resolution(net, 2.0), at_resolution(net, 2.0, plain="enlarge")
    found: Result = {"seed": seed, "parameters": sum(p.numel() for p in net.parameters())}
    found["source"] = accuracy(net, half["test"])
    found["out_of_box"], found["enlarged"] = (accuracy(changed, whole["test"]) for changed in (fine, large))
    if sizes(net):
        found["sizes"] = {name: list(size) for name, size in sizes(net).items()}
        found["energy_above"] = max(layer.energy_above for layer in alias_report(net).values())
    tuned = train(lambda: copy.deepcopy(fine), whole["train"], seed, epochs=task.tuning, rate=TUNE_RATE, **given)
    return {**found, "tuned": accuracy(tuned, whole["test"])}


def _penalty(net: nn.Module) -> Tensor:
    return PENALTY * alias_penalty(net)


def _summary(runs: list[Result]) -> Result:
    summary: Result = {"parameters": runs[0]["parameters"], "runs": runs}
    for key in MEASURED:
        values = [run[key] for run in runs]
        summary[f"{key}_mean"] = statistics.mean(values)
        summary[f"{key}_sd"] = statistics.stdev(values) if len(values) > 1 else None
    return summary
