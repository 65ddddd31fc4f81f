"""Train small networks on samples in memory by the application's loop, and score them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flexkern.app.training.accuracy import count_correct
from flexkern.app.training.batches import Batches
from flexkern.app.training.loop import train_epochs

EVALUATION_BATCH = 1000


class Samples(NamedTuple):
    """Inputs (N, C, *S) and their classes (N,), or whatever a network should return."""

    x: Tensor
    y: Tensor


def count_samples(parts: Mapping[str, Samples]) -> dict[str, int]:
    """Return the number of samples in every part."""
    return {part: len(samples.y) for part, samples in parts.items()}


class Objective(NamedTuple):
    """The loss that is minimised, and the score that is reported; a higher score is better.

    Attributes:
        loss: of predictions and targets.
        score: of a trained network.
        unit: ``"%"`` for scores between 0 and 1, or ``"dB"``.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    score: Callable[[nn.Module, Samples], float]
    unit: str

    def text(self, score: float) -> str:
        """Return a score with its unit, such as ``98.20 %``."""
        if self.unit == "%":
            return f"{100 * score:.2f} %"
        return f"{score:.2f} {self.unit}"


class Schedule(NamedTuple):
    """Epochs, samples per batch, and the highest learning rate."""

    epochs: int
    batch: int
    rate: float


def train(
    make: Callable[[], nn.Module],
    samples: Samples,
    seed: int,
    schedule: Schedule,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    penalty: Callable[[nn.Module], Tensor] | None = None,
) -> nn.Module:
    """Train a network by AdamW with one cycle of the learning rate, and return it with its last weights.

    Args:
        make: returns the network; called after the seed is set.
        samples: to train on.
        seed: of the parameters and of the order of the samples.
        schedule: how long and how fast.
        loss: of predictions and targets.
        penalty: of the network, added to the loss.
    """
    torch.manual_seed(seed)
    net = make().train()
    batches = Batches(*samples, schedule.batch, seed=seed)
    steps = schedule.epochs * len(batches)
    optimiser = torch.optim.AdamW(net.parameters(), schedule.rate)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, schedule.rate, total_steps=steps)
    train_epochs(net, batches, optimiser, cycle, epochs=schedule.epochs, loss=loss, penalty=penalty)
    return net.eval()


def accuracy(net: nn.Module, samples: Samples) -> float:
    """Return the fraction of samples classified correctly."""
    return count_correct(net, samples.x, samples.y, batch_size=EVALUATION_BATCH) / len(samples.y)


CLASSIFICATION = Objective(F.cross_entropy, accuracy, "%")
