"""Where adaptivity pays: telling a shift between two frames needs products of pixels.

Two noisy views of a natural image, shifted by up to two pixels in each direction: which of the 25 shifts? An optical
mouse and an image stabiliser ask this all the time. Adaptive kernels multiply pixels; an ordinary network has to build
products from rectified sums.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..analysis import count_cost
from ..atomic import write_json
from ..bench.exported import exported_call
from ..bench.timing import interleave, time_runs
from ..training.batches import Batches
from ..training.record import command_without_places, commit, machine, versions
from .motion_nets import CLASSES, FRAMES, NETS, REACH

SIDE, NOISE = 16, 0.5
COUNTS = {"train": 40_000, "validation": 5_000, "test": 10_000}
BATCH, RATE = 256, 0.01
ROUNDS = 31
EQUAL = 1.02
"""Up to this factor more parameters count as equal."""
Result = dict[str, Any]


class Pairs(NamedTuple):
    """Frames (N, 2, SIDE, SIDE) and the number of their shift (N,)."""

    x: Tensor
    y: Tensor


def make_pairs(images: Sequence[Tensor], count: int, seed: int) -> Pairs:
    """Patches of grey images (H, W) and the same shifted, of mean 0 and deviation 1, then with noise.

    Example:
        >>> x, y = make_pairs([torch.rand(40, 40)], 5, 0)
        >>> x.shape, bool((y < 25).all())
        (torch.Size([5, 2, 16, 16]), True)
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(len(images), (count,), generator=generator)
    labels = torch.randint(CLASSES, (count,), generator=generator)
    places = torch.rand(count, 2, generator=generator)
    x = torch.empty(count, FRAMES, SIDE, SIDE)
    for pair, image, label, place in zip(x, chosen.tolist(), labels.tolist(), places.tolist(), strict=True):
        whole = images[image]
        top, left = (REACH + int(p * (n - SIDE - 2 * REACH)) for p, n in zip(place, whole.shape, strict=True))
        down, right = label // (2 * REACH + 1) - REACH, label % (2 * REACH + 1) - REACH
        pair[0] = whole[top : top + SIDE, left : left + SIDE]
        pair[1] = whole[top + down : top + down + SIDE, left + right : left + right + SIDE]
    x -= x.mean((1, 2, 3), keepdim=True)
    x /= x.std((1, 2, 3), keepdim=True) + 0.01
    return Pairs(x + NOISE * torch.randn(x.shape, generator=generator), labels)


