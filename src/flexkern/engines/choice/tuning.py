"""Measurement of the cost model's constants: every candidate plan of a few hundred convolutions is timed."""

import dataclasses
import functools
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import direct, spectral
from ..autograd import Convolution
from ..plan import PASSES, ConvProblem, PassPlan, Plan
from .candidates import ENGINES, candidates
from .cost_model import AMOUNTS, CostModel, cases, constant_names, family_of, references, work_of
from .workload import KEPT_BYTES, Work

LEAST = 1e-16
"""A constant that cannot be distinguished from zero; zero would make some work free."""


class Sample(NamedTuple):
    """One timed pass, of a signal of ``size`` samples along its first axis."""

    family: str
    work: Work
    seconds: float
    size: int


def tune(*, quick: bool = False, progress: Callable[[str], None] = lambda text: None) -> tuple[CostModel, list[Sample]]:
    """Measure this machine twice and keep the lower times: about ten minutes, half of one if ``quick``."""
    chosen = list(problems(quick=quick))
    rounds = 1 if quick else 2
    budget = 0.002 if quick else 0.015
    total = rounds * len(chosen)
    measured: list[list[Sample]] = []
    for index in range(rounds):
        samples = [*measure_autograd(), *measure_memory()]
        for number, problem in enumerate(chosen, 1):
            finished = index * len(chosen) + number
            progress(f"{finished}/{total}")
            samples += measure(problem, budget)
        measured.append(samples)
    fastest = []
    for repeats in zip(*measured, strict=True):
        fastest.append(min(repeats, key=_seconds_of))
    return fit(fastest), fastest


def _seconds_of(sample: Sample) -> float:
    return sample.seconds


def problems(*, quick: bool = False) -> Iterator[ConvProblem]:
    """Yield convolutions of sizes at which engines are close, dense and depthwise, in both layouts."""
    # Two for which the number of calls is all that counts.
    yield ConvProblem(1, 4, 4, (64,), (3,), padding=((1, 1),))
    yield ConvProblem(1, 4, 4, (12, 12), (5, 5), padding=((2, 2),) * 2)
    for problem in references(quick=quick):
        yield dataclasses.replace(problem, channels_last=False)
        if len(problem.signal) > 1:
            yield dataclasses.replace(problem, channels_last=True)


def measure(problem: ConvProblem, budget: float) -> Iterator[Sample]:
    """Time every candidate of every pass for about ``budget`` seconds each and keep the lowest time.

    Inputs that are channels last are measured for direct convolution only: the other engines copy them.
    """
    input = torch.randn(problem.batch, problem.in_channels, *problem.signal)
    channels_read = problem.in_channels // problem.groups
    weight = torch.randn(problem.out_channels, channels_read, *problem.kernel)
    gradient = torch.randn(problem.batch, problem.out_channels, *problem.output_size)
    engines: tuple[str, ...] = ENGINES
    if problem.channels_last:
        layout = direct.CHANNELS_LAST[len(problem.signal)]
        input = input.contiguous(memory_format=layout)
        gradient = gradient.contiguous(memory_format=layout)
        engines = ENGINES[:1]
    tensors = (input, weight, gradient)
    for name in PASSES:
        for engine in engines:
            for plan in candidates(problem, engine):
                seconds = least_seconds(_runner(problem, plan, name, tensors), budget)
                yield Sample(
                    family_of(problem, plan, name),
                    work_of(problem, plan, name),
                    seconds,
                    problem.signal[0],
                )


def _runner(
    problem: ConvProblem,
    plan: PassPlan,
    name: str,
    tensors: tuple[Tensor, Tensor, Tensor],
) -> Callable[[], object]:
    """Return a call of one pass, for (input, weight, gradient)."""
    input, weight, gradient = tensors
    engine = direct if plan.engine == "direct" else spectral
    if name == "forward":
        return functools.partial(engine.forward, input, weight, problem, plan)
    needs = (name == "input_gradient", name == "weight_gradient")
    return functools.partial(
        engine.gradients,
        input,
        weight,
        gradient,
        problem,
        plan,
        needs,
    )


def measure_autograd() -> Iterator[Sample]:
    """Time a small convolution by our autograd function, and the same by torch's."""
    problem = ConvProblem(1, 4, 4, (64,), (3,), padding=((1, 1),))
    input = torch.randn(1, 4, 64, requires_grad=True)
    weight = torch.randn(4, 4, 3, requires_grad=True)
    gradient = torch.randn(1, 4, 64)
    step = PassPlan("direct")
    plan = Plan(problem, step, step, step)

    def ours() -> object:
        output = Convolution.apply(plan, input, None, weight)
        return torch.autograd.grad(output, (input, weight), gradient)

    def torchs() -> object:
        output = F.conv1d(input, weight, padding=1)
        return torch.autograd.grad(output, (input, weight), gradient)

    for call in (ours, torchs):
        yield Sample("autograd", Work(), least_seconds(call, 0.02, grad=True), 1)


def measure_memory() -> Iterator[Sample]:
    """Time writing to memory that the system has to clear first, and to memory that is in use already."""
    size = 2 * KEPT_BYTES
    used = torch.empty(size, dtype=torch.uint8)

    def write_fresh() -> object:
        return torch.empty(size, dtype=torch.uint8).zero_()

    for call in (write_fresh, used.zero_):
        yield Sample("memory", Work(bytes=size), least_seconds(call, 0.2), 1)


