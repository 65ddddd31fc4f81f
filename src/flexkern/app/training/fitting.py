"""fit: a recipe in, a finished run folder and its record out."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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
    """Trains as the recipe says, chooses the epoch on validation data, then touches the test set once.

    Everything is written under ``recipe.folder``: recipe.yaml, record.json, metrics.csv, sizes.csv,
    TensorBoard events, last.ckpt, weights.safetensors (best epoch), extras.safetensors. An
    earlier run there is replaced, unless ``resume``. Random state and thread count of the caller are left as
    they were.

    Args:
        recipe: what to do.
        resume: continue from last.ckpt; the result is that of an uninterrupted run. A finished run is
            returned as is.
        progress: draw a bar on a terminal; messages go to the logger ``flexkern.app.training`` either way.

    Raises:
        ValueError, FileNotFoundError: unusable data, options or checkpoint, or a loss that is not finite.
        PermissionError: the run folder cannot be written.

    Example:
        >>> record = fit(override(load_recipe("digits"), {"epochs": 1}))  # doctest: +SKIP
    """
    folder = RunFolder(recipe.folder)
    if resume:
        check_resume(folder, recipe)
        if (finished := _finished(folder, recipe)) is not None:
            logger.info("%s is finished; for more, raise epochs.", folder.path)
            return finished
        read_checkpoint(folder.checkpoint)  # a damaged one is refused before data are read
    open_folder(folder.path)
    try:
        with _own_state(recipe), _quiet_lightning():
            return _run(recipe, folder, resume=resume, progress=progress)
    finally:
        folder.drop_if_empty()


def _run(recipe: Recipe, folder: RunFolder, *, resume: bool, progress: bool) -> RunRecord:
    task = prepare_task(recipe)
    split = split_task(task, recipe.data.validation, recipe.seed, train_share=recipe.data.train_share)
    module, info = _build(recipe, task)
    tables, best = Tables(folder), KeepBest(folder.weights, info)
    callbacks = [StopOnBadLoss(), tables, best, Progress(bar=progress), SaveLast(folder.checkpoint)]
    trainer = _trainer(recipe, folder, callbacks)
    # Whatever can be wrong with recipe and data is known by now: only from here on is an earlier run replaced.
    if not resume and folder.clear():
        logger.info("replacing the earlier run in %s.", folder.path)
    save_recipe(folder, recipe)
    if task.extras:
        write_tensors(folder.extras, task.extras)
    _train(trainer, module, recipe, split, folder.checkpoint if resume else None)
    model, _ = load_weights(folder.weights)
    accuracy = count_correct(model, task.x_test, task) / len(task.x_test)
    record = RunRecord(
        accuracy=accuracy,
        validation_accuracy=best.accuracy,
        best_epoch=best.epoch,
        seconds=tables.seconds,
        folder=folder.path,
        **_facts(recipe, split, model),
    )
    record.save()
    return record


def prepare_task(recipe: Recipe) -> Task:
    """The recipe's task, standardised if it says so."""
    task = load_task(recipe.data.name, recipe.data.dir)
    return standardise(task) if recipe.data.standardise else task


def _build(recipe: Recipe, task: Task) -> tuple[Classifier, WeightsInfo]:
    options = dict(recipe.model.options)
    torch.manual_seed(recipe.seed)
    model = build_model(recipe.model.name, options, task.channels, task.classes)
    _try_one_sample(model, task, recipe.model.name)
    info = WeightsInfo(
        model=recipe.model.name,
        options=options,
        in_channels=task.channels,
        class_names=task.class_names,
        shape=task.shape,
        task=recipe.data.name,
        mean=tuple(task.extras["mean"].tolist()) if recipe.data.standardise else (),
        std=tuple(task.extras["std"].tolist()) if recipe.data.standardise else (),
    )
    module = Classifier(
        model,
        recipe.optimiser,
        task.classes,
        seed=recipe.seed,
        augment=recipe.data.augment,
        augment_share=recipe.data.augment_share,
        complete=task.complete,
    )
    return module, info


@torch.no_grad()
def _try_one_sample(model: nn.Module, task: Task, name: str) -> None:
    """Refuses a model that cannot take the task's samples before anything is written."""
    try:
        model.eval()(task.complete(task.x_train[:1]))
    except (RuntimeError, ValueError) as error:
        shape = (task.channels, *task.shape)
        raise ValueError(f"model `{name}` cannot take samples of shape {shape}: {error}") from error
    model.train()


def _trainer(recipe: Recipe, folder: RunFolder, callbacks: list[Any]) -> lightning.Trainer:
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


def _train(trainer: lightning.Trainer, module: Classifier, recipe: Recipe, split: Split, checkpoint: Any) -> None:
    train = Batches(*split.train, recipe.batch_size, seed=recipe.seed)
    validation = Batches(*split.validation, _EVAL_BATCH)
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, train, validation, ckpt_path=checkpoint)
    except SystemExit:
        # Lightning turns Ctrl-C into exit(1) and leaves the signal ignored.
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


def _facts(recipe: Recipe, split: Split, model: nn.Module) -> dict[str, Any]:
    """The part of a record that is no result."""
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


def _finished(folder: RunFolder, recipe: Recipe) -> RunRecord | None:
    if not folder.record.is_file():
        return None
    record = RunRecord.load(folder.path)
    return record if record.epochs >= recipe.epochs else None


class _Events(lightning.loggers.TensorBoardLogger):
    """TensorBoard events straight in the run folder, without an hparams.yaml beside recipe.yaml."""

    def save(self) -> None:
        """Events are flushed by the writer."""
        self.experiment.flush()


@contextmanager
def _own_state(recipe: Recipe) -> Iterator[None]:
    """Seeds and threads of the recipe inside, those of the caller outside."""
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
    """Hides Lightning's notes on devices, tips and data loaders; errors and other warnings pass."""
    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [item.level for item in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.")
        for item in loggers:
            item.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for item, level in zip(loggers, levels, strict=True):
                item.setLevel(level)
