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
from .references import CHANNELS, SIGNALS, case_of, cases, direct_seconds
from .work import Work, direct_work, fresh_bytes, output_work, spectral_work

AMOUNTS = tuple(field.name for field in dataclasses.fields(Work))
SHIPPED = Path(__file__).with_name("costs.json")


@dataclass(frozen=True)
class CostModel:
    """Seconds per unit of :class:`~flexkern.engines.work.Work`.

    ``constants`` maps names to positive floats: ``matrices/2d/dense/forward/flops`` and its like for spectral engines;
    ``direct/2d/dense/forward/contiguous/batch/5/32`` and its like are whole seconds of
    :mod:`reference convolutions <flexkern.engines.references>`; ``memory/fresh`` is per byte that the system clears.
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
        """The constants that come with the package, measured on two cores of an AMD EPYC."""
        return CostModel(json.loads(SHIPPED.read_text())["constants"])

    def seconds(self, problem: ConvProblem, plan: PassPlan, name: str) -> float:
        """What the pass ``name`` of a problem is expected to take."""
        fresh = self.constants["memory/fresh"] * fresh_bytes(problem, plan, name)
        return fresh + self.price(family_of(problem, plan, name), work_of(problem, plan, name))

    def shared_seconds(self, problem: ConvProblem, plan: PassPlan) -> float:
        """What both gradients save when they follow one plan: a transform of the output's gradient."""
        if plan.engine == "direct":
            return 0.0
        return self.price(family_of(problem, plan, PASSES[1]), output_work(problem, plan))

    def price(self, family: str, work: Work) -> float:
        """Seconds for work of a family."""
        c = self.constants
        if family.startswith("direct"):
            return direct_seconds(family, work.flops, c)
        return sum(getattr(work, amount) * c[f"{family}/{amount}"] for amount in AMOUNTS)

    @property
    def autograd_seconds(self) -> float:
        """What an autograd function of ours takes more than torch's own, forward and backward."""
        return self.constants["autograd/calls"]


def work_of(problem: ConvProblem, plan: PassPlan, name: str) -> Work:
    """How much work a pass is."""
    return direct_work(problem) if plan.engine == "direct" else spectral_work(problem, plan, name)


def family_of(problem: ConvProblem, plan: PassPlan, name: str) -> str:
    """Passes of one family follow the same constants: memory is strode through differently per axis and pass."""
    if plan.engine == "direct":
        return case_of(problem, plan, name)
    how, kind = "matrices" if plan.matrices else "library", "depthwise" if problem.depthwise else "dense"
    return f"{how}/{len(problem.signal)}d/{kind}/{name}"


def constant_names() -> list[str]:
    """All constants that a cost model has."""
    families = itertools.product(("matrices", "library"), (f"{n}d" for n in SIGNALS), CHANNELS, PASSES)
    names = ["/".join((*family, amount)) for family in families for amount in AMOUNTS]
    return ["autograd/calls", "memory/fresh", *names] + [name for case in cases().values() for name in case]
