"""evaluate: test accuracy of a finished run or of a weights file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flexkern.windows import sizes

from ..data import Task, load_task, normalise
from .accuracy import count_correct
from .recipe import read_recipe_file
from .resolutions import accuracies_at
from .weights import WeightsInfo, find_weights, load_weights, read_tensors


def evaluate(
    run_or_weights: str | Path,
    data_dir: str | Path | None = None,
    *,
    batch_size: int = 256,
    resolutions: Sequence[float] = (),
) -> dict[str, Any]:
    """Rebuild a model and measure its accuracy on the test set of its task.

    Args:
        run_or_weights: A run folder, a weights.safetensors file, or the name of weights in the package.
        data_dir: Local copies of the data; by default those of the run.
        resolutions: Scales at which the accuracy is also measured, see :func:`accuracies_at`.
        batch_size: Largest number of samples in a batch.

    Returns:
        accuracy, correct, n (test samples), task, model, parameters, sizes, weights (path), and resolutions if
        any are given.

    Raises:
        FileNotFoundError: The run, the weights or the data do not exist.
        ValueError: A file is damaged, or the data have another shape than the model takes.
    """
    path = find_weights(run_or_weights)
    model, info = load_weights(path)
    task = task_of_weights(path, info, data_dir)
    x = task.x_test
    if info.mean:
        mean = torch.tensor(info.mean)
        std = torch.tensor(info.std)
        x = normalise(x, mean, std, task.lengths_test)
    correct = count_correct(
        model,
        x,
        task.y_test,
        transform=task.batch_transform,
        batch_size=batch_size,
    )
    result = {
        "accuracy": correct / len(x),
        "correct": correct,
        "n": len(x),
        "task": info.task,
        "model": info.model,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "sizes": {name: list(size) for name, size in sizes(model).items()},
        "weights": str(path),
    }
    if resolutions:
        result["resolutions"] = accuracies_at(model, x, task, resolutions, batch_size=batch_size)
    return result


def task_of_weights(path: Path, info: WeightsInfo, data_dir: str | Path | None = None) -> Task:
    """Load the task of a weights file with the tensors that its run stored; by default from the run's data."""
    if data_dir is None:
        data_dir = _data_dir_of(path)
    task = load_task(info.task, data_dir)
    _check_fit(task, info)
    return with_extras(task, _read_extras(path))


def with_extras(task: Task, stored: dict[str, Tensor]) -> Task:
    """Return the task with the stored tensors of a run: its permutation, and the state of its batch transform."""
    own_order = task.extras.get("permutation")
    stored_order = stored.get("permutation")
    if own_order is not None and stored_order is not None and not torch.equal(own_order, stored_order):
        change = own_order.argsort()[stored_order]  # Undoes our order, then applies the stored one.
        task = replace(
            task,
            x_train=task.x_train[..., change],
            x_test=task.x_test[..., change],
        )
    transform = task.batch_transform.with_state(stored)
    extras = dict(task.extras)
    for name, tensor in stored.items():
        if name not in transform.state():
            extras[name] = tensor
    return replace(task, extras=extras, batch_transform=transform)


def _check_fit(task: Task, info: WeightsInfo) -> None:
    classes = len(info.class_names)
    axes = len(info.shape)
    task_axes = len(task.shape)
    if (task.channels, task.classes, task_axes) != (info.in_channels, classes, axes):
        raise ValueError(
            f"these weights take {info.in_channels} channels, {axes} axes and {classes} classes;"
            f" task `{info.task}` has {task.channels} channels, {task_axes} axes and {task.classes} classes."
        )
    _check_class_names(task, info)


def _check_class_names(task: Task, info: WeightsInfo) -> None:
    """Raise a ValueError if classes have other names: the model's class numbers would mean something else."""
    for index, learned in enumerate(info.class_names):
        name = task.class_names[index]
        if name != learned:
            raise ValueError(
                f"class {index} of task `{info.task}` is {name!r} here, but the weights learned {learned!r}."
            )


def _data_dir_of(weights: Path) -> str | None:
    recipe = weights.parent / "recipe.yaml"
    if not recipe.is_file():
        return None
    return read_recipe_file(recipe).data.dir


def _read_extras(weights: Path) -> dict[str, Tensor]:
    """Return the tensors that a run stored next to its weights."""
    path = weights.parent / "extras.safetensors"
    if not path.is_file():
        return {}
    tensors, _ = read_tensors(path)
    return tensors
