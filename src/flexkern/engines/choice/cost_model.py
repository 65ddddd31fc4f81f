"""The estimated time of a pass.

For spectral engines it is amounts of work times the seconds per unit that were measured. Torch's library has separate
code for many direct convolutions, so their time cannot be computed from their work. ``flexkern tune`` times reference
convolutions, and any other direct convolution is interpolated between the references of its case.
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

AMOUNTS = tuple(field.name for field in dataclasses.fields(Work))
SHIPPED = Path(__file__).with_name("costs.json")
SIGNALS: dict[int, dict[int, tuple[int, ...]]] = {
    1: {
        3: (128, 1024, 4096, 65536),
        9: (128, 1024, 4096, 65536),
        31: (128, 1024, 4096, 65536),
        101: (128, 1024, 4096),
        301: (128, 1024, 4096),
    },
    2: {
        3: (16, 32, 256),
        5: (16, 32, 128),
        7: (16, 48, 128),
        11: (16, 32, 64),
        17: (16, 32, 64),
    },
    3: {
        3: (16, 32),
        5: (16, 24),
        9: (16, 20),
        17: (12, 16),
    },
}
"""Signal sizes per number of axes and kernel size; no output exceeds 32 MB, which the system would clear each time."""
CHANNELS = {"dense": 24, "depthwise": 64}
BATCHES = {1: 16, 2: 16, 3: 4}
"""Batch size by number of axes, besides a batch of one."""
LARGE = 2**13
"""Samples of a signal beyond which a batch of one is measured only."""
LAYOUTS = ("contiguous", "converted", "channels_last")
"""Layouts of direct convolution: contiguous, converted to channels last for the convolution only, channels last."""


@dataclass(frozen=True)
class CostModel:
    """Seconds per unit of :class:`~flexkern.engines.choice.workload.Work`.

    ``constants`` maps names to positive floats. Names such as ``matrices/2d/dense/forward/flops`` belong to spectral
    engines. Names such as ``direct/2d/dense/forward/contiguous/batch/5/32`` are the seconds of reference convolutions
    (:func:`references`). ``memory/fresh`` is per byte that the system clears.
    """

    constants: Mapping[str, float]
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, value in self.constants.items():
            if not isinstance(value, float) or not 0 < value < math.inf:
                raise ValueError(f"constant {name} must be a positive number, got {value!r}.")
        items = sorted(self.constants.items())
        read_only = MappingProxyType(dict(self.constants))
        object.__setattr__(self, "constants", read_only)
        object.__setattr__(self, "_hash", hash(tuple(items)))

    def __hash__(self) -> int:
        return self._hash  # computed once, because it is part of the key of every cached plan

    @staticmethod
    @functools.cache
    def shipped() -> "CostModel":
        """Return the constants that come with the package, measured on two cores of an AMD EPYC."""
        content = json.loads(SHIPPED.read_text())
        return CostModel(content["constants"])

    def seconds(
        self,
        problem: ConvProblem,
        plan: PassPlan,
        name: str,
    ) -> float:
        """Return the estimated time of the pass ``name``."""
        fresh_seconds = self.constants["memory/fresh"] * fresh_bytes(problem, plan, name)
        return fresh_seconds + self.price(family_of(problem, plan, name), work_of(problem, plan, name))

    def shared_seconds(
        self,
        problem: ConvProblem,
        plan: PassPlan,
    ) -> float:
        """Return what both gradients save if they follow one plan: a transform of the output gradient."""
        if plan.engine == "direct":
            return 0.0
        return self.price(family_of(problem, plan, "input_gradient"), output_work(problem, plan))

    def price(self, family: str, work: Work) -> float:
        """Return the seconds for work of a family."""
        if family.startswith("direct"):
            return direct_seconds(family, work.flops, self.constants)
        seconds = 0.0
        for amount in AMOUNTS:
            seconds += getattr(work, amount) * self.constants[f"{family}/{amount}"]
        return seconds

    @property
    def autograd_seconds(self) -> float:
        """What our autograd function takes more than torch's, forward and backward."""
        return self.constants["autograd/calls"]


def work_of(problem: ConvProblem, plan: PassPlan, name: str) -> Work:
    """Return the amount of work of a pass."""
    if plan.engine == "direct":
        return direct_work(problem)
    return spectral_work(problem, plan, name)


