"""Measuring the constants of the cost model: a few dozen convolutions, every candidate plan timed."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from . import direct, passes
from .candidates import ENGINES, candidates
from .costs import AMOUNTS, CostModel, constant_names, family_of, work_of
from .plan import PASSES, ConvProblem, PassPlan
from .work import Work

LEAST = 1e-16
"""A constant that cannot be told from zero; zero would make some work free."""


class Sample(NamedTuple):
    """One timed pass."""

    family: str
    work: Work
    seconds: float


def problems(*, quick: bool = False) -> Iterator[ConvProblem]:
    """Convolutions of the sizes at which engines are near each other, dense and depthwise."""
    sizes = {
        1: [(1024, 3), (1024, 9), (2048, 31), (8192, 101), (8192, 301)],
        2: [(32, 3), (32, 5), (48, 7), (32, 11), (64, 17)],
        3: [(16, 3), (20, 5), (16, 9)],
    }
    yield ConvProblem(1, 4, 4, (64,), (3,), padding=((1, 1),))  # where calls are all that counts
    yield ConvProblem(1, 4, 4, (12, 12), (5, 5), padding=((2, 2),) * 2)
    for axes, pairs in sizes.items():
        for n, k in pairs:
            for channels, groups in ((24, 1), (64, 64)):
                for batch in (1,) if quick else (1, 16 if axes < 3 else 4):
                    sides = ((k - 1) // 2, k // 2)
                    yield ConvProblem(
                        batch, channels, channels, (n,) * axes, (k,) * axes, padding=(sides,) * axes, groups=groups
                    )


def measure(problem: ConvProblem, budget: float) -> Iterator[Sample]:
    """Times every candidate of every pass, each for about ``budget`` seconds; the least time counts."""
    input = torch.randn(problem.batch, problem.in_channels, *problem.signal)
    weight = torch.randn(problem.out_channels, problem.in_channels // problem.groups, *problem.kernel)
    gradient = torch.randn(problem.batch, problem.out_channels, *problem.output_size)
    for name in PASSES:
        for engine in ENGINES:
            for plan in candidates(problem, engine):
                seconds = least_seconds(_runner(problem, plan, name, (input, weight, gradient)), budget)
                yield Sample(family_of(problem, plan, name), work_of(problem, plan, name), seconds)


def _runner(
    problem: ConvProblem, plan: PassPlan, name: str, tensors: tuple[Tensor, Tensor, Tensor]
) -> Callable[[], object]:
    input, weight, gradient = tensors
    engine = direct if plan.engine == "direct" else passes
    if name == PASSES[0]:
        return lambda: engine.forward(input, weight, problem, plan)
    needs = (name == PASSES[1], name == PASSES[2])
    return lambda: engine.gradients(input, weight, gradient, problem, plan, needs)


def least_seconds(call: Callable[[], object], budget: float) -> float:
    """The least time of a call: what it takes when nothing else disturbs it, from caches that hold something else."""
    others = torch.empty(2**21)
    with torch.no_grad():
        best = _seconds(call, others)
        began, best = time.perf_counter(), best if best > 20 * budget else math.inf  # warmed up, if that matters
        while best == math.inf or time.perf_counter() - began < budget:
            best = min(best, _seconds(call, others))
    return best


def _seconds(call: Callable[[], object], others: Tensor) -> float:
    others.zero_()  # in a network, other layers ran in between
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def fit(samples: list[Sample]) -> CostModel:
    """Constants that predict the samples best, by relative error."""
    constants = dict.fromkeys(constant_names(), LEAST)
    families = defaultdict(list)
    for sample in samples:
        families[sample.family].append(sample)
    for family, group in families.items():
        if not family.startswith("direct"):
            rates = _robust_fit(
                [[getattr(one.work, amount) for amount in AMOUNTS] for one in group], [one.seconds for one in group]
            )
            constants |= {f"{family}/{amount}": rate for amount, rate in zip(AMOUNTS, rates, strict=True)}
    calls = [family + "/calls" for family in families if not family.startswith("direct")]
    least_call = min((constants[name] for name in calls if constants[name] > LEAST), default=LEAST)
    constants |= {name: max(constants[name], least_call) for name in calls}  # no call is free
    plain = [one for one in samples if one.family.startswith("direct") and "dense/forward/contiguous" in one.family]
    rates = _robust_fit([[one.work.flops, one.work.bytes, 1.0] for one in plain], [one.seconds for one in plain])
    constants |= {"direct/bytes": rates[1], "direct/calls": rates[2]}
    for family, group in families.items():
        if family.startswith("direct"):
            constants[family] = _direct_rate(group, rates[1], rates[2])
    for name, rate in constants.items():
        if rate == LEAST and name.startswith("direct") and "/batch/" in name:  # a quick run measures single signals
            constants[name] = constants[name.replace("/batch/", "/single/")]
    return CostModel(constants)


def _direct_rate(group: list[Sample], byte: float, call: float) -> float:
    """Seconds per operation beyond those for bytes and the call, from the longest of the samples."""
    one = max(group, key=lambda sample: sample.seconds)
    return max(one.seconds - one.work.bytes * byte - call, one.seconds / 4) / one.work.flops


def _robust_fit(rows: list[list[float]], seconds: list[float]) -> list[float]:
    """Rates ``r >= 0`` for which ``rows r / seconds`` is near 1; samples far off, which were disturbed, count less."""
    matrix = torch.tensor(rows, dtype=torch.float64) / torch.tensor(seconds, dtype=torch.float64)[:, None]
    scale = matrix.abs().amax(0).clamp_min(1e-300)
    matrix, weights = matrix / scale, torch.ones(len(rows), 1, dtype=torch.float64)
    for _ in range(20):
        rates = _nonnegative_fit(matrix * weights, weights)
        misfit = (matrix @ rates).clamp_min(1e-3).log().abs()
        weights = misfit.clamp_min(0.1).reciprocal().sqrt()
    return [max(float(rate), LEAST) for rate in rates[:, 0] / scale]


def _nonnegative_fit(matrix: Tensor, target: Tensor) -> Tensor:
    """Least squares in which columns that come out negative are dropped, the most negative first."""
    kept = [column for column in range(matrix.shape[1]) if matrix[:, column].any()]
    rates = torch.zeros(matrix.shape[1], 1, dtype=matrix.dtype)
    while True:
        found = torch.linalg.lstsq(matrix[:, kept], target, driver="gelsd").solution
        if bool((found >= 0).all()) or len(kept) == 1:
            rates[kept] = found.clamp_min(0)
            return rates
        kept.pop(int(found.argmin()))


def tune(*, quick: bool = False, progress: Callable[[str], None] = lambda text: None) -> tuple[CostModel, list[Sample]]:
    """Measures this machine twice over and takes the lesser times: some minutes, ``quick`` a quarter of one."""
    chosen, rounds = list(problems(quick=quick)), 1 if quick else 2
    measured: list[list[Sample]] = []
    for round_ in range(rounds):
        samples: list[Sample] = []
        for number, problem in enumerate(chosen, 1):
            progress(f"{round_ * len(chosen) + number}/{rounds * len(chosen)}")
            samples += measure(problem, 0.002 if quick else 0.015)
        measured.append(samples)
    least = [min(same, key=lambda sample: sample.seconds) for same in zip(*measured, strict=True)]
    return fit(least), least
