"""fit: train a recipe; leave a finished run folder and return its record."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from flexkern._support.atomic import write_tensors

from ..data import Split, Task, load_task, split_task, standardise
from ._lightning import MisconfigurationException, lightning
from .accuracy import count_correct
from .batches import Batches
from .callbacks import KeepBest, Progress, SaveLast, StopOnBadLoss, Tables
from .checkpoint import SafeCheckpointIO, read_checkpoint
from .folder import RunFolder, check_resume, open_folder, save_recipe
from .module import Classifier
from .recipe import Recipe
from .record import RunRecord, describe_layers
from .weights import WeightsInfo, build_model, load_weights

logger = logging.getLogger("flexkern.app.training")

_EVAL_BATCH = 256


def fit(recipe: Recipe, *, resume: bool = False, progress: bool = True) -> RunRecord:
    """Train a recipe, choose the epoch on validation data, then measure the test accuracy once.

    Everything is written to ``recipe.folder``: recipe.yaml, record.json, metrics.csv, sizes.csv, TensorBoard
    events, last.ckpt, weights.safetensors (best epoch), extras.safetensors. An earlier run there is replaced
    unless ``resume`` is given. Random state and thread count of the caller are restored.

    Args:
        recipe: The run.
        resume: Continue from last.ckpt; the result equals that of an uninterrupted run. A finished run is
            returned as it is.
        progress: Draw a bar on a terminal; messages go to the logger ``flexkern.app.training`` in any case.

    Raises:
        FileNotFoundError: The data do not exist, or there is nothing to resume.
        ValueError: Data, options or checkpoint cannot be used, or the loss is not finite.
        PermissionError: The run folder cannot be written.

    Example:
        >>> record = fit(override(load_recipe("digits"), {"epochs": 1}))  # doctest: +SKIP
    """
    folder = RunFolder(recipe.folder)
    if resume:
        check_resume(folder, recipe)
        finished = _finished_record(folder, recipe)
        if finished is not None:
            logger.info("%s is finished; to train longer, raise `epochs`.", folder.path)
            return finished
        read_checkpoint(folder.checkpoint)  # Refuses a damaged checkpoint before data are read.
    open_folder(folder.path)
    try:
        with _state_of_run(recipe), _quiet_lightning():
            return _run(recipe, folder, resume=resume, progress=progress)
    finally:
        folder.drop_if_empty()


def _run(recipe: Recipe, folder: RunFolder, *, resume: bool, progress: bool) -> RunRecord:
    task = prepare_task(recipe)
    split = split_task(
        task,
        recipe.data.validation,
        recipe.seed,
        train_share=recipe.data.train_share,
    )
    module, info = _build(recipe, task)
    tables = Tables(folder)
    best = KeepBest(folder.weights, info)
    callbacks = [
        StopOnBadLoss(),
        tables,
        best,
        Progress(bar=progress),
        SaveLast(folder.checkpoint),
    ]
    trainer = _build_trainer(recipe, folder, callbacks)
    # All errors of recipe and data have been raised by now: only from here on is an earlier run replaced.
    if not resume and folder.clear():
        logger.info("replacing the earlier run in %s.", folder.path)
    save_recipe(folder, recipe)
    _save_extras(folder, task)
    checkpoint = folder.checkpoint if resume else None
    _train(trainer, module, recipe, split, checkpoint)
    model, _ = load_weights(folder.weights)
    correct = count_correct(model, task.x_test, task.y_test, transform=task.batch_transform)
    record = RunRecord(
        accuracy=correct / len(task.x_test),
        validation_accuracy=best.accuracy,
        best_epoch=best.epoch,
        seconds=tables.seconds,
        folder=folder.path,
        **_describe_run(recipe, split, model),
    )
    record.save()
    return record


def prepare_task(recipe: Recipe) -> Task:
    """Load the recipe's task, standardised if the recipe asks for it."""
    task = load_task(recipe.data.name, recipe.data.dir)
    if not recipe.data.standardise:
        return task
    return standardise(task)


def _save_extras(folder: RunFolder, task: Task) -> None:
    tensors = {**task.extras, **task.batch_transform.state()}
    if tensors:
        write_tensors(folder.extras, tensors)


