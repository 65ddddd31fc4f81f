"""Noise removed from small images: does adaptivity pay where edges are to be kept?

Averages over neighbours of similar value keep edges: the bilateral filter, which an adaptive kernel with a Gaussian
squash and normalisation contains. Here it is the last layer, after an ordinary network that has removed most of the
noise, so that similar values can be recognised; alone it is far behind ordinary networks.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexkern.app.measure.exported import require_export
from flexkern.app.training.batches import Batches
from flexkern.layers import AdaptiveConv2d

from ..common.images import image_samples
from ..common.ledger import Result
from ..common.options import Options
from ..common.statistics import compare_with_equals
from ..common.training import Objective, Samples, Schedule
from ..common.trials import Maker, Trial, names_starting, print_trial, run_trial

ABOUT = "does a learned bilateral filter help small networks to remove noise?"

SIDE, NOISE = 32, 25 / 255
COUNTS = {"train": 8_000, "validation": 1_000, "test": 2_000}
FIRST_SEED = 200
"""Seed of the training samples; the next ones are of validation and test."""
SCHEDULE = Schedule(epochs=10, batch=32, rate=0.005)
EVALUATION_BATCH = 250


class Denoiser(nn.Module):
    """A network that subtracts its estimate of the noise, then perhaps averages over neighbours of similar value."""

    def __init__(self, widths: Sequence[int], last: nn.Module | None = None) -> None:
        super().__init__()
        self.noise = plain(widths)
        self.last = last or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        clean: Tensor = self.last(x - self.noise(x))
        return clean


def plain(widths: Sequence[int]) -> nn.Sequential:
    """Return 3x3 convolutions with ReLU in between, from one channel to one."""
    layers: list[nn.Module] = []
    channels = 1
    for width in widths:
        layers.append(nn.Conv2d(channels, width, 3, padding=1))
        layers.append(nn.ReLU())
        channels = width
    layers.append(nn.Conv2d(channels, 1, 3, padding=1))
    return nn.Sequential(*layers)


def bilateral(size: int) -> AdaptiveConv2d:
    """Return an adaptive kernel that starts as a bilateral filter, with reflected borders, which zeros would darken."""
    return AdaptiveConv2d(
        1,
        1,
        size,
        padding="same",
        bias=False,
        squash="gaussian",
        normalize=True,
        padding_mode="reflect",
    )


ADAPTIVE: tuple[tuple[int, ...], ...] = ((12, 12), (9, 9, 9), (16, 16), (16, 16, 16))
PLAIN: tuple[tuple[int, ...], ...] = (
    (12, 12),
    (13, 13),
    (14, 14),
    (16, 16),
    (9, 9, 9),
    (10, 10, 10),
    (12, 12, 12),
    (16, 16, 16),
    (7, 7, 7, 7),
    (9, 9, 9, 9),
    (13, 13, 13, 13),
    (16, 16, 16, 16),
    (8, 8, 8, 8, 8, 8),
)
"""Widths that have as many parameters as an adaptive network, or take as long; runtimes prefer 8 and 16."""


def _networks() -> dict[str, Maker]:
    nets: dict[str, Maker] = {}
    for widths in ADAPTIVE:
        nets[f"adaptive last {_text(widths)}"] = _hybrid(widths)
    nets["adaptive alone 3x3"] = lambda: bilateral(3)
    for widths in PLAIN:
        nets[f"plain {_text(widths)}"] = _plain_denoiser(widths)
    return nets


def _text(widths: Sequence[int]) -> str:
    return "-".join(map(str, widths))


def _hybrid(widths: Sequence[int]) -> Maker:
    return lambda: Denoiser(widths, bilateral(3))


def _plain_denoiser(widths: Sequence[int]) -> Maker:
    return lambda: Denoiser(widths)


NETS = _networks()


def make_noisy(images: Sequence[Tensor], count: int, seed: int) -> Samples:
    """Return patches of grey images (H, W) in [0, 1] with noise, and without, both shifted to lie about 0.

    Example:
        >>> x, y = make_noisy([torch.rand(40, 40)], 5, 0)
        >>> x.shape, round((x - y).std().item(), 1)
        (torch.Size([5, 1, 32, 32]), 0.1)
    """
    generator = torch.Generator().manual_seed(seed)
    sources = torch.randint(len(images), (count,), generator=generator)
    places = torch.rand(count, 2, generator=generator)
    clean = torch.empty(count, 1, SIDE, SIDE)
    for index in range(count):
        image = images[int(sources[index])]
        row, column = places[index].tolist()
        height, width = image.shape
        top = int(row * (height - SIDE))
        left = int(column * (width - SIDE))
        bottom = top + SIDE
        right = left + SIDE
        clean[index, 0] = image[top:bottom, left:right] - 0.5
    noise = torch.randn(clean.shape, generator=generator)
    return Samples(clean + NOISE * noise, clean)


@torch.inference_mode()
def peak_ratio(net: nn.Module, samples: Samples) -> float:
    """Return the peak signal-to-noise ratio in dB, for a peak of 1 and the mean squared error of all pixels."""
    squares = 0.0
    for x, y in Batches(*samples, EVALUATION_BATCH):
        squares += F.mse_loss(net(x), y, reduction="sum").item()
    return -10 * math.log10(squares / samples.y.numel())


def compare_networks(nets: dict[str, Result]) -> dict[str, Result]:
    """Compare adaptive networks with plain ones of equal cost."""
    return compare_with_equals(nets, names_starting(nets, "adaptive"), names_starting(nets, "plain"))


TRIAL = Trial(NETS, compare_networks, SCHEDULE, Objective(F.mse_loss, peak_ratio, "dB"), exported=True)
OPTIONS = Options("denoising", tuple(NETS), seeds=(0, 1, 2, 3, 4), data="a folder of images")
add_arguments = OPTIONS.add_to


def run(options: argparse.Namespace) -> int:
    """Train the networks, compare them, and print a table.

    Raises:
        FileNotFoundError: there are too few images.
        ModuleNotFoundError: ONNX Runtime is missing.
    """
    settings = OPTIONS.read(options)
    require_export()
    parts = image_samples(str(settings.data_dir), make_noisy, COUNTS, FIRST_SEED)
    print_trial(run_trial(TRIAL, parts, settings))
    print(f"results: {settings.out}")
    return 0
