"""Which engine each pass of a convolution gets: the cheapest by the cost model of this machine."""

import dataclasses
import functools
import operator
from typing import Any

import torch

from ..._support.tracing import compiling
from ..plan import PASSES, ConvProblem, PassPlan, Plan
from .candidates import ENGINES, candidates, longest
from .cost_model import CostModel
from .machine import load_costs

TRACED_BATCH = 16
"""Batch that compiled code is planned for."""


def plan_conv(problem: ConvProblem, engine: str = "auto") -> Plan:
    """The plan for a convolution; ``engine`` forces one, "auto" takes for each pass the one with the lowest estimate.

    Estimates are those of the CPU that ``flexkern tune`` measured; on an accelerator they are no more than a guess,
    and ``engine`` decides better.

    Raises:
        ValueError: for an engine that does not exist, or a kernel that does not fit the padded signal.

    Example:
        >>> plan_conv(ConvProblem(64, 24, 24, (32, 32), (17, 17), padding=((8, 8),) * 2)).engine
        'dft'
    """
    if not compiling():
        return _cached_plan(problem, engine, load_costs())
    p, signal = problem, tuple(operator.index(n) for n in problem.signal)  # compiled code serves one size of signal
    return _traced_plan(
        p.in_channels, p.out_channels, signal, p.kernel, p.stride, p.padding, p.dilation, p.groups, p.features, engine
    )


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _traced_plan(*sizes: Any) -> Plan:
    """The plan that compiled code follows: one for all batches and contiguous inputs, as it may be compiled for any."""
    *problem, engine = sizes
    # Torch's own convolution alone stays visible: a compiler finds its layout, an exporter has an operator for it.
    return _cached_plan(ConvProblem(TRACED_BATCH, *problem), engine, load_costs()).plain()


def make_plan(problem: ConvProblem, engine: str = "auto", costs: CostModel | None = None) -> Plan:
    """As :func:`plan_conv`, for a given cost model."""
    check_engine(engine)
    if min(problem.output_size) <= 0:
        raise ValueError(
            f"the kernel spans {problem.extent} samples but the padded signal only "
            f"{tuple(n + sum(p) for n, p in zip(problem.signal, problem.padding, strict=True))}; "
            "add `padding` or lower `kernel_size`."
        )
    costs = costs or load_costs()
    chosen: dict[str, PassPlan] = {}
    estimates: dict[str, dict[str, float]] = {}
    for name in PASSES:
        best = [_best(problem, costs, name, each) for each in (ENGINES if engine == "auto" else (engine,))]
        found = [plan for plan in best if plan is not None]
        if not found:
            raise ValueError(
                f"`engine={engine!r}` transforms at most {longest(len(problem.signal))} samples of an axis, this "
                f"convolution has {problem.minimum_lengths}; use 'fft' or 'overlap_save'."
            )
        chosen[name] = min(found, key=lambda plan: plan.seconds)
        estimates[name] = {plan.engine: plan.seconds for plan in found}
    chosen |= _shared_gradients(problem, costs, chosen)
    if engine == "auto":
        chosen = _by_torch_alone(problem, costs, chosen)
    return Plan(problem, **chosen, estimates=estimates)


def _by_torch_alone(problem: ConvProblem, costs: CostModel, chosen: dict[str, PassPlan]) -> dict[str, PassPlan]:
    """All passes by torch's own convolution where ours would not save the time of an autograd function."""
    layout = PassPlan("direct", channels_last=problem.channels_last)
    if chosen[PASSES[0]] != layout:
        return chosen  # it is better, and without gradients there is no autograd function
    plain = {name: dataclasses.replace(layout, seconds=costs.seconds(problem, layout, name)) for name in PASSES}
    ours, torchs = (sum(plan.seconds for plan in plans.values()) for plans in (chosen, plain))
    if chosen[PASSES[1]] == chosen[PASSES[2]]:
        ours -= costs.shared_seconds(problem, chosen[PASSES[1]])
    return plain if torchs <= ours + costs.autograd_seconds else chosen


def _shared_gradients(problem: ConvProblem, costs: CostModel, chosen: dict[str, PassPlan]) -> dict[str, PassPlan]:
    """Both gradients by one plan where that is cheaper: they share the spectra of the output's gradient."""
    names = PASSES[1:]
    apart = sum(chosen[name].seconds for name in names)
    for one in [chosen[name] for name in PASSES]:
        both = {name: dataclasses.replace(one, seconds=costs.seconds(problem, one, name)) for name in names}
        together = sum(plan.seconds for plan in both.values()) - costs.shared_seconds(problem, one)
        if together < apart:
            chosen, apart = both, together
    return {name: chosen[name] for name in names}


def _best(problem: ConvProblem, costs: CostModel, name: str, engine: str) -> PassPlan | None:
    """The cheapest plan of one engine for one pass; none for axes too long for matrices."""
    priced = (
        dataclasses.replace(plan, seconds=costs.seconds(problem, plan, name)) for plan in candidates(problem, engine)
    )
    return min(priced, key=lambda plan: plan.seconds, default=None)


_cached_plan = functools.lru_cache(maxsize=4096)(make_plan)


def check_engine(engine: str) -> str:
    """``engine`` if it exists; otherwise a ValueError that lists the engines."""
    known = ("auto", *ENGINES)
    if engine not in known:
        raise ValueError(f"`engine` must be one of {', '.join(known)}, got {engine!r}.")
    return engine
