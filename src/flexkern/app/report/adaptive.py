"""How adaptive a trained model is: a number per layer, what is left with mean kernels, and a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flexkern.analysis import adaptivity, inputs_of, with_mean_kernels
from flexkern.layers import AdaptiveConv2d

from ..data import normalise
from ..data.task import hold_out
from ..training.accuracy import count_correct
from ..training.evaluation import task_of_weights
from ..training.weights import find_weights, load_weights
from .figures import save_figure
from .kernels import kernels_figure

SAMPLES = 256
"""Images that mean kernels are taken over."""
HELD_OUT = 0.1


def inspect_adaptive(
    run_or_weights: str | Path, data_dir: str | Path | None = None, *, figure: str | Path | None = None
) -> dict[str, Any]:
    """Looks at a model on a tenth of its training images; the test set stays untouched.

    Returns:
        share: layer -> energy of the kernels' deviations from their mean, over that of the kernels;
        accuracy, accuracy_of_mean: of the model, and with its mean kernels in their place; n: images.

    Raises:
        FileNotFoundError: no such run or weights, or no data.
        ValueError: the model has no adaptive convolution.
    """
    path = find_weights(run_or_weights)
    model, info = load_weights(path)
    task = task_of_weights(path, info, data_dir)
    kept, held = hold_out(task.y_train, HELD_OUT)
    x, labels, lengths = task.x_train, task.y_train[held], task.lengths_train
    if info.mean:
        x = normalise(x, torch.tensor(info.mean), torch.tensor(info.std), lengths)
    spread = kept[:: max(1, len(kept) // SAMPLES)][:SAMPLES]  # of all classes, also where they lie one after another
    some = task.batch_transform(x[spread])
    mean, given = with_mean_kernels(model, some), inputs_of(model, some)
    if figure is not None:
        _draw(model, given, task.y_train[spread], figure)
    layers: dict[str, Any] = {name: model.get_submodule(name) for name in given}
    return {
        "share": {name: adaptivity(layers[name], inputs).share for name, inputs in given.items()},
        "accuracy": count_correct(model, x[held], labels, transform=task.batch_transform) / len(held),
        "accuracy_of_mean": count_correct(mean, x[held], labels, transform=task.batch_transform) / len(held),
        "n": len(held),
        "weights": str(run_or_weights),
    }


def _draw(model: nn.Module, given: dict[str, Tensor], labels: Tensor, path: str | Path) -> None:
    """Two images of different classes, in the first adaptive layer."""
    name, inputs = next(iter(given.items()))
    layer = model.get_submodule(name)
    if not isinstance(layer, AdaptiveConv2d):
        raise ValueError(f"kernels are drawn of AdaptiveConv2d, `{name}` is of {type(layer).__name__}.")
    other = int((labels != labels[0]).nonzero()[0])
    save_figure(kernels_figure(layer, inputs[[0, other]]), path)
