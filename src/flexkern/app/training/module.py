"""Classifier: the LightningModule that every recipe trains."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from flexkern.regularisers import alias_penalty, learned_layers, output_positions, size_budget
from flexkern.windows import size_parameters

from ..data import BatchTransform, build_augmentation
from ._lightning import lightning, torchmetrics
from .batches import derive_seed
from .recipe import OptimiserConfig


def learning_rate_factor(step: int, *, warmup: int, total: int, floor: float = 0.0) -> float:
    """Return the fraction of the peak learning rate at a step: linear warm-up, then half a cosine to ``floor``.

    ``(step + 1) / warmup`` for ``step < warmup``; then ``floor + (1 - floor) (1 + cos(pi p)) / 2`` where p
    runs from 0 to 1 over the remaining steps.

    Example:
        >>> [round(learning_rate_factor(s, warmup=2, total=6), 2) for s in range(6)]
        [0.5, 1.0, 1.0, 0.75, 0.25, 0.0]
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, total - warmup - 1))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def parameter_groups(model: nn.Module, config: OptimiserConfig) -> list[dict[str, Any]]:
    """Return groups for AdamW: matrices with weight decay, norms and biases without, learned sizes with ``size_lr``."""
    size_ids = {id(parameter) for parameter in size_parameters(model)}
    matrices = []
    vectors = []
    learned_sizes = []
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        if id(parameter) in size_ids:
            learned_sizes.append(parameter)
        elif parameter.ndim > 1:
            matrices.append(parameter)
        else:
            vectors.append(parameter)
    groups: list[dict[str, Any]] = [
        {
            "name": "decay",
            "lr": config.lr,
            "weight_decay": config.weight_decay,
            "params": matrices,
        },
        {
            "name": "no_decay",
            "lr": config.lr,
            "weight_decay": 0.0,
            "params": vectors,
        },
        {
            "name": "sizes",
            "lr": config.size_lr,
            "weight_decay": 0.0,
            "params": learned_sizes,
        },
    ]
    return [group for group in groups if group["params"]]


class Classifier(lightning.LightningModule):
    """Training by cross-entropy and penalties with AdamW, a warm-up and a cosine, on augmented batches.

    Args:
        model: Maps (N, C, *S) to logits (N, classes).
        config: Settings of the optimiser.
        classes: Number of classes.
        seed: Seed of dropout and augmentation. Both depend on (seed, epoch, step) only, so that a resumed run
            repeats an uninterrupted one.
        augment: Names such as ["shift:2"], applied in this order to training batches only.
        augment_share: Fraction of the epochs that are augmented, the first ones.
        transform: Applied to every batch just before the model (:attr:`flexkern.app.data.Task.batch_transform`).

    Raises:
        ValueError: The model cannot have a penalty that the settings ask for.
    """

    def __init__(
        self,
        model: nn.Module,
        config: OptimiserConfig,
        classes: int,
        *,
        seed: int = 0,
        augment: tuple[str, ...] = (),
        augment_share: float = 1.0,
        transform: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.seed = seed
        self.augment = build_augmentation(augment)
        self.augment_share = augment_share
        self.transform = transform or BatchTransform()
        self.average = _moving_average(model, config.ema)
        if config.alias_penalty:
            alias_penalty(model)  # Raises before anything is trained.
        if config.size_budget and not learned_layers(model):
            raise ValueError("`optimiser.size_budget` needs a model with layers whose size is learned.")
        self._positions: dict[str, int] = {}
        self.accuracy = torchmetrics.classification.MulticlassAccuracy(num_classes=classes, average="micro")

    @property
    def evaluated(self) -> nn.Module:
        """The model whose weights are validated and stored: the moving average if there is one."""
        if self.average is None:
            return self.model
        return self.average.module

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes) of a batch."""
        return self.evaluated(self.transform(x))

    def on_train_epoch_start(self) -> None:
        """Seed dropout."""
        torch.manual_seed(derive_seed(self.seed, "epoch", self.current_epoch))

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Return the smoothed cross-entropy of an augmented batch plus the penalties."""
        x, y = batch
        epochs = self.trainer.max_epochs or 1
        if self.current_epoch < self.augment_share * epochs:
            augment_seed = derive_seed(self.seed, "augment", self.global_step)
            x = self.augment(x, torch.Generator().manual_seed(augment_seed))
        logits = self.model(self.transform(x))
        loss = F.cross_entropy(logits, y, label_smoothing=self.config.label_smoothing)
        self._log_mean("loss/train", loss, len(y))
        for name, penalty in self._penalties(x).items():
            self._log_mean(f"loss/{name}", penalty, len(y))
            loss = loss + penalty
        return loss

    def _log_mean(self, name: str, value: Tensor, batch_size: int) -> None:
        """Log the mean of an epoch."""
        self.log(name, value, on_step=False, on_epoch=True, batch_size=batch_size)

    def _penalties(self, x: Tensor) -> dict[str, Tensor]:
        """Return the weighted penalties that the settings ask for, by name."""
        penalties = {}
        if self.config.alias_penalty:
            penalties["alias"] = self.config.alias_penalty * alias_penalty(self.model)
        if self.config.size_budget:
            if not self._positions:
                sample = self.transform(x[:1])
                self._positions = output_positions(self.model, sample.shape[1:])
            penalties["size_budget"] = size_budget(self.model, self.config.size_budget, self._positions)
        return penalties

    def on_train_batch_end(self, *_: Any) -> None:
        """Update the moving average."""
        if self.average is not None:
            self.average.update_parameters(self.model)

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Log plain cross-entropy and accuracy."""
        x, y = batch
        logits = self(x)
        self.accuracy(logits, y)
        self.log("loss/validation", F.cross_entropy(logits, y), on_epoch=True, batch_size=len(y))
        self.log("accuracy/validation", self.accuracy, on_epoch=True, batch_size=len(y))

    def configure_optimizers(self) -> Any:
        """Return AdamW and its schedule, which advances after every batch."""
        config = self.config
        total = int(self.trainer.estimated_stepping_batches)
        steps_per_epoch = total / max(1, self.trainer.max_epochs or 1)
        warmup = min(round(config.warmup_epochs * steps_per_epoch), total)
        floor = config.min_lr / config.lr
        optimiser = torch.optim.AdamW(parameter_groups(self.model, config))

        def factor(step: int) -> float:
            return learning_rate_factor(step, warmup=warmup, total=total, floor=floor)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def _moving_average(model: nn.Module, decay: float) -> AveragedModel | None:
    """Return a moving average of a model's weights and buffers; None for a decay of 0."""
    if not decay:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
