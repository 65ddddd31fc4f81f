"""Measure how much a trained model depends on adaptive kernels: per layer, in accuracy, and as a figure."""

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
"""Images over which mean kernels are taken."""
HELD_OUT = 0.1
"""Fraction of the training images on which accuracies are measured."""


def inspect_adaptive(
    run_or_weights: str | Path, data_dir: str | Path | None = None, *, figure: str | Path | None = None
) -> dict[str, Any]:
    """Measure a model on a tenth of its training images; the test set stays untouched.

    Returns:
        share: layer -> energy of the kernels' deviations from their mean, over the energy of the kernels;
        accuracy, accuracy_of_mean: of the model, and of the model with its mean kernels; n: number of images.

    Raises:
        FileNotFoundError: no such run or weights, or no data.
        ValueError: the model has no adaptive convolution.
    """
    path = find_weights(run_or_weights)
    model, info = load_weights(path)
    task = task_of_weights(path, info, data_dir)
    others, held_out = hold_out(task.y_train, HELD_OUT)
    x = task.x_train
    if info.mean:
        x = normalise(x, torch.tensor(info.mean), torch.tensor(info.std), task.lengths_train)
    step = max(1, len(others) // SAMPLES)
    chosen = others[::step][:SAMPLES]  # spread out, so that all classes occur even where they are sorted
    samples = task.batch_transform(x[chosen])
    mean_model = with_mean_kernels(model, samples)
    inputs = inputs_of(model, samples)
    if figure is not None:
        _draw(model, inputs, task.y_train[chosen], figure)
    shares = {}
    for name, layer_inputs in inputs.items():
        layer: Any = model.get_submodule(name)
        shares[name] = adaptivity(layer, layer_inputs).share

    def accuracy(net: nn.Module) -> float:
        correct = count_correct(net, x[held_out], task.y_train[held_out], transform=task.batch_transform)
        return correct / len(held_out)

    return {
        "share": shares,
        "accuracy": accuracy(model),
        "accuracy_of_mean": accuracy(mean_model),
        "n": len(held_out),
        "weights": str(run_or_weights),
    }


def _draw(model: nn.Module, inputs: dict[str, Tensor], labels: Tensor, path: str | Path) -> None:
    """Draw two images of different classes in the first adaptive layer."""
    name, layer_inputs = next(iter(inputs.items()))
    layer = model.get_submodule(name)
    if not isinstance(layer, AdaptiveConv2d):
        raise ValueError(f"kernels can be drawn for AdaptiveConv2d only, `{name}` is a {type(layer).__name__}.")
    other = int((labels != labels[0]).nonzero()[0])
    save_figure(kernels_figure(layer, layer_inputs[[0, other]]), path)
