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

from ..data import build_augmentation
from ._lightning import lightning, torchmetrics
from .batches import derive_seed
from .recipe import OptimiserConfig


def learning_rate_factor(step: int, *, warmup: int, total: int, floor: float = 0.0) -> float:
    """Fraction of the peak learning rate at ``step``: linear warm-up, then half a cosine to ``floor``.

    ``(step + 1) / warmup`` for ``step < warmup``; then ``floor + (1 - floor) (1 + cos(pi p)) / 2`` where p
    runs from 0 to 1 over the steps that remain.

    Example:
        >>> [round(learning_rate_factor(s, warmup=2, total=6), 2) for s in range(6)]
        [0.5, 1.0, 1.0, 0.75, 0.25, 0.0]
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, total - warmup - 1))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def parameter_groups(model: nn.Module, config: OptimiserConfig) -> list[dict[str, Any]]:
    """AdamW groups: matrices with weight decay; norms and biases without; learned sizes with ``size_lr``."""
    size_ids = {id(parameter) for parameter in size_parameters(model)}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    rest = [parameter for parameter in trained if id(parameter) not in size_ids]
    groups = [
        {
            "name": "decay",
            "lr": config.lr,
            "weight_decay": config.weight_decay,
            "params": [p for p in rest if p.ndim > 1],
        },
        {
            "name": "no_decay",
            "lr": config.lr,
            "weight_decay": 0.0,
            "params": [p for p in rest if p.ndim <= 1],
        },
        {
            "name": "sizes",
            "lr": config.size_lr,
            "weight_decay": 0.0,
            "params": [p for p in trained if id(p) in size_ids],
        },
    ]
    return [group for group in groups if group["params"]]


class Classifier(lightning.LightningModule):
    """Cross-entropy and penalties, accuracy, AdamW with a warm-up and a cosine, augmentation of training batches.

    Args:
        model: maps (N, C, *S) to logits (N, classes).
        config: the optimiser's settings.
        classes: number of classes.
        seed: of dropout and augmentation; both depend on (seed, epoch, step) only, so that a resumed run
            repeats what an uninterrupted one would have done.
        augment: names such as ["shift:2"], applied in this order to training batches, never to validation or
            test.
        augment_share: share of the epochs, the first ones, in which that is done.
        complete: what a batch needs last before the model (:meth:`flexkern.app.data.Task.complete`).

    Raises:
        ValueError: for penalties that the model cannot have.
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
        complete: Callable[[Tensor], Tensor] = lambda x: x,
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.seed = seed
        self.augment = build_augmentation(augment)
        self.augment_share = augment_share
        self.complete = complete
        self.average = (
            AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.ema), use_buffers=True)
            if config.ema
            else None
        )
        if config.alias_penalty:
            alias_penalty(model)  # raises before anything is trained
        if config.size_budget and not learned_layers(model):
            raise ValueError("`optimiser.size_budget` needs a model with layers whose size is learned.")
        self._positions: dict[str, int] = {}
        self.accuracy = torchmetrics.classification.MulticlassAccuracy(num_classes=classes, average="micro")

    @property
    def evaluated(self) -> nn.Module:
        """The model whose weights are validated and kept: the moving average when there is one."""
        return self.model if self.average is None else self.average.module

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes) of a batch."""
        return self.evaluated(self.complete(x))

    def on_train_epoch_start(self) -> None:
        """Seeds dropout."""
        torch.manual_seed(derive_seed(self.seed, "epoch", self.current_epoch))

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Smoothed cross-entropy of an augmented batch."""
        x, y = batch
        if self.current_epoch < self.augment_share * (self.trainer.max_epochs or 1):
            x = self.augment(x, torch.Generator().manual_seed(derive_seed(self.seed, "augment", self.global_step)))
        logits = self.model(self.complete(x))
        loss = F.cross_entropy(logits, y, label_smoothing=self.config.label_smoothing)
        self.log("loss/train", loss, on_step=False, on_epoch=True, batch_size=len(y))
        for name, penalty in self._penalties(x).items():
            self.log(f"loss/{name}", penalty, on_step=False, on_epoch=True, batch_size=len(y))
            loss = loss + penalty
        return loss

    def _penalties(self, x: Tensor) -> dict[str, Tensor]:
        """What the optimiser's settings ask for beside the cross-entropy of a batch."""
        found = {}
        if self.config.alias_penalty:
            found["alias"] = self.config.alias_penalty * alias_penalty(self.model)
        if self.config.size_budget:
            self._positions = self._positions or output_positions(self.model, self.complete(x[:1]).shape[1:])
            found["size_budget"] = size_budget(self.model, self.config.size_budget, self._positions)
        return found

    def on_train_batch_end(self, *_: Any) -> None:
        """Moves the average."""
        if self.average is not None:
            self.average.update_parameters(self.model)

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Plain cross-entropy and accuracy."""
        x, y = batch
        logits = self(x)
        self.accuracy(logits, y)
        self.log("loss/validation", F.cross_entropy(logits, y), on_epoch=True, batch_size=len(y))
        self.log("accuracy/validation", self.accuracy, on_epoch=True, batch_size=len(y))

    def configure_optimizers(self) -> Any:
        """AdamW and its schedule, stepped after every batch."""
        config = self.config
        total = int(self.trainer.estimated_stepping_batches)
        per_epoch = total / max(1, self.trainer.max_epochs or 1)
        warmup = min(round(config.warmup_epochs * per_epoch), total)
        optimiser = torch.optim.AdamW(parameter_groups(self.model, config))

        def factor(step: int) -> float:
            return learning_rate_factor(step, warmup=warmup, total=total, floor=config.min_lr / config.lr)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