def family_of(problem: ConvProblem, plan: PassPlan, name: str) -> str:
    """Return the family of a pass, whose members share constants; memory access patterns differ per axis and pass."""
    if plan.engine == "direct":
        return case_of(problem, plan, name)
    algorithm = "matrices" if plan.matrices else "library"
    kind = "depthwise" if problem.depthwise else "dense"
    return f"{algorithm}/{len(problem.signal)}d/{kind}/{name}"


def constant_names() -> list[str]:
    """Return the names of all constants of a cost model."""
    names = ["autograd/calls", "memory/fresh"]
    axes = [f"{count}d" for count in SIGNALS]
    for family in itertools.product(
        ("matrices", "library"),
        axes,
        CHANNELS,
        PASSES,
        AMOUNTS,
    ):
        names.append("/".join(family))
    for case in cases().values():
        names += case
    return names


def reference(
    kind: str,
    axes: int,
    kernel: int,
    signal: int,
    batch: int = 1,
) -> ConvProblem:
    """Return one of the convolutions that are timed, with "same" padding."""
    width = CHANNELS[kind]
    sides = ((kernel - 1) // 2, kernel // 2)
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
    """Yield all references in the contiguous layout; ``quick``: one per kernel and kind."""
    for axes, signals_per_kernel in SIGNALS.items():
        for kernel, kind in itertools.product(signals_per_kernel, CHANNELS):
            signals = signals_per_kernel[kernel]
            if quick:
                yield reference(kind, axes, kernel, signals[1])
                continue
            for signal in signals:
                yield reference(kind, axes, kernel, signal)
                if signal**axes <= LARGE:
                    yield reference(kind, axes, kernel, signal, BATCHES[axes])


def case_of(problem: ConvProblem, plan: PassPlan, name: str) -> str:
    """Return the case of a direct convolution; the time of one case is a smooth function of the work."""
    axes = len(problem.signal)
    kind = "depthwise" if problem.depthwise else "dense"
    layout = "contiguous"
    if problem.channels_last:
        layout = "channels_last"
    elif plan.channels_last:
        layout = "converted"
    batch = "single" if problem.batch == 1 else "batch"  # some code runs in parallel over the batch only
    return f"direct/{axes}d/{kind}/{name}/{layout}/{batch}/{_nearest_kernel(problem)}"


def _nearest_kernel(problem: ConvProblem) -> int:
    """Return the kernel size of the references that is nearest in proportion."""
    axes = len(problem.signal)
    taps = math.prod(problem.kernel)
    size = taps ** (1 / axes)
    return min(SIGNALS[axes], key=lambda kernel: abs(math.log(kernel / size)))


@functools.cache
def cases() -> dict[str, dict[str, float]]:
    """Return per case the names of its constants, one per reference, and the operations of these."""
    flops_per_case: dict[str, dict[str, float]] = {}
    for problem in references():
        layouts = LAYOUTS[:1] if len(problem.signal) == 1 else LAYOUTS
        for name, layout in itertools.product(PASSES, layouts):
            contiguous_case = case_of(problem, PassPlan("direct"), name)
            case = contiguous_case.replace("contiguous", layout)
            constant = f"{case}/{problem.signal[0]}"
            flops = flops_per_case.setdefault(case, {})
            flops[constant] = direct_work(problem).flops
    return flops_per_case


def direct_seconds(
    case: str,
    flops: float,
    constants: Mapping[str, float],
) -> float:
    """Interpolate the time of a direct convolution between references, on logarithmic axes.

    Beyond the largest reference, time is proportional to the work. Below the smallest it grows with the root of the
    work, because small convolutions are mostly overhead.

    Example:
        >>> case, flops = next(iter(cases().items()))
        >>> direct_seconds(case, 2 * max(flops.values()), dict.fromkeys(flops, 1.0))
        2.0
    """
    points = [(work, constants[name]) for name, work in cases()[case].items()]
    least_work, least_seconds = points[0]
    if flops <= least_work:
        return least_seconds * math.sqrt(flops / least_work)
    for (low, low_seconds), (high, high_seconds) in itertools.pairwise(points):
        if flops <= high:
            share = math.log(flops / low) / math.log(high / low)
            low_logarithm = math.log(low_seconds)
            high_logarithm = math.log(high_seconds)
            return math.exp((1 - share) * low_logarithm + share * high_logarithm)
    most_work, most_seconds = points[-1]
    return most_seconds * flops / most_work
