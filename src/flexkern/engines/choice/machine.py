"""The cost model of this machine, kept in a file that ``flexkern tune`` writes."""

import functools
import json
import os
import platform
import warnings
from pathlib import Path

import torch

from ..._support.atomic import write_json
from .cost_model import CostModel, constant_names


def machine_key() -> dict[str, object]:
    """What constants depend on; a cache of another key is foreign."""
    return {"device": _processor(), "torch": torch.__version__, "threads": torch.get_num_threads()}


@functools.cache
def _processor() -> str:
    """The processor's name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def cache_path() -> Path:
    """``$FLEXKERN_CACHE/costs.json``, else ``flexkern/costs.json`` in the user's cache folder."""
    if folder := os.environ.get("FLEXKERN_CACHE"):
        return Path(folder) / "costs.json"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flexkern" / "costs.json"


def save_costs(costs: CostModel) -> Path:
    """Writes the constants of this machine; whole or not at all. Plans made from now on follow them."""
    path = cache_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    constants = {name: float(f"{value:.4g}") for name, value in costs.constants.items()}
    write_json(path, {"key": machine_key(), "constants": constants})
    forget_costs()
    return path


def forget_costs() -> None:
    """The next plan reads the file anew."""
    _load.cache_clear()


def load_costs() -> CostModel:
    """The constants of this machine if ``flexkern tune`` has measured them, else the shipped ones.

    A cache that is broken, or of another device, torch version or number of threads, is ignored with a note.
    """
    return _load(torch.get_num_threads())


def costs_origin() -> str:
    """Whether plans follow constants of this machine, "tuned", or those of the package, "shipped"."""
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
        why = " ".join(str(error).split()) or type(error).__name__
        warnings.warn(
            f"{path} is not used ({why}); engines are chosen by the shipped constants. "
            "Run `flexkern tune` to measure this machine.",
            stacklevel=3,
        )
        return CostModel.shipped()


def _read(path: Path) -> CostModel:
    content = json.loads(path.read_text())
    key, constants = content["key"], content["constants"]
    for name, value in machine_key().items():
        if key.get(name) != value:
            raise ValueError(f"it is of {name} {key.get(name)!r}, this is {value!r}")
    if set(constants) != set(constant_names()):
        raise ValueError("its constants are not those of this version")
    return CostModel(constants)
