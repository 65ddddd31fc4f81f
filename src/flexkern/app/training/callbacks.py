"""Callbacks: stop on a bad loss, tables per epoch, the best weights, the checkpoint, progress."""

from __future__ import annotations

import csv
import logging
import math
import sys
import time
from pathlib import Path
from typing import Any

from torch import Tensor

from flexkern._support.atomic import atomic_path
from flexkern.windows import sizes

from ._lightning import lightning
from .folder import RunFolder
from .module import Classifier
from .weights import WeightsInfo, save_weights

Trainer = lightning.Trainer
logger = logging.getLogger("flexkern.app.training")


class StopOnBadLoss(lightning.Callback):
    """Ends the run before a NaN or infinite loss can reach the weights."""

    def on_before_backward(self, trainer: Trainer, pl_module: Any, loss: Tensor) -> None:
        """Raises ``ValueError`` naming epoch, step, loss and what to try."""
        if not math.isfinite(loss.item()):
            place = f"epoch {trainer.current_epoch + 1}, step {trainer.global_step + 1}"
            raise ValueError(
                f"the loss is {loss.item()} at {place}; try a lower `optimiser.lr`, or `optimiser.gradient_clip` = 1."
            )


class Tables(lightning.Callback):
    """A row per epoch in metrics.csv, per epoch and layer in sizes.csv; sizes as TensorBoard curves, too.

    The rows travel in the checkpoint and the files are written whole, so that a resumed run leaves the files
    of an uninterrupted one.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.metrics: list[dict[str, float]] = []
        self.sizes: list[dict[str, Any]] = []
        self._began = 0.0
        self._earlier = 0.0  # seconds of the sessions before this one

    @property
    def seconds(self) -> float:
        """Seconds of training and validation so far, all sessions together."""
        return self.metrics[-1]["seconds"] if self.metrics else 0.0

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Starts the clock."""
        self._began, self._earlier = time.perf_counter(), self.seconds

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Adds the rows of the epoch and writes both files."""
        epoch = trainer.current_epoch + 1
        seconds = self._earlier + time.perf_counter() - self._began
        row = {"epoch": epoch, "step": trainer.global_step, "seconds": round(seconds, 3)}
        row["lr"] = trainer.optimizers[0].param_groups[0]["lr"]
        self.metrics.append(row | {name: float(value) for name, value in sorted(trainer.callback_metrics.items())})
        found = sizes(pl_module.evaluated)
        for layer, size in found.items():
            axes = {f"size_{axis}": value for axis, value in enumerate(size)}
            self.sizes.append({"epoch": epoch, "layer": layer, **axes})
            for recorder in trainer.loggers:
                values = {f"size/{layer}/{axis}": float(value) for axis, value in enumerate(size)}
                recorder.log_metrics(values, step=trainer.global_step)
        _write_csv(self.folder.metrics, self.metrics)
        if found:
            _write_csv(self.folder.sizes, self.sizes)

    def state_dict(self) -> dict[str, Any]:
        """Rows so far."""
        return {"metrics": self.metrics, "sizes": self.sizes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Rows of the sessions before."""
        self.metrics, self.sizes = list(state_dict["metrics"]), list(state_dict["sizes"])


class KeepBest(lightning.Callback):
    """Writes the weights of the epoch with the highest validation accuracy; among equals, the lowest loss."""

    def __init__(self, path: Path, info: WeightsInfo) -> None:
        self.path = path
        self.info = info
        self.accuracy, self.loss, self.epoch = -math.inf, math.inf, 0

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Saves when this epoch is the best so far."""
        metrics = trainer.callback_metrics
        accuracy, loss = float(metrics["accuracy/validation"]), float(metrics["loss/validation"])
        if (accuracy, -loss) > (self.accuracy, -self.loss):
            self.accuracy, self.loss, self.epoch = accuracy, loss, trainer.current_epoch + 1
            save_weights(self.path, pl_module.evaluated, self.info)

    def state_dict(self) -> dict[str, Any]:
        """The best so far."""
        return {"accuracy": self.accuracy, "loss": self.loss, "epoch": self.epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The best of the sessions before, if its weights are still there."""
        if self.path.is_file():
            self.accuracy, self.loss = state_dict["accuracy"], state_dict["loss"]
            self.epoch = state_dict["epoch"]


class SaveLast(lightning.Callback):
    """Writes the checkpoint after every epoch; last of the callbacks, so that it holds their new state."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Saves the checkpoint."""
        trainer.save_checkpoint(self.path)


class Progress(lightning.Callback):
    """A bar over the whole run where stderr is a terminal; otherwise one log line per epoch.

    Args:
        bar: False never draws a bar.
    """

    def __init__(self, *, bar: bool = True) -> None:
        self._wanted = bar
        self._bar: Any = None
        self._task: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Draws the bar, at the epoch a resumed run begins with."""
        if self._wanted and sys.stderr.isatty():
            self._bar = _rich_bar()
        if self._bar is not None:
            total = int(trainer.estimated_stepping_batches)
            text = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            self._task = self._bar.add_task(text, total=total, completed=trainer.global_step, metrics="")
            self._bar.start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Names the epoch."""
        if self._bar is not None:
            self._bar.update(self._task, description=f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}")

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Moves the bar."""
        if self._bar is not None:
            self._bar.update(self._task, completed=trainer.global_step)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Shows loss, accuracy and sizes of the epoch."""
        text = epoch_text(trainer, pl_module)
        if self._bar is not None:
            self._bar.update(self._task, metrics=text)
        else:
            logger.info("epoch %d/%d  %s", trainer.current_epoch + 1, trainer.max_epochs or 0, text)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Leaves the finished bar on the screen."""
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        """Gives the terminal back."""
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def epoch_text(trainer: Trainer, module: Classifier) -> str:
    """``loss 0.1234  val 97.50 %  sizes 5-13``: an epoch in one short text."""
    metrics = trainer.callback_metrics
    text = f"loss {float(metrics['loss/train']):.4f}  val {100 * float(metrics['accuracy/validation']):.2f} %"
    extents = [extent for size in sizes(module.evaluated).values() for extent in size]
    return f"{text}  sizes {min(extents)}-{max(extents)}" if extents else text


def _rich_bar() -> Any:
    try:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress
    except ImportError:
        return None
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("{task.fields[metrics]}"),
    )
    return RichProgress(*columns, console=Console(stderr=True), refresh_per_second=4)


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
