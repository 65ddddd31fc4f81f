"""The cost model of this machine, cached in a file that ``flexkern tune`` writes."""

import functools
import json
import os
import warnings
from pathlib import Path

import torch

from ..._support.atomic import write_json
from ..._support.machine import processor_name
from .cost_model import CostModel, constant_names

costs_version = 0
"""Number of times the constants may have changed in this process; part of the key of cached plans."""


def machine_key() -> dict[str, object]:
    """Return what the constants depend on; a cache with another key is not used."""
    return {"device": processor_name(), "torch": torch.__version__, "threads": torch.get_num_threads()}


def cache_path() -> Path:
    """Return ``$FLEXKERN_CACHE/costs.json``, else ``flexkern/costs.json`` in the user's cache folder."""
    folder = os.environ.get("FLEXKERN_CACHE")
    if folder:
        return Path(folder) / "costs.json"
    user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(user_cache) / "flexkern" / "costs.json"


def save_costs(costs: CostModel) -> Path:
    """Write the constants of this machine in one atomic step; plans made from now on follow them."""
    path = cache_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    constants = {name: float(f"{value:.4g}") for name, value in costs.constants.items()}
    write_json(path, {"key": machine_key(), "constants": constants})
    forget_costs()
    return path


def forget_costs() -> None:
    """Make the next plan read the file again."""
    global costs_version
    _load.cache_clear()
    costs_version += 1


def load_costs() -> CostModel:
    """Return the constants of this machine if ``flexkern tune`` has measured them, else the shipped ones.

    A cache that is broken, or of another device, torch version or number of threads, is ignored with a warning.
    """
    return _load(torch.get_num_threads())


def costs_origin() -> str:
    """Return "tuned" if plans follow constants of this machine, "shipped" if they follow those of the package."""
    return "shipped" if load_costs() == CostModel.shipped() else "tuned"


@functools.cache
def _load(threads: int) -> CostModel:
    path: object = "the cache of constants"
    try:
        path = cache_path()
        return _read(path)
    except FileNotFoundError:
        return CostModel.shipped()
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, AttributeError, OverflowError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        warnings.warn(
            f"{path} is not used ({reason}); engines are chosen by the shipped constants. "
            "Run `flexkern tune` to measure this machine.",
            stacklevel=3,
        )
        return CostModel.shipped()


def _read(path: Path) -> CostModel:
    content = json.loads(path.read_text())
    key = content["key"]
    constants = content["constants"]
    for name, value in machine_key().items():
        if key.get(name) != value:
            raise ValueError(f"its {name} is {key.get(name)!r}, that of this machine is {value!r}")
    if set(constants) != set(constant_names()):
        raise ValueError("its constants are not those of this version")
    return CostModel(constants)