def _build(recipe: Recipe, task: Task) -> tuple[Classifier, WeightsInfo]:
    options = dict(recipe.model.options)
    torch.manual_seed(recipe.seed)
    model = build_model(recipe.model.name, options, task.channels, task.classes)
    _try_one_sample(model, task, recipe.model.name)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    if recipe.data.standardise:
        mean = tuple(task.extras["mean"].tolist())
        std = tuple(task.extras["std"].tolist())
    info = WeightsInfo(
        model=recipe.model.name,
        options=options,
        in_channels=task.channels,
        class_names=task.class_names,
        shape=task.shape,
        task=recipe.data.name,
        mean=mean,
        std=std,
    )
    module = Classifier(
        model,
        recipe.optimiser,
        task.classes,
        seed=recipe.seed,
        augment=recipe.data.augment,
        augment_share=recipe.data.augment_share,
        transform=task.batch_transform,
    )
    return module, info


@torch.no_grad()
def _try_one_sample(model: nn.Module, task: Task, name: str) -> None:
    """Raise a ValueError if a model cannot take the task's samples, before anything is written."""
    sample = task.batch_transform(task.x_train[:1])
    try:
        model.eval()(sample)
    except (RuntimeError, ValueError) as error:
        shape = (task.channels, *task.shape)
        raise ValueError(f"model `{name}` cannot take samples of shape {shape}: {error}") from error
    model.train()


def _build_trainer(recipe: Recipe, folder: RunFolder, callbacks: list[Any]) -> lightning.Trainer:
    try:
        return lightning.Trainer(
            accelerator=recipe.accelerator,
            devices=1,
            max_epochs=recipe.epochs,
            logger=_Events(folder.path, name="", version="", default_hp_metric=False),
            callbacks=callbacks,
            plugins=[SafeCheckpointIO()],
            gradient_clip_val=recipe.optimiser.gradient_clip or None,
            default_root_dir=folder.path,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except (MisconfigurationException, ValueError) as error:
        raise ValueError(f"`accelerator` {recipe.accelerator} cannot be used here: {error}") from error


def _train(
    trainer: lightning.Trainer,
    module: Classifier,
    recipe: Recipe,
    split: Split,
    checkpoint: Path | None,
) -> None:
    x_train, y_train = split.train
    x_validation, y_validation = split.validation
    train = Batches(x_train, y_train, recipe.batch_size, seed=recipe.seed)
    validation = Batches(x_validation, y_validation, _EVAL_BATCH)
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, train, validation, ckpt_path=checkpoint)
    except SystemExit:
        # Lightning turns Ctrl-C into exit(1) and leaves the signal ignored.
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


def _describe_run(recipe: Recipe, split: Split, model: nn.Module) -> dict[str, Any]:
    """Return the fields of a record that are known before training."""
    return {
        "name": recipe.name,
        "task": recipe.data.name,
        "recipe": recipe.to_dict(),
        "seed": recipe.seed,
        "n_train": len(split.train[1]),
        "n_validation": len(split.validation[1]),
        "n_test": len(split.test[1]),
        "epochs": recipe.epochs,
        "parameters": sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        "layers": describe_layers(model),
    }


def _finished_record(folder: RunFolder, recipe: Recipe) -> RunRecord | None:
    """Return the record of a run that has all the epochs of the recipe."""
    if not folder.record.is_file():
        return None
    record = RunRecord.load(folder.path)
    if record.epochs < recipe.epochs:
        return None
    return record


class _Events(lightning.loggers.TensorBoardLogger):
    """TensorBoard events directly in the run folder, without the hparams.yaml of Lightning."""

    def save(self) -> None:
        """Flush the writer."""
        self.experiment.flush()


@contextmanager
def _state_of_run(recipe: Recipe) -> Iterator[None]:
    """Use the thread count of the recipe inside; restore random state and threads of the caller afterwards."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng():
        try:
            if recipe.threads:
                torch.set_num_threads(recipe.threads)
            yield
        finally:
            torch.set_num_threads(threads)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Hide Lightning's notes on devices, tips and data loaders; errors and other warnings pass."""
    levels = {}
    for name in ("lightning.pytorch", "lightning.fabric"):
        lightning_logger = logging.getLogger(name)
        levels[lightning_logger] = lightning_logger.level
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.")
        for lightning_logger in levels:
            lightning_logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for lightning_logger, level in levels.items():
                lightning_logger.setLevel(level)
