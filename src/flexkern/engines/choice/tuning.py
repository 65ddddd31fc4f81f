"""Measuring the constants of the cost model: a few hundred convolutions, every candidate plan timed."""

import dataclasses
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import direct
from ..autograd import Convolution
from ..plan import PASSES, ConvProblem, PassPlan, Plan
from ..spectral import passes
from .candidates import ENGINES, candidates
from .cost_model import AMOUNTS, CostModel, cases, constant_names, family_of, references, work_of
from .workload import KEPT_BYTES, Work

LEAST = 1e-16
"""A constant that cannot be told from zero; zero would make some work free."""


class Sample(NamedTuple):
    """One timed pass, of a signal of ``size`` samples along its first axis."""

    family: str
    work: Work
    seconds: float
    size: int


def problems(*, quick: bool = False) -> Iterator[ConvProblem]:
    """Convolutions of the sizes at which engines are near each other, dense and depthwise, in both layouts."""
    yield ConvProblem(1, 4, 4, (64,), (3,), padding=((1, 1),))  # where calls are all that counts
    yield ConvProblem(1, 4, 4, (12, 12), (5, 5), padding=((2, 2),) * 2)
    for problem in references(quick=quick):
        for channels_last in (False, True)[: len(problem.signal)]:
            yield dataclasses.replace(problem, channels_last=channels_last)


def measure(problem: ConvProblem, budget: float) -> Iterator[Sample]:
    """Times every candidate of every pass, each for about ``budget`` seconds; the least time counts.

    Inputs that lie channels last are measured for direct convolution only: to the others they are a copy.
    """
    input = torch.randn(problem.batch, problem.in_channels, *problem.signal)
    weight = torch.randn(problem.out_channels, problem.in_channels // problem.groups, *problem.kernel)
    gradient = torch.randn(problem.batch, problem.out_channels, *problem.output_size)
    if problem.channels_last:
        input, gradient = (
            one.contiguous(memory_format=direct.CHANNELS_LAST[one.dim() - 2]) for one in (input, gradient)
        )
    for name in PASSES:
        for engine in ENGINES[:1] if problem.channels_last else ENGINES:
            for plan in candidates(problem, engine):
                seconds = least_seconds(_runner(problem, plan, name, (input, weight, gradient)), budget)
                yield Sample(family_of(problem, plan, name), work_of(problem, plan, name), seconds, problem.signal[0])


def _runner(
    problem: ConvProblem, plan: PassPlan, name: str, tensors: tuple[Tensor, Tensor, Tensor]
) -> Callable[[], object]:
    input, weight, gradient = tensors
    engine = direct if plan.engine == "direct" else passes
    if name == PASSES[0]:
        return lambda: engine.forward(input, weight, problem, plan)
    needs = (name == PASSES[1], name == PASSES[2])
    return lambda: engine.gradients(input, weight, gradient, problem, plan, needs)


def measure_autograd() -> Iterator[Sample]:
    """What it costs that our passes are differentiated by a function in Python."""
    problem = ConvProblem(1, 4, 4, (64,), (3,), padding=((1, 1),))
    x, weight = torch.randn(1, 4, 64, requires_grad=True), torch.randn(4, 4, 3, requires_grad=True)
    gradient, step = torch.randn(1, 4, 64), PassPlan("direct")
    plan = Plan(problem, step, step, step)
    ours = least_seconds(
        lambda: torch.autograd.grad(Convolution.apply(plan, x, None, weight), (x, weight), gradient), 0.02, grad=True
    )
    plain = least_seconds(
        lambda: torch.autograd.grad(F.conv1d(x, weight, padding=1), (x, weight), gradient), 0.02, grad=True
    )
    yield Sample("autograd", Work(), ours, 1)
    yield Sample("autograd", Work(), plain, 1)


def measure_memory() -> Iterator[Sample]:
    """What it costs to write to memory that the system has to clear first, and to memory at hand."""
    size = 2 * KEPT_BYTES
    kept = torch.empty(size, dtype=torch.uint8)
    for call in (lambda: torch.empty(size, dtype=torch.uint8).zero_(), kept.zero_):
        yield Sample("memory", Work(bytes=size), least_seconds(call, 0.2), 1)


def least_seconds(call: Callable[[], object], budget: float, *, grad: bool = False) -> float:
    """The least time of a call: what it takes when nothing else disturbs it, from caches that hold something else."""
    others = torch.empty(2**21)
    _warm_allocator()
    with torch.set_grad_enabled(grad):
        best = _seconds(call, others)
        began, best = time.perf_counter(), best if best > 20 * budget else math.inf  # warmed up, if that matters
        while best == math.inf or time.perf_counter() - began < budget:
            best = min(best, _seconds(call, others))
    return best


def _warm_allocator() -> None:
    """Make the allocator keep what is freed, as it does in a training run."""
    # Once a block of nearly 32 MB was freed, glibc keeps all smaller ones; else the system clears outputs every call.
    torch.empty(2**25 - 2**16, dtype=torch.uint8)


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
    ours, plain = (one.seconds for one in families.pop("autograd"))
    constants["autograd/calls"] = max(ours - plain, LEAST)
    fresh, kept = families.pop("memory")
    constants["memory/fresh"] = max((fresh.seconds - kept.seconds) / fresh.work.bytes, LEAST)
    for family, group in families.items():
        if not family.startswith("direct"):
            rates = _robust_fit(
                [[getattr(one.work, amount) for amount in AMOUNTS] for one in group], [one.seconds for one in group]
            )
            constants |= {f"{family}/{amount}": rate for amount, rate in zip(AMOUNTS, rates, strict=True)}
    calls = [family + "/calls" for family in families if not family.startswith("direct")]
    least_call = min((constants[name] for name in calls if constants[name] > LEAST), default=LEAST)
    constants |= {name: max(constants[name], least_call) for name in calls}  # no call is free
    references = {f"{one.family}/{one.size}": one.seconds for one in samples if one.family.startswith("direct")}
    constants |= {name: seconds for name, seconds in references.items() if name in constants}
    return CostModel(constants | _missing(constants))


def _missing(constants: dict[str, float]) -> dict[str, float]:
    """A quick run measures few references: the others in proportion to the one of the same kernel size."""
    found = {}
    for case, names in cases().items():
        alike = cases()[case.replace("/batch/", "/single/")]
        known = [name for name in (*names, *alike) if constants[name] > LEAST]
        for name, flops in names.items():
            if constants[name] == LEAST and known:
                found[name] = constants[known[0]] * flops / (names | alike)[known[0]]
    return found


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
    """Measures this machine twice over and takes the lesser times: about ten minutes, ``quick`` half of one."""
    chosen, rounds = list(problems(quick=quick)), 1 if quick else 2
    measured: list[list[Sample]] = []
    for round_ in range(rounds):
        samples = [*measure_autograd(), *measure_memory()]
        for number, problem in enumerate(chosen, 1):
            progress(f"{round_ * len(chosen) + number}/{rounds * len(chosen)}")
            samples += measure(problem, 0.002 if quick else 0.015)
        measured.append(samples)
    least = [min(same, key=lambda sample: sample.seconds) for same in zip(*measured, strict=True)]
    return fit(least), least
