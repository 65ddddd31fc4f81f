"""The choice of a plan for each pass of a convolution: the cheapest by the cost model of this machine."""

import dataclasses
import functools
import operator
from typing import Any

import torch

from ..._support.tracing import compiling, constant_when_traced
from ..plan import PASSES, ConvProblem, Padding, PassPlan, Plan
from . import machine
from .candidates import ENGINES, candidates, longest_matrix_axis
from .cost_model import CostModel
from .machine import load_costs

TRACED_BATCH = 16
"""Batch for which compiled code is planned."""
GRADIENTS = PASSES[1:]

Geometry = tuple[tuple[int, ...], Padding, tuple[int, ...], int]
"""Stride, padding, dilation and groups."""


def plan_conv(problem: ConvProblem, engine: str = "auto") -> Plan:
    """Return the plan for a convolution.

    ``engine`` forces an engine; "auto" takes for each pass the one with the lowest estimate. Estimates are those of the
    CPU that ``flexkern tune`` measured. On an accelerator they are no more than a guess, so choose by ``engine``.

    Raises:
        ValueError: for an engine that does not exist, or a kernel that does not fit the padded signal.

    Example:
        >>> plan_conv(ConvProblem(64, 24, 24, (32, 32), (17, 17), padding=((8, 8),) * 2)).engine
        'dft'
    """
    if not compiling():
        return _cached_plan(problem, engine, load_costs())
    signal = tuple(operator.index(length) for length in problem.signal)  # compiled code is for one size of signal
    return _traced_plan(
        problem.in_channels,
        problem.out_channels,
        signal,
        problem.kernel,
        problem.stride,
        problem.padding,
        problem.dilation,
        problem.groups,
        problem.features,
        engine,
    )


def plan_shapes(
    input: tuple[int, ...],
    weight: tuple[int, ...],
    geometry: Geometry,
    features: int = 0,
    *,
    channels_last: bool = False,
    engine: str = "auto",
) -> Plan:
    """Return the plan for the shapes of an input and a weight; plans are cached, as planning may take longer than they.

    ``features`` is the number of features of a factored weight, 0 for a dense one. See :func:`plan_conv`.

    Raises:
        ValueError: for shapes that do not match, and as :func:`plan_conv`.

    Example:
        >>> plan_shapes((8, 3, 32, 32), (16, 3, 5, 5), ((1, 1), ((2, 2), (2, 2)), (1, 1), 1)).problem.output_size
        (32, 32)
    """
    if compiling():
        return _plan_shapes(input, weight, geometry, features, channels_last, engine)
    costs = (torch.get_num_threads(), machine.costs_version)
    return _cached_shapes(input, weight, geometry, features, channels_last, engine, costs)


def _plan_shapes(
    input: tuple[int, ...],
    weight: tuple[int, ...],
    geometry: Geometry,
    features: int,
    channels_last: bool,
    engine: str,
) -> Plan:
    stride, padding, dilation, groups = geometry
    _check_shapes(input, weight, groups)
    problem = ConvProblem(
        input[0],
        input[1],
        weight[0],
        input[2:],
        weight[2:],
        stride,
        padding,
        dilation,
        groups,
        features,
        channels_last,
    )
    return plan_conv(problem, engine)


@functools.lru_cache(maxsize=4096)
def _cached_shapes(*arguments: Any) -> Plan:
    """Return the plan; the last argument names the constants in use."""
    return _plan_shapes(*arguments[:-1])


@constant_when_traced
def _traced_plan(*arguments: Any) -> Plan:
    """Return the plan of compiled code, which serves all batches and contiguous inputs."""
    *sizes, engine = arguments
    # Torch's own convolution stays visible: compilers choose its layout, and exporters have an operator for it.
    return _cached_plan(ConvProblem(TRACED_BATCH, *sizes), engine, load_costs()).plain()


def make_plan(
    problem: ConvProblem,
    engine: str = "auto",
    costs: CostModel | None = None,
) -> Plan:
    """Return the plan by a given cost model; see :func:`plan_conv`."""
    check_engine(engine)
    _check_fit(problem)
    costs = costs or load_costs()
    engines = ENGINES if engine == "auto" else (engine,)
    chosen: dict[str, PassPlan] = {}
    estimates: dict[str, dict[str, float]] = {}
    for name in PASSES:
        plans = _cheapest_per_engine(problem, costs, name, engines)
        if not plans:
            raise ValueError(
                f"`engine={engine!r}` transforms at most {longest_matrix_axis(len(problem.signal))} samples of an "
                f"axis, this convolution has {problem.minimum_lengths}; use 'fft' or 'overlap_save'."
            )
        chosen[name] = min(plans, key=_seconds)
        estimates[name] = {plan.engine: plan.seconds for plan in plans}
    chosen |= _share_gradient_plan(problem, costs, chosen)
    if engine == "auto":
        chosen = _prefer_torch(problem, costs, chosen)
    return Plan(problem, **chosen, estimates=estimates)


