"""Where adaptivity pays: telling a shift between two frames needs products of pixels.

Two noisy views of a natural image, shifted by one pixel or not at all in each direction: which of the nine shifts? An
optical mouse and an image stabiliser ask this all the time. An adaptive kernel that sees both frames multiplies them;
an ordinary network has to build products from rectified sums.
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
from ..bench.timing import interleave, time_runs
from ..layers import AdaptiveConv2d
from ..training.batches import Batches
from ..training.record import command_without_places, commit, machine, versions

SIDE, REACH, NOISE = 16, 1, 0.5
CLASSES = (2 * REACH + 1) ** 2
COUNTS = {"train": 40_000, "validation": 5_000, "test": 10_000}
BATCH, RATE = 256, 0.01
EQUAL = 1.02
"""Up to this factor more parameters count as equal."""
Result = dict[str, Any]


class Pairs(NamedTuple):
    """Frames (N, 2, SIDE, SIDE) and the number of their shift (N,)."""

    x: Tensor
    y: Tensor


def adaptive(outputs: int) -> nn.Sequential:
    """One adaptive convolution whose kernels see one pixel of both frames, norm, average, linear map."""
    first = AdaptiveConv2d(2, outputs, 3, padding="same", bias=False, generator_size=1, sharing="full")
    return nn.Sequential(first, nn.BatchNorm2d(outputs), *_head(outputs))


def plain(*widths: int, kernel: int = 3) -> nn.Sequential:
    """Ordinary convolutions with norm and ReLU, average, linear map."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise((2, *widths)):
        layers += [nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, *_head(widths[-1]))


def _head(channels: int) -> tuple[nn.Module, ...]:
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES)


NETS: dict[str, Callable[[], nn.Module]] = {
    "adaptive 8": lambda: adaptive(8),
    "plain 18": lambda: plain(18),
    "plain 8-4": lambda: plain(8, 4),
    "plain 6-6": lambda: plain(6, 6),
    "plain 5-5-4": lambda: plain(5, 5, 4),
    "plain 8, 5x5": lambda: plain(8, kernel=5),
    "plain 16-16": lambda: plain(16, 16),
    "plain 24-24": lambda: plain(24, 24),
}


def make_pairs(images: Sequence[Tensor], count: int, seed: int) -> Pairs:
    """Patches of grey images (H, W) and the same shifted, of mean 0 and deviation 1, then with noise.

    Example:
        >>> x, y = make_pairs([torch.rand(40, 40)], 5, 0)
        >>> x.shape, bool((y < 9).all())
        (torch.Size([5, 2, 16, 16]), True)
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(len(images), (count,), generator=generator)
    labels = torch.randint(CLASSES, (count,), generator=generator)
    places = torch.rand(count, 2, generator=generator)
    x = torch.empty(count, 2, SIDE, SIDE)
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
    epochs: int = 4,
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


@torch.inference_mode()
def summarise(runs: Mapping[str, list[Result]]) -> dict[str, Result]:
    """Means and deviations, what each network costs, and the time of one pair, taken in turns."""
    nets = {name: NETS[name]().eval() for name in runs}
    pair = torch.randn(1, 2, SIDE, SIDE)
    calls = {name: (lambda net=net: net(pair)) for name, net in nets.items()}
    for call in calls.values():
        call()
    timings = interleave(calls, {name: time_runs(call) for name, call in calls.items()}, 15, give_up=False)
    return {
        name: {
            "validation_mean": statistics.mean(run["validation"] for run in found),
            "test_mean": statistics.mean(run["test"] for run in found),
            "test_sd": statistics.stdev([run["test"] for run in found]) if len(found) > 1 else None,
            **dataclasses.asdict(count_cost(nets[name], (2, SIDE, SIDE))),
            "latency": timings[name].seconds,
            "runs": found,
        }
        for name, found in runs.items()
    }


def compare(nets: Mapping[str, Result]) -> dict[str, Result]:
    """The adaptive network against the plain one that validates best, at equal parameters and at equal latency."""
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