def read_grey(folder: str | Path) -> list[Tensor]:
    """All images of a folder, by name, as grey values (H, W) in [0, 1].

    Raises:
        FileNotFoundError: fewer than four images, too few for training, validation and test.
    """
    import numpy as np
    from PIL import Image

    paths = sorted(path for path in Path(folder).glob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
    if len(paths) < 4:
        raise FileNotFoundError(f"{folder} must hold four images or more (png, jpg), found {len(paths)}.")
    return [torch.from_numpy(np.asarray(Image.open(path).convert("L"), dtype="float32") / 255) for path in paths]


def split_images(images: Sequence[Tensor]) -> dict[str, list[Tensor]]:
    """Five eighths to train, one to validate, two to test (no image in two parts)."""
    first, second = len(images) * 5 // 8, -(-len(images) * 6 // 8)
    return {"train": [*images[:first]], "validation": [*images[first:second]], "test": [*images[second:]]}


def reproduce_motion(
    out: str | Path,
    data_dir: str | Path,
    *,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    epochs: int = 2,
    only: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
) -> Result:
    """Trains every network on the same pairs, once per seed; picks the best plain ones by validation.

    Raises:
        ValueError: for an unknown network; FileNotFoundError: too few images.
    """
    for name in only:
        if name not in NETS:
            raise ValueError(f"unknown network {name}; known: {', '.join(NETS)}.")
    images = split_images(read_grey(data_dir))
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    data = {part: make_pairs(images[part], COUNTS[part], 100 + i) for i, part in enumerate(COUNTS)}
    names = list(only) or list(NETS)
    runs: dict[str, list[Result]] = {name: [] for name in names}
    for seed, name in itertools.product(seeds, names):
        net = train(NETS[name], data["train"], seed, epochs)
        found = {part: accuracy(net, data[part]) for part in ("validation", "test")}
        runs[name].append({"seed": seed, **found})
        say(f"{name}, seed {seed}: {100 * found['test']:.2f} %")
    nets = summarise(runs)
    result: Result = {"name": "motion", "epochs": epochs, "counts": COUNTS, "nets": nets, "comparisons": compare(nets)}
    result.update(command=command_without_places(), commit=commit(), machine=machine(), versions=versions())
    write_json(Path(out), result)
    return result


def train(make: Callable[[], nn.Module], pairs: Pairs, seed: int, epochs: int) -> nn.Module:
    """AdamW with one cycle of the learning rate; the last weights."""
    torch.manual_seed(seed)
    net, batches = make().train(), Batches(*pairs, BATCH, seed=seed)
    optimiser = torch.optim.AdamW(net.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=epochs * len(batches))
    for epoch in range(epochs):
        batches.set_epoch(epoch)
        for x, y in batches:
            optimiser.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimiser.step()
            schedule.step()
    return net.eval()


@torch.inference_mode()
def accuracy(net: nn.Module, pairs: Pairs) -> float:
    """Share of shifts that are told rightly."""
    right = sum(int((net(x).argmax(1) == y).sum()) for x, y in Batches(*pairs, 1000))
    return right / len(pairs.y)


def summarise(runs: Mapping[str, list[Result]]) -> dict[str, Result]:
    """Means and deviations, what each network costs, and the time of one pair by torch and by ONNX Runtime."""
    nets = {name: NETS[name]().eval() for name in runs}
    latency, exported = time_pair(nets)
    return {
        name: {
            "validation_mean": statistics.mean(run["validation"] for run in found),
            "test_mean": statistics.mean(run["test"] for run in found),
            "test_sd": statistics.stdev([run["test"] for run in found]) if len(found) > 1 else None,
            **dataclasses.asdict(count_cost(nets[name], (FRAMES, SIDE, SIDE))),
            "latency_torch": latency[name],
            "latency": exported[name],
            "runs": found,
        }
        for name, found in runs.items()
    }


@torch.inference_mode()
def time_pair(nets: Mapping[str, nn.Module]) -> list[dict[str, float]]:
    """Seconds of one pair, taken in turns: in eager torch, and in ONNX Runtime, which is what a device would run."""
    pair, found = torch.randn(1, FRAMES, SIDE, SIDE), []
    exported = {name: exported_call(net, pair) for name, net in nets.items()}
    for calls in ({name: (lambda net=net: net(pair)) for name, net in nets.items()}, exported):
        for call in calls.values():
            call()
        timings = interleave(calls, {name: time_runs(call) for name, call in calls.items()}, ROUNDS, give_up=False)
        found.append({name: timing.seconds for name, timing in timings.items()})
    return found


def compare(nets: Mapping[str, Result]) -> dict[str, Result]:
    """Adaptive networks against the plain one that validates best, at equal parameters, and at equal latency.

    Latency is that of ONNX Runtime.
    """
    found = {}
    for ours in (name for name in nets if name.startswith("adaptive")):
        for key, slack in (("parameters", EQUAL), ("latency", 1.0)):
            equal = {n: e for n, e in nets.items() if n.startswith("plain") and e[key] <= slack * nets[ours][key]}
            if not equal:
                continue
            rival = max(equal, key=lambda name: equal[name]["validation_mean"])
            a, b = ([run["test"] for run in nets[name]["runs"]] for name in (ours, rival))
            gain = statistics.mean(a) - statistics.mean(b)
            found[f"{ours}, equal {key}"] = {"rival": rival, "gain": gain, "p": permutation_test(a, b)}
    return found


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
