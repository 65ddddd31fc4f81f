"""evaluate: test-set accuracy of a finished run or of a weights file."""

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
from .weights import WeightsInfo, find_weights, load_weights


def evaluate(
    run_or_weights: str | Path,
    data_dir: str | Path | None = None,
    *,
    batch_size: int = 256,
    resolutions: Sequence[float] = (),
) -> dict[str, Any]:
    """Rebuilds a model and measures it on the test set of its task.

    Args:
        run_or_weights: a run folder, a weights.safetensors file, or the name of weights that come with the
            package.
        data_dir: local copies of the data; by default where the run found them.
        resolutions: scales at which test samples and kernels are also measured, see :func:`accuracies_at`.

    Returns:
        accuracy, correct, n (test samples), task, model, parameters, sizes, weights (path); resolutions if asked for.

    Raises:
        FileNotFoundError: no such run or weights, or no data.
        ValueError: a damaged file, or data of another shape than the model was made for.
    """
    path = find_weights(run_or_weights)
    model, info = load_weights(path)
    task = task_of_weights(path, info, data_dir)
    x = task.x_test
    if info.mean:
        x = normalise(x, torch.tensor(info.mean), torch.tensor(info.std), task.lengths_test)
    correct = count_correct(model, x, task, batch_size=batch_size)
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
    """The task of a weights file, by default from where its run found the data, with what the run stored."""
    task = load_task(info.task, data_dir if data_dir is not None else _data_dir_of(path))
    _check_fit(task, info)
    return with_extras(task, _extras_of(path))


def with_extras(task: Task, stored: dict[str, Tensor]) -> Task:
    """``task`` with the stored permutation and suffix of a run instead of its own."""
    order, own = stored.get("permutation"), task.extras.get("permutation")
    if order is not None and own is not None and not torch.equal(order, own):
        change = own.argsort()[order]  # undo our order, apply the stored one
        task = replace(task, x_train=task.x_train[..., change], x_test=task.x_test[..., change])
    return replace(task, extras={**task.extras, **stored})


def _check_fit(task: Task, info: WeightsInfo) -> None:
    have = (task.channels, task.classes)
    want = (info.in_channels, len(info.class_names))
    if have != want or len(task.shape) != len(info.shape):
        raise ValueError(
            f"these weights take {want[0]} channels, {len(info.shape)} axes and {want[1]} classes;"
            f" task `{info.task}` has {have[0]} channels, {len(task.shape)} axes and {have[1]} classes."
        )
    _check_names(task, info)


def _check_names(task: Task, info: WeightsInfo) -> None:
    """Classes are numbers to the model: under other names the same numbers would mean something else."""
    for index, (have, want) in enumerate(zip(task.class_names, info.class_names, strict=True)):
        if have != want:
            raise ValueError(f"class {index} of task `{info.task}` is {have!r} here, but the weights learned {want!r}.")


def _data_dir_of(weights: Path) -> str | None:
    recipe = weights.parent / "recipe.yaml"
    return read_recipe_file(recipe).data.dir if recipe.is_file() else None


def _extras_of(weights: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = weights.parent / "extras.safetensors"
    if not path.is_file():
        return {}
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file.") from error
