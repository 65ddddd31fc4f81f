"""Reference convolutions: direct ones have code of their own for many cases, so their time is looked up, not computed.

``flexkern tune`` times the references; any other direct convolution is interpolated between those of its case.
"""

import dataclasses
import functools
import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ..plan import PASSES, ConvProblem, PassPlan
from .workload import Work, direct_work, fresh_bytes, output_work, spectral_work

SIGNALS: dict[int, dict[int, tuple[int, ...]]] = {
    1: {
        3: (128, 1024, 4096, 65536),
        9: (128, 1024, 4096, 65536),
        31: (128, 1024, 4096, 65536),
        101: (128, 1024, 4096),
        301: (128, 1024, 4096),
    },
    2: {3: (16, 32, 256), 5: (16, 32, 128), 7: (16, 48, 128), 11: (16, 32, 64), 17: (16, 32, 64)},
    3: {3: (16, 32), 5: (16, 24), 9: (16, 20), 17: (12, 16)},
}
"""Signal sizes per number of axes and kernel size; no output beyond 32 MB, which the system would clear anew."""
CHANNELS = {"dense": 24, "depthwise": 64}
BATCHES = {1: 16, 2: 16, 3: 4}
LARGE = 2**13
"""Samples of a signal beyond which one signal says enough."""
LAYOUTS = ("contiguous", "converted", "channels_last")
"""As the tensors lie; channels last for the time of the convolution only; as they lie, channels last."""


def reference(kind: str, axes: int, kernel: int, signal: int, batch: int = 1) -> ConvProblem:
    """One of the convolutions that are timed, of "same" padding."""
    width, sides = CHANNELS[kind], ((kernel - 1) // 2, kernel // 2)
    return ConvProblem(
        batch,
        width,
        width,
        (signal,) * axes,
        (kernel,) * axes,
        padding=(sides,) * axes,
        groups=width if kind == "depthwise" else 1,
    )


def references(*, quick: bool = False) -> Iterator[ConvProblem]:
    """All of them, in the contiguous layout; large signals one at a time only. ``quick``: one per kernel and kind."""
    for axes, kernels in SIGNALS.items():
        for kernel, kind in itertools.product(kernels, CHANNELS):
            if quick:
                yield reference(kind, axes, kernel, kernels[kernel][1])
                continue
            for signal in kernels[kernel]:
                for batch in (1,) if signal**axes > LARGE else (1, BATCHES[axes]):
                    yield reference(kind, axes, kernel, signal, batch)


def case_of(problem: ConvProblem, plan: PassPlan, name: str) -> str:
    """Direct convolutions of one case are alike: number of axes, pass, layout, kernel size and the like."""
    axes, kind = len(problem.signal), "depthwise" if problem.depthwise else "dense"
    size = math.prod(problem.kernel) ** (1 / axes)
    nearest = min(SIGNALS[axes], key=lambda one: abs(math.log(one / size)))
    layout = "channels_last" if problem.channels_last else "converted" if plan.channels_last else "contiguous"
    batch = "single" if problem.batch == 1 else "batch"  # some run in parallel over the batch only
    return f"direct/{axes}d/{kind}/{name}/{layout}/{batch}/{nearest}"


@functools.cache
def cases() -> dict[str, dict[str, float]]:
    """Per case the names of its constants, one per reference, and the operations of these."""
    found: dict[str, dict[str, float]] = {}
    for problem in references():
        for name, layout in itertools.product(PASSES, LAYOUTS[:1] if len(problem.signal) == 1 else LAYOUTS):
            case = case_of(problem, PassPlan("direct"), name).replace("contiguous", layout)
            found.setdefault(case, {})[f"{case}/{problem.signal[0]}"] = direct_work(problem).flops
    return found


def direct_seconds(case: str, flops: float, constants: Mapping[str, float]) -> float:
    """Interpolated on logarithmic axes; beyond the largest reference in proportion, below the least by the root.

    Small convolutions are mostly calls, so that half the work is not half the time.

    Example:
        >>> case, names = next(iter(cases().items()))
        >>> direct_seconds(case, 2 * max(names.values()), dict.fromkeys(names, 1.0))
        2.0
    """
    points = [(work, constants[name]) for name, work in cases()[case].items()]
    if flops <= points[0][0]:
        return points[0][1] * math.sqrt(flops / points[0][0])
    for (low, least), (high, most) in itertools.pairwise(points):
        if flops <= high:
            share = math.log(flops / low) / math.log(high / low)
            return math.exp((1 - share) * math.log(least) + share * math.log(most))
    return points[-1][1] * flops / points[-1][0]


AMOUNTS = tuple(field.name for field in dataclasses.fields(Work))
SHIPPED = Path(__file__).with_name("costs.json")


@dataclass(frozen=True)
class CostModel:
    """Seconds per unit of :class:`~flexkern.engines.choice.workload.Work`.

    ``constants`` maps names to positive floats: ``matrices/2d/dense/forward/flops`` and its like for spectral engines;
    ``direct/2d/dense/forward/contiguous/batch/5/32`` and its like are whole seconds of
    reference convolutions (:func:`references`); ``memory/fresh`` is per byte that the system clears.
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
