"""Reference convolutions: direct ones have code of their own for many cases, so their time is looked up, not computed.

``flexkern tune`` times the references; any other direct convolution is interpolated between those of its case.
"""

import functools
import itertools
import math
from collections.abc import Iterator, Mapping

from .plan import PASSES, ConvProblem, PassPlan
from .work import direct_work

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
