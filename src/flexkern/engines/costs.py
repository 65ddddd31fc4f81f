"""What work costs on a machine: constants measured by ``flexkern tune``, or the shipped ones."""

import dataclasses
import functools
import json
import math
import os
import platform
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from .plan import PASSES, ConvProblem, PassPlan
from .work import Work, direct_work, spectral_work

SIZES = {1: (3, 9, 31, 101, 301), 2: (3, 5, 7, 11, 17), 3: (3, 5, 9)}
"""Kernel sizes per number of axes at which direct convolution is measured; others cost as the nearest of them."""
AMOUNTS = tuple(field.name for field in dataclasses.fields(Work))
SHIPPED = Path(__file__).with_name("costs.json")


@dataclass(frozen=True)
class CostModel:
    """Seconds per unit of :class:`~flexkern.engines.work.Work`.

    ``constants`` maps names to positive floats: ``matrices/dense/flops`` and its like for the spectral engines,
    ``direct/2d/dense/forward/contiguous/5`` and its like for operations of direct convolution.
    """

    constants: Mapping[str, float]

    def __post_init__(self) -> None:
        for name, value in self.constants.items():
            if not isinstance(value, float) or not 0 < value < math.inf:
                raise ValueError(f"constant {name} must be a positive number, got {value!r}.")

    def __hash__(self) -> int:
        return hash(tuple(sorted(self.constants.items())))

    @staticmethod
    @functools.cache
    def shipped() -> "CostModel":
        """The constants that come with the package, measured on two cores of a server."""
        return CostModel(json.loads(SHIPPED.read_text())["constants"])

    def seconds(self, problem: ConvProblem, plan: PassPlan, name: str) -> float:
        """What the pass ``name`` of a problem is expected to take."""
        if plan.engine == "direct":
            work = direct_work(problem)
            rate = self.constants[direct_family(problem, plan, name)]
            return work.flops * rate + work.bytes * self.constants["direct/bytes"] + self.constants["direct/calls"]
        family, work = spectral_family(problem, plan), spectral_work(problem, plan, name)
        return sum(getattr(work, amount) * self.constants[f"{family}/{amount}"] for amount in AMOUNTS)


def spectral_family(problem: ConvProblem, plan: PassPlan) -> str:
    """Passes whose seconds follow the same constants."""
    return f"{'matrices' if plan.matrices else 'library'}/{_kind(problem)}"


def direct_family(problem: ConvProblem, plan: PassPlan, name: str) -> str:
    """Direct convolutions have code of their own for many cases, so that each has its own speed."""
    axes = len(problem.signal)
    size = math.prod(problem.kernel) ** (1 / axes)
    nearest = min(SIZES[axes], key=lambda one: abs(math.log(one / size)))
    layout = "channels_last" if plan.channels_last else "contiguous"
    return f"direct/{axes}d/{_kind(problem)}/{name}/{layout}/{nearest}"


def _kind(problem: ConvProblem) -> str:
    return "depthwise" if problem.depthwise else "dense"


def constant_names() -> list[str]:
    """All constants that a cost model has."""
    kinds = ("dense", "depthwise")
    names = [f"{how}/{kind}/{amount}" for how in ("matrices", "library") for kind in kinds for amount in AMOUNTS]
    for axes, sizes in SIZES.items():
        layouts = ("contiguous",) if axes == 1 else ("contiguous", "channels_last")
        names += [
            f"direct/{axes}d/{kind}/{name}/{layout}/{size}"
            for kind in kinds
            for name in PASSES
            for layout in layouts
            for size in sizes
        ]
    return ["direct/bytes", "direct/calls", *names]


# Constants of this machine ---------------------------------------------------------------------------------------


def machine_key() -> dict[str, object]:
    """What constants depend on; a cache of another key is foreign."""
    return {
        "device": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def cache_path() -> Path:
    """``$FLEXKERN_CACHE/costs.json``, else ``flexkern/costs.json`` in the user's cache folder."""
    if folder := os.environ.get("FLEXKERN_CACHE"):
        return Path(folder) / "costs.json"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flexkern" / "costs.json"


def save_costs(costs: CostModel) -> Path:
    """Writes the constants of this machine; whole or not at all."""
    path = cache_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps({"key": machine_key(), "constants": dict(costs.constants)}, indent=1))
    draft.replace(path)
    load_costs.cache_clear()
    return path


@functools.cache
def load_costs() -> CostModel:
    """The constants of this machine if ``flexkern tune`` has measured them, else the shipped ones.

    A cache that is broken, or of another device, torch version or number of threads, is ignored with a note.
    """
    path = cache_path()
    if not path.exists():
        return CostModel.shipped()
    try:
        return _read(path)
    except (OSError, ValueError, TypeError, KeyError, RecursionError, AttributeError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        warnings.warn(
            f"{path} is not used ({why}); engines are chosen by the shipped constants. "
            "Run `flexkern tune` to measure this machine.",
            stacklevel=2,
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