_cached_plan = functools.lru_cache(maxsize=4096)(make_plan)


def check_engine(engine: str) -> str:
    """Return ``engine`` if it exists; otherwise raise a ValueError that lists the engines."""
    known = ("auto", *ENGINES)
    if engine not in known:
        raise ValueError(f"`engine` must be one of {', '.join(known)}, got {engine!r}.")
    return engine


def _check_fit(problem: ConvProblem) -> None:
    """Raise a ValueError for a kernel that is longer than the padded signal."""
    if min(problem.output_size) > 0:
        return
    padded = []
    for samples, sides in zip(problem.signal, problem.padding, strict=True):
        padded.append(samples + sum(sides))
    raise ValueError(
        f"the kernel spans {problem.extent} samples but the padded signal only {tuple(padded)}; "
        "add `padding` or lower `kernel_size`."
    )


def _check_shapes(
    input: tuple[int, ...],
    weight: tuple[int, ...],
    groups: int,
) -> None:
    """Raise a ValueError for shapes that do not match."""
    axes = len(weight) - 2
    if axes not in (1, 2, 3) or len(input) != axes + 2:
        raise ValueError(
            "`input` and `weight` must have shapes (B, C, *S) and (O, I, *K) with one to three axes, "
            f"got {input} and {weight}."
        )
    if min(weight[2:]) < 1:
        raise ValueError(f"the kernel must have at least one sample per axis, got `weight` of shape {weight}.")
    if 0 in weight[:2]:
        raise ValueError(f"`weight` must have at least one channel in and out, got shape {weight}.")
    if groups < 1 or weight[0] % groups or input[1] != weight[1] * groups:
        raise ValueError(
            f"`groups` must divide the channels: input {input} and weight {weight} do not fit groups {groups}."
        )


def _seconds(plan: PassPlan) -> float:
    return plan.seconds


def _cheapest_per_engine(
    problem: ConvProblem,
    costs: CostModel,
    name: str,
    engines: tuple[str, ...],
) -> list[PassPlan]:
    """Return the cheapest plan of each engine for one pass; an engine that cannot transform an axis has none."""
    cheapest = []
    for engine in engines:
        priced = []
        for plan in candidates(problem, engine):
            priced.append(dataclasses.replace(plan, seconds=costs.seconds(problem, plan, name)))
        if priced:
            cheapest.append(min(priced, key=_seconds))
    return cheapest


def _share_gradient_plan(
    problem: ConvProblem,
    costs: CostModel,
    chosen: dict[str, PassPlan],
) -> dict[str, PassPlan]:
    """Return the plans of the gradients: one for both where sharing the spectra of the output gradient is cheaper."""
    best = {name: chosen[name] for name in GRADIENTS}
    least_seconds = sum(plan.seconds for plan in best.values())
    for plan in [chosen[name] for name in PASSES]:
        shared = {}
        for name in GRADIENTS:
            shared[name] = dataclasses.replace(plan, seconds=costs.seconds(problem, plan, name))
        seconds = sum(each.seconds for each in shared.values()) - costs.shared_seconds(problem, plan)
        if seconds < least_seconds:
            best = shared
            least_seconds = seconds
    return best


def _prefer_torch(
    problem: ConvProblem,
    costs: CostModel,
    chosen: dict[str, PassPlan],
) -> dict[str, PassPlan]:
    """Return torch's own convolution for all passes where ours would not save the time of an autograd function."""
    plain = PassPlan("direct", channels_last=problem.channels_last)
    if chosen["forward"] != plain:
        return chosen  # it is faster, and without gradients there is no autograd function
    by_torch = {}
    for name in PASSES:
        by_torch[name] = dataclasses.replace(plain, seconds=costs.seconds(problem, plain, name))
    torch_seconds = sum(plan.seconds for plan in by_torch.values())
    our_seconds = sum(plan.seconds for plan in chosen.values())
    if chosen["input_gradient"] == chosen["weight_gradient"]:
        our_seconds -= costs.shared_seconds(problem, chosen["input_gradient"])
    return by_torch if torch_seconds <= our_seconds + costs.autograd_seconds else chosen
