"""What work costs on a machine: constants measured by ``flexkern tune``, or the shipped ones."""

import dataclasses
import functools
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from .plan import PASSES, ConvProblem, PassPlan
from .work import Work, direct_work, output_work, spectral_work

SIZES = {1: (3, 9, 31, 101, 301), 2: (3, 5, 7, 11, 17), 3: (3, 5, 9)}
"""Kernel sizes per number of axes at which direct convolution is measured; others cost as the nearest of them."""
AMOUNTS = tuple(field.name for field in dataclasses.fields(Work))
SHIPPED = Path(__file__).with_name("costs.json")


@dataclass(frozen=True)
class CostModel:
    """Seconds per unit of :class:`~flexkern.engines.work.Work`.

    ``constants`` maps names to positive floats: ``matrices/dense/flops`` and its like for the spectral engines,
    ``direct/2d/dense/forward/contiguous/batch/5`` and its like for operations of direct convolution.
    """

    constants: Mapping[str, float]
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, value in self.constants.items():
            if not isinstance(value, float) or not 0 < value < math.inf:
                raise ValueError(f"constant {name} must be a positive number, got {value!r}.")
        object.__setattr__(self, "constants", MappingProxyType(dict(self.constants)))
        object.__setattr__(self, "_hash", hash(tuple(sorted(self.constants.items()))))

    def __hash__(self) -> int:
        return self._hash  # computed once: plans are looked up by it

    @staticmethod
    @functools.cache
    def shipped() -> "CostModel":
        """The constants that come with the package, measured on two cores of a server."""
        return CostModel(json.loads(SHIPPED.read_text())["constants"])

    def seconds(self, problem: ConvProblem, plan: PassPlan, name: str) -> float:
        """What the pass ``name`` of a problem is expected to take."""
        return self.price(family_of(problem, plan, name), work_of(problem, plan, name))

    def shared_seconds(self, problem: ConvProblem, plan: PassPlan) -> float:
        """What both gradients save when they follow one plan: a transform of the output's gradient."""
        if plan.engine == "direct":
            return 0.0
        return self.price(family_of(problem, plan, PASSES[1]), output_work(problem, plan))

    def price(self, family: str, work: Work) -> float:
        """Seconds for work of a family."""
        c = self.constants
        if family.startswith("direct"):
            return work.flops * c[family] + work.bytes * c["direct/bytes"] + c["direct/calls"]
        return sum(getattr(work, amount) * c[f"{family}/{amount}"] for amount in AMOUNTS)


def work_of(problem: ConvProblem, plan: PassPlan, name: str) -> Work:
    """How much work a pass is."""
    return direct_work(problem) if plan.engine == "direct" else spectral_work(problem, plan, name)


def family_of(problem: ConvProblem, plan: PassPlan, name: str) -> str:
    """Passes of one family follow the same constants.

    Direct convolutions have code of their own for many cases, each of its own speed; an FFT library strides through
    memory differently per axis.
    """
    axes, kind = len(problem.signal), "depthwise" if problem.depthwise else "dense"
    if plan.engine != "direct":
        return f"matrices/{kind}" if plan.matrices else f"library/{axes}d/{kind}"
    size = math.prod(problem.kernel) ** (1 / axes)
    nearest = min(SIZES[axes], key=lambda one: abs(math.log(one / size)))
    layout = "channels_last" if plan.channels_last else "contiguous"
    batch = "single" if problem.batch == 1 else "batch"  # some run in parallel over the batch only
    return f"direct/{axes}d/{kind}/{name}/{layout}/{batch}/{nearest}"


def constant_names() -> list[str]:
    """All constants that a cost model has."""
    kinds = ("dense", "depthwise")
    families = [f"matrices/{kind}" for kind in kinds] + [f"library/{n}d/{kind}" for n in SIZES for kind in kinds]
    names = [f"{family}/{amount}" for family in families for amount in AMOUNTS]
    for axes, sizes in SIZES.items():
        layouts = ("contiguous",) if axes == 1 else ("contiguous", "channels_last")
        names += [
            f"direct/{axes}d/{kind}/{name}/{layout}/{batch}/{size}"
            for kind, name, layout, batch, size in itertools.product(kinds, PASSES, layouts, ("single", "batch"), sizes)
        ]
    return ["direct/bytes", "direct/calls", *names]
