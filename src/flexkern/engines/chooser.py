"""Which engine a convolution gets: the cheaper by an estimate of both."""

import functools
import math

import torch

from .plan import ConvProblem, Plan

# Seconds per elementary operation, forward and backward together, float32 on one core of a server CPU. They only
# decide between engines, so their ratios matter: a dense direct convolution and an FFT break even near 7x7.
SECONDS_PER_MULTIPLICATION = {"dense": 7e-11, "depthwise": 7.5e-10}
SECONDS_PER_BUTTERFLY = 2.0e-9
SECONDS_PER_COMPLEX_PRODUCT = {"dense": 2.5e-9, "depthwise": 5e-9}
SECONDS_PER_CALL = {"direct": 2.0e-5, "fft": 2.0e-4}


def estimate_cost(problem: ConvProblem) -> dict[str, float]:
    """Seconds that each engine is expected to take, from the number of operations.

    Direct: one multiplication per tap. FFT: ``n log2 n`` per transform of signals, outputs and kernels, and
    one complex product per frequency and pair of channels.
    """
    kind = "depthwise" if problem.in_channels == problem.groups else "dense"
    direct = problem.multiplications * SECONDS_PER_MULTIPLICATION[kind]
    points = math.prod(problem.transform)
    pairs = problem.out_channels * problem.in_channels // problem.groups
    signals = problem.batch * (problem.in_channels + problem.out_channels)
    butterflies = (signals + pairs) * points * math.log2(max(points, 2)) / 2
    products = problem.batch * pairs * points / 2
    spectral = butterflies * SECONDS_PER_BUTTERFLY + products * SECONDS_PER_COMPLEX_PRODUCT[kind]
    return {"direct": direct + SECONDS_PER_CALL["direct"], "fft": spectral + SECONDS_PER_CALL["fft"]}


def plan_conv(problem: ConvProblem, engine: str = "auto") -> Plan:
    """The plan for a convolution; ``engine`` forces one, "auto" takes the one with the lower estimate.

    Raises:
        ValueError: for an engine that does not exist, or a kernel that does not fit the padded signal.

    Example:
        >>> plan_conv(ConvProblem(8, 64, 64, (32, 32), (33, 33), padding=((16, 16),) * 2, groups=64)).engine
        'fft'
    """
    # A compiler traces the plan once anyway, and cannot look into the cache.
    return _make_plan(problem, engine) if torch.compiler.is_compiling() else _cached_plan(problem, engine)


def _make_plan(problem: ConvProblem, engine: str) -> Plan:
    check_engine(engine)
    if min(problem.output_size) <= 0:
        raise ValueError(
            f"the kernel spans {problem.extent} samples but the padded signal only "
            f"{tuple(n + sum(p) for n, p in zip(problem.signal, problem.padding, strict=True))}; "
            "add `padding` or lower `kernel_size`."
        )
    estimates = estimate_cost(problem)
    chosen = min(estimates, key=lambda name: estimates[name]) if engine == "auto" else engine
    return Plan(chosen, problem, problem.transform if chosen == "fft" else (), estimates)


_cached_plan = functools.lru_cache(maxsize=4096)(_make_plan)


def check_engine(engine: str) -> str:
    """``engine`` if it exists; otherwise a ValueError that lists the engines."""
    known = ("auto", *SECONDS_PER_CALL)
    if engine not in known:
        raise ValueError(f"`engine` must be one of {', '.join(known)}, got {engine!r}.")
    return engine