def least_seconds(
    call: Callable[[], object],
    budget: float,
    *,
    grad: bool = False,
) -> float:
    """Return the lowest time of a call, which is its time without disturbance, with cold caches."""
    other_data = torch.empty(2**21)
    _warm_allocator()
    with torch.set_grad_enabled(grad):
        first = _seconds(call, other_data)
        best = math.inf
        if first > 20 * budget:
            best = first  # a call that long needs no warming up
        began = time.perf_counter()
        while best == math.inf or time.perf_counter() - began < budget:
            best = min(best, _seconds(call, other_data))
    return best


def _warm_allocator() -> None:
    """Make the allocator keep what is freed, as it does in a training run."""
    # Once a block of nearly 32 MB was freed, glibc keeps all smaller ones. Until then, the system clears every output.
    torch.empty(2**25 - 2**16, dtype=torch.uint8)


def _seconds(call: Callable[[], object], other_data: Tensor) -> float:
    other_data.zero_()  # in a network, other layers run in between
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def fit(samples: list[Sample]) -> CostModel:
    """Return the constants that predict the samples best, by relative error."""
    constants = dict.fromkeys(constant_names(), LEAST)
    families = defaultdict(list)
    for sample in samples:
        families[sample.family].append(sample)
    ours, torchs = families.pop("autograd")
    autograd_seconds = ours.seconds - torchs.seconds
    constants["autograd/calls"] = max(autograd_seconds, LEAST)
    fresh, used = families.pop("memory")
    clearing_seconds = fresh.seconds - used.seconds
    constants["memory/fresh"] = max(clearing_seconds / fresh.work.bytes, LEAST)
    for family, group in families.items():
        if not family.startswith("direct"):
            constants |= _fit_family(family, group)
            continue
        for sample in group:
            name = f"{family}/{sample.size}"
            if name in constants:
                constants[name] = sample.seconds
    constants |= _raise_calls(constants, families)
    return CostModel(constants | _missing_references(constants))


def _fit_family(family: str, samples: list[Sample]) -> dict[str, float]:
    """Return the constants of one family of a spectral engine."""
    rows = []
    for sample in samples:
        rows.append([getattr(sample.work, amount) for amount in AMOUNTS])
    seconds = [sample.seconds for sample in samples]
    rates = _robust_fit(rows, seconds)
    names = [f"{family}/{amount}" for amount in AMOUNTS]
    return dict(zip(names, rates, strict=True))


def _raise_calls(constants: dict[str, float], families: dict[str, list[Sample]]) -> dict[str, float]:
    """Return the constants of calls, none of them free: those that were fitted as zero are raised to the least."""
    calls = {}
    for family in families:
        if not family.startswith("direct"):
            name = f"{family}/calls"
            calls[name] = constants[name]
    positive = [seconds for seconds in calls.values() if seconds > LEAST]
    least = min(positive, default=LEAST)
    return {name: max(seconds, least) for name, seconds in calls.items()}


def _missing_references(constants: dict[str, float]) -> dict[str, float]:
    """Return constants of references that a quick run skips, in proportion to the one of the same kernel size."""
    missing = {}
    for case, flops_per_name in cases().items():
        single_case = case.replace("/batch/", "/single/")
        flops_of = flops_per_name | cases()[single_case]
        known = [name for name in flops_of if constants[name] > LEAST]
        for name, flops in flops_per_name.items():
            if constants[name] == LEAST and known:
                nearest = known[0]
                missing[name] = constants[nearest] * flops / flops_of[nearest]
    return missing


def _robust_fit(rows: list[list[float]], seconds: list[float]) -> list[float]:
    """Return rates ``r >= 0`` for which ``rows r / seconds`` is near 1.

    Samples that are far off, because something disturbed them, have less weight.
    """
    work = torch.tensor(rows, dtype=torch.float64)
    measured = torch.tensor(seconds, dtype=torch.float64)
    matrix = work / measured[:, None]
    scale = matrix.abs().amax(0).clamp_min(1e-300)
    matrix = matrix / scale
    weights = torch.ones(len(rows), 1, dtype=torch.float64)
    for _ in range(20):
        rates = _nonnegative_fit(matrix * weights, weights)
        predicted = matrix @ rates
        misfit = predicted.clamp_min(1e-3).log().abs()
        weights = misfit.clamp_min(0.1).reciprocal().sqrt()
    unscaled = rates[:, 0] / scale
    return [max(float(rate), LEAST) for rate in unscaled]


def _nonnegative_fit(matrix: Tensor, target: Tensor) -> Tensor:
    """Return a least-squares fit in which columns with negative rates are dropped, the most negative first."""
    count = matrix.shape[1]
    columns = [column for column in range(count) if matrix[:, column].any()]
    rates = torch.zeros(count, 1, dtype=matrix.dtype)
    while True:
        solution = torch.linalg.lstsq(matrix[:, columns], target, driver="gelsd").solution
        nonnegative = bool((solution >= 0).all())
        if nonnegative or len(columns) == 1:
            rates[columns] = solution.clamp_min(0)
            return rates
        most_negative = int(solution.argmin())
        columns.pop(most_negative)
