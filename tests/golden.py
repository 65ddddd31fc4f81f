"""Numbers made with the authors' code (see the README beside them), in the names of this library."""

import numpy as np
import torch
from torch import Tensor

from flexkern import GaborNet, Generator, MAGNet
from flexkern.generators import MultiplicativeGenerator
from shared import shared_path


def load_golden(name: str) -> dict[str, Tensor]:
    """All numeric arrays of a golden file as tensors; text arrays stay numpy."""
    with np.load(shared_path("golden", name), allow_pickle=False) as arrays:
        return {key: arrays[key] if arrays[key].dtype.kind == "U" else torch.from_numpy(arrays[key]) for key in arrays}


def with_prefix(arrays: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}


def generator_arrays(generator: Generator, arrays: dict[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """Golden arrays under the names of the generator's own parameters; ``prefix="grad_"`` gives the gradients."""
    found = {f"readout_{part}": arrays[f"{prefix}output_{part}"] for part in ("weight", "bias")}
    if isinstance(generator, MultiplicativeGenerator):
        names = {"weight": "wave_vector", "bias": "phase"}
        if isinstance(generator, MAGNet | GaborNet):
            names |= {"gamma": "gamma", "mu": "mu"}
        for theirs, ours in names.items():
            found[ours] = torch.stack([arrays[f"{prefix}filter{i}_{theirs}"] for i in range(generator.layers + 1)])
        for part in ("weight", "bias"):
            found[f"mixing_{part}"] = torch.stack(
                [arrays[f"{prefix}linear{i}_{part}"] for i in range(generator.layers)]
            )
        return found
    siren = {"weight": "weights.{}", "bias": "biases.{}"}
    mlp = {"weight": "hidden_layers.{}.weight", "bias": "hidden_layers.{}.bias"}
    for part, pattern in (siren if hasattr(generator, "omega") else mlp).items():
        for index in range(2):
            found[pattern.format(index)] = arrays[f"{prefix}linear{index}_{part}"]
    return found


@torch.no_grad()
def fill_generator(generator: Generator, arrays: dict[str, Tensor]) -> None:
    """Overwrite every parameter of a generator; none may be left."""
    values = generator_arrays(generator, arrays)
    parameters = dict(generator.named_parameters())
    assert parameters.keys() == values.keys()
    for name, parameter in parameters.items():
        assert parameter.shape == values[name].shape, name
        parameter.copy_(values[name])
