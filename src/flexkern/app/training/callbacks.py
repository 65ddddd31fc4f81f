"""Callbacks: stop on a bad loss, tables per epoch, the best weights, the checkpoint, progress.

Checkpoints store the state of a callback under the name of its class, so that these names are an interface.
"""

from __future__ import annotations

import csv
import logging
import math
import sys
import time
from collections.abc import Sequence
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
        """Raise a ``ValueError`` that names epoch, step, loss and remedy if the loss is not finite."""
        value = loss.item()
        if math.isfinite(value):
            return
        epoch = trainer.current_epoch + 1
        step = trainer.global_step + 1
        raise ValueError(
            f"the loss is {value} at epoch {epoch}, step {step};"
            " try a lower `optimiser.lr`, or `optimiser.gradient_clip` = 1."
        )


class Tables(lightning.Callback):
    """Writes a row per epoch to metrics.csv and a row per epoch and layer to sizes.csv; logs the sizes as well.

    The rows are part of the checkpoint and both files are rewritten in every epoch. A resumed run therefore
    leaves the files of an uninterrupted one.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.metrics: list[dict[str, float]] = []
        self.sizes: list[dict[str, Any]] = []
        self._start = 0.0
        self._earlier_seconds = 0.0  # Of the sessions before this one.

    @property
    def seconds(self) -> float:
        """Seconds of training and validation so far, all sessions together."""
        if not self.metrics:
            return 0.0
        return self.metrics[-1]["seconds"]

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Start the clock."""
        self._start = time.perf_counter()
        self._earlier_seconds = self.seconds

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Add the rows of the epoch and write both files."""
        self.metrics.append(self._metrics_row(trainer))
        _write_csv(self.folder.metrics, self.metrics)
        learned_sizes = sizes(pl_module.evaluated)
        for layer, size in learned_sizes.items():
            row: dict[str, Any] = {"epoch": trainer.current_epoch + 1, "layer": layer}
            for axis, extent in enumerate(size):
                row[f"size_{axis}"] = extent
            self.sizes.append(row)
            _log_size(trainer, layer, size)
        if learned_sizes:
            _write_csv(self.folder.sizes, self.sizes)

    def _metrics_row(self, trainer: Trainer) -> dict[str, float]:
        seconds = self._earlier_seconds + time.perf_counter() - self._start
        row = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "seconds": round(seconds, 3),
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
        }
        for name, value in sorted(trainer.callback_metrics.items()):
            row[name] = float(value)
        return row

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far."""
        return {"metrics": self.metrics, "sizes": self.sizes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the rows of the sessions before."""
        self.metrics = list(state_dict["metrics"])
        self.sizes = list(state_dict["sizes"])


class KeepBest(lightning.Callback):
    """Writes the weights of the epoch with the highest validation accuracy; among equals, the lowest loss."""

    def __init__(self, path: Path, info: WeightsInfo) -> None:
        self.path = path
        self.info = info
        self.accuracy = -math.inf
        self.loss = math.inf
        self.epoch = 0

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Save the weights if this epoch is the best so far."""
        accuracy = float(trainer.callback_metrics["accuracy/validation"])
        loss = float(trainer.callback_metrics["loss/validation"])
        if (accuracy, -loss) > (self.accuracy, -self.loss):
            self.accuracy = accuracy
            self.loss = loss
            self.epoch = trainer.current_epoch + 1
            save_weights(self.path, pl_module.evaluated, self.info)

    def state_dict(self) -> dict[str, Any]:
        """Return the best epoch so far."""
        return {
            "accuracy": self.accuracy,
            "loss": self.loss,
            "epoch": self.epoch,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best epoch of the sessions before, if its weights still exist."""
        if not self.path.is_file():
            return
        self.accuracy = state_dict["accuracy"]
        self.loss = state_dict["loss"]
        self.epoch = state_dict["epoch"]


class SaveLast(lightning.Callback):
    """Writes the checkpoint after every epoch; the last of the callbacks, so that it stores their new state."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Save the checkpoint."""
        trainer.save_checkpoint(self.path)


class Progress(lightning.Callback):
    """Draws a bar over the whole run if stderr is a terminal; otherwise logs one line per epoch.

    Args:
        bar: False never draws a bar.
    """

    def __init__(self, *, bar: bool = True) -> None:
        self._wanted = bar
        self._bar: Any = None
        self._task: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Draw the bar, at the first epoch of a resumed run."""
        if self._wanted and sys.stderr.isatty():
            self._bar = _rich_bar()
        if self._bar is None:
            return
        self._task = self._bar.add_task(
            _epoch_count(trainer),
            total=int(trainer.estimated_stepping_batches),
            completed=trainer.global_step,
            metrics="",
        )
        self._bar.start()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Show the number of the epoch."""
        if self._bar is not None:
            self._bar.update(self._task, description=_epoch_count(trainer))

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(self._task, completed=trainer.global_step)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Show loss, accuracy and sizes of the epoch."""
        text = epoch_text(trainer, pl_module)
        if self._bar is not None:
            self._bar.update(self._task, metrics=text)
        else:
            logger.info("%s  %s", _epoch_count(trainer), text)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Leave the finished bar on the screen."""
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        """Release the terminal."""
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def epoch_text(trainer: Trainer, module: Classifier) -> str:
    """Return an epoch as one short text: ``loss 0.1234  val 97.50 %  sizes 5-13``."""
    loss = float(trainer.callback_metrics["loss/train"])
    accuracy = float(trainer.callback_metrics["accuracy/validation"])
    text = f"loss {loss:.4f}  val {100 * accuracy:.2f} %"
    extents = [extent for size in sizes(module.evaluated).values() for extent in size]
    if not extents:
        return text
    return f"{text}  sizes {min(extents)}-{max(extents)}"


def _epoch_count(trainer: Trainer) -> str:
    """Return ``epoch 3/12``."""
    return f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs or 0}"


def _log_size(trainer: Trainer, layer: str, size: Sequence[int]) -> None:
    values = {f"size/{layer}/{axis}": float(extent) for axis, extent in enumerate(size)}
    for recorder in trainer.loggers:
        recorder.log_metrics(values, step=trainer.global_step)


def _rich_bar() -> Any:
    """Return a progress bar on stderr, or None if rich is not installed."""
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


def _write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    columns: dict[str, None] = {}  # A dict keeps the order of first appearance.
    for row in rows:
        columns.update(dict.fromkeys(row))
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns))
        writer.writeheader()
        writer.writerows(rows)
