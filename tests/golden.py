"""Results of the authors' code (see the README in their folder), under the names of this library."""

import numpy as np
import torch
from torch import Tensor

from flexkern import GaborNet, Generator, MAGNet
from flexkern.generators import MultiplicativeGenerator
from shared import shared_path


def load_golden(name: str) -> dict[str, Tensor]:
    """Return the numeric arrays of a golden file as tensors; text arrays stay NumPy arrays."""
    with np.load(shared_path("golden", name), allow_pickle=False) as arrays:
        return {key: arrays[key] if arrays[key].dtype.kind == "U" else torch.from_numpy(arrays[key]) for key in arrays}


def with_prefix(arrays: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the arrays whose name starts with ``prefix``, without the prefix."""
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}


def generator_arrays(generator: Generator, arrays: dict[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """Return golden arrays under the names of the generator's parameters; ``prefix="grad_"`` gives the gradients."""
    parameters = {f"readout_{kind}": arrays[f"{prefix}output_{kind}"] for kind in ("weight", "bias")}
    if isinstance(generator, MultiplicativeGenerator):
        names = {"weight": "wave_vector", "bias": "phase"}
        if isinstance(generator, MAGNet | GaborNet):
            names |= {"gamma": "gamma", "mu": "mu"}
        for theirs, ours in names.items():
            filters = [arrays[f"{prefix}filter{i}_{theirs}"] for i in range(generator.layers + 1)]
            parameters[ours] = torch.stack(filters)
        for kind in ("weight", "bias"):
            layers = [arrays[f"{prefix}linear{i}_{kind}"] for i in range(generator.layers)]
            parameters[f"mixing_{kind}"] = torch.stack(layers)
        return parameters
    siren = {"weight": "weights.{}", "bias": "biases.{}"}
    mlp = {"weight": "hidden_layers.{}.weight", "bias": "hidden_layers.{}.bias"}
    patterns = siren if hasattr(generator, "omega") else mlp
    for kind, pattern in patterns.items():
        for index in range(2):
            parameters[pattern.format(index)] = arrays[f"{prefix}linear{index}_{kind}"]
    return parameters


@torch.no_grad()
def fill_generator(generator: Generator, arrays: dict[str, Tensor]) -> None:
    """Overwrite every parameter of a generator, and check that the arrays cover all of them."""
    values = generator_arrays(generator, arrays)
    parameters = dict(generator.named_parameters())
    assert parameters.keys() == values.keys()
    for name, parameter in parameters.items():
        assert parameter.shape == values[name].shape, name
        parameter.copy_(values[name])
