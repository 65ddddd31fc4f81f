"""Does adaptivity pay where edges are to be kept? Removing noise from small images.

Averages over neighbours that look alike keep edges: the bilateral filter, which an adaptive kernel with a Gaussian
squash and normalisation contains. Here it is the last layer, after an ordinary network that has removed most of the
noise, so that likeness can be told; alone it is far behind ordinary networks.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexkern.app.measure.exported import require_export
from flexkern.app.training.batches import Batches
from flexkern.app.training.record import write_result
from flexkern.layers import AdaptiveConv2d

from .motion import read_grey, split_images
from .resume import earlier
from .trial import Objective, Result, Samples, chosen, compare, run_trials, summarise

SIDE, NOISE = 32, 25 / 255
COUNTS = {"train": 8_000, "validation": 1_000, "test": 2_000}
BATCH, RATE = 32, 0.005


class Denoiser(nn.Module):
    """What :func:`plain` finds of the noise is taken off; then perhaps an average over neighbours that look alike."""

    def __init__(self, widths: Sequence[int], last: nn.Module | None = None) -> None:
        super().__init__()
        self.noise = plain(widths)
        self.last = last or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(x - self.noise(x))
        return found


def plain(widths: Sequence[int]) -> nn.Sequential:
    """3x3 convolutions with ReLU in between, from one channel to one."""
    layers: list[nn.Module] = []
    for before, width in zip((1, *widths), (*widths, 1), strict=True):
        layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def bilateral(size: int) -> AdaptiveConv2d:
    """One adaptive kernel that starts as a bilateral filter; reflected borders, which zeros would darken."""
    return AdaptiveConv2d(
        *(1, 1, size), padding="same", bias=False, squash="gaussian", normalize=True, padding_mode="reflect"
    )


def _hybrid(*widths: int) -> Denoiser:
    return Denoiser(widths, bilateral(3))


PLAIN = [
    *((12,) * 2, (13,) * 2, (14,) * 2, (16,) * 2, (9,) * 3, (10,) * 3, (12,) * 3, (16,) * 3),
    *((7,) * 4, (9,) * 4, (13,) * 4, (16,) * 4, (8,) * 6),
]
"""Of as many parameters as a hybrid has, or of as much time; runtimes like widths of 8 and 16."""
NETS: dict[str, Callable[[], nn.Module]] = {
    "adaptive last 12-12": functools.partial(_hybrid, 12, 12),
    "adaptive last 9-9-9": functools.partial(_hybrid, 9, 9, 9),
    "adaptive last 16-16": functools.partial(_hybrid, 16, 16),
    "adaptive last 16-16-16": functools.partial(_hybrid, 16, 16, 16),
    "adaptive alone 3x3": functools.partial(bilateral, 3),
    **{f"plain {'-'.join(map(str, widths))}": functools.partial(Denoiser, widths) for widths in PLAIN},
}


def make_noisy(images: Sequence[Tensor], count: int, seed: int) -> Samples:
    """Patches of grey images (H, W) in [0, 1] with noise, and without, about 0.

    Example:
        >>> x, y = make_noisy([torch.rand(40, 40)], 5, 0)
        >>> x.shape, round((x - y).std().item(), 1)
        (torch.Size([5, 1, 32, 32]), 0.1)
    """
    generator = torch.Generator().manual_seed(seed)
    sources = torch.randint(len(images), (count,), generator=generator).tolist()
    places = torch.rand(count, 2, generator=generator).tolist()
    clean = torch.empty(count, 1, SIDE, SIDE)
    for patch, source, place in zip(clean, sources, places, strict=True):
        top, left = (int(p * (n - SIDE)) for p, n in zip(place, images[source].shape, strict=True))
        patch[0] = images[source][top : top + SIDE, left : left + SIDE] - 0.5
    return Samples(clean + NOISE * torch.randn(clean.shape, generator=generator), clean)


@torch.inference_mode()
def peak_ratio(net: nn.Module, samples: Samples) -> float:
    """Peak signal-to-noise ratio in dB, of the mean squared error of all pixels and a peak of 1."""
    squares = sum(F.mse_loss(net(x), y, reduction="sum").item() for x, y in Batches(*samples, 250))
    return -10 * math.log10(squares / samples.y.numel())


OBJECTIVE = Objective(F.mse_loss, peak_ratio, "dB")


def reproduce_denoising(
    out: str | Path,
    data_dir: str | Path,
    *,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    epochs: int = 10,
    only: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
) -> Result:
    """Trains every network on the same patches, once per seed; picks the best plain ones by validation.

    Networks that ``out`` holds, with these seeds, are not trained again; times are of one run, for all.

    Raises:
        ValueError: for an unknown network, or an ``out`` of other settings; FileNotFoundError: too few images;
            ModuleNotFoundError: no ONNX Runtime.
    """
    require_export()
    settings = {"name": "denoising", "unit": OBJECTIVE.unit, "epochs": epochs, "counts": COUNTS}
    known = {name: net["runs"] for name, net in earlier(out, settings).get("nets", {}).items()}
    known = {name: runs for name, runs in known.items() if [run["seed"] for run in runs] == list(seeds)}
    missing = {name: make for name, make in chosen(NETS, only).items() if name not in known}
    images = split_images(read_grey(data_dir))
    data = {part: make_noisy(images[part], COUNTS[part], 200 + i) for i, part in enumerate(COUNTS)}
    trained, runs = run_trials(
        missing, data, seeds=seeds, epochs=epochs, batch=BATCH, rate=RATE, say=say, objective=OBJECTIVE
    )
    runs |= known
    nets = {name: trained.get(name) or make().eval() for name, make in NETS.items() if name in runs}
    found = summarise(nets, {name: runs[name] for name in nets}, (1, SIDE, SIDE))
    ours, rivals = ([name for name in found if name.startswith(kind)] for kind in ("adaptive", "plain"))
    return write_result(out, {**settings, "nets": found, "comparisons": compare(found, ours, rivals)})
