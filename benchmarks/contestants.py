"""The contestants: our engines, torch, the authors' algorithm and other libraries, all behind one call."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from flexkern._support.axes import CONVOLUTIONS
from flexkern._support.nearest import did_you_mean
from flexkern.engines import ENGINES, ConvProblem, convolve, plan_conv

from . import authors, peers
from .problems import Point
from .reference import direct_convolution

Convolve = Callable[[Tensor, Tensor], Tensor]

DENSE_LIMIT, DEPTHWISE_LIMIT = 6e10, 5e9
"""Multiplications of direct convolution, all passes together, that take a few seconds on two cores. Depthwise
gradients run at a tenth of the speed."""
SLOW_SECONDS, SLOW_RATIO = 0.5, 5.0
"""A forced engine is left out if its estimate exceeds both this time and this multiple of the best estimate."""


@dataclass(frozen=True)
class Contestant:
    """One way to convolve.

    Attributes:
        make: returns the call for a problem; raises ImportError where a package is missing.
        refuse: returns why the contestant cannot, or should not, take a point; None if it can.
        ours: whether it is an engine of this library.
        channels_last: whether all tensors are in that memory format, as in a network.
        flipped: whether it convolves in the mathematical sense, so that its kernel is passed reversed.
    """

    name: str
    make: Callable[[ConvProblem], Convolve]
    refuse: Callable[[Point], str | None]
    ours: bool = False
    channels_last: bool = False
    flipped: bool = False


def direct_is_slow(point: Point) -> str | None:
    """Return a reason to leave direct convolution out, or None."""
    work = point.problem.multiplications * point.passes
    limit = DEPTHWISE_LIMIT if point.problem.depthwise and point.backward else DENSE_LIMIT
    return f"too slow: {work:.1e} multiplications" if work > limit else None


def engine_is_slow(name: str, point: Point) -> str | None:
    """Return a reason to leave one of our engines out, or None; the chosen engine always runs."""
    if name in ("auto", "direct"):
        return direct_is_slow(point) if name == "direct" else None
    try:
        best = _estimate(point, "auto")
        forced = _estimate(point, name)
    except ValueError as error:  # an engine may have no plan for a problem
        return str(error)
    return f"too slow: estimated {forced:.1f} s" if forced > max(SLOW_SECONDS, SLOW_RATIO * best) else None


def _estimate(point: Point, engine: str) -> float:
    passes = plan_conv(point.problem, engine).passes[: point.passes]
    return sum(step.seconds for step in passes)


def layout_is_the_same(point: Point) -> str | None:
    """Return why channels_last is left out: there is nothing to compare the chosen engine with."""
    return "one axis has no channels_last layout" if len(point.problem.signal) == 1 else direct_is_slow(point)


def _engine(name: str) -> Contestant:
    return Contestant(name, functools.partial(_ours, name), functools.partial(engine_is_slow, name), ours=True)


def _ours(name: str, problem: ConvProblem) -> Convolve:
    return functools.partial(convolve, padding=problem.padding, groups=problem.groups, engine=name)


def _torch(problem: ConvProblem) -> Convolve:
    if any(left != right for left, right in problem.padding):
        return functools.partial(direct_convolution, problem=problem)
    call = CONVOLUTIONS[len(problem.signal)]
    return functools.partial(call, padding=[left for left, _ in problem.padding], groups=problem.groups)


CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        *(_engine(name) for name in ("auto", *ENGINES)),
        Contestant(
            "auto-channels-last", functools.partial(_ours, "auto"), layout_is_the_same, ours=True, channels_last=True
        ),
        Contestant("torch", _torch, direct_is_slow),
        Contestant("torch-channels-last", _torch, layout_is_the_same, channels_last=True),
        Contestant("authors", authors.convolution, authors.refuse),
        Contestant("fft-conv-pytorch", peers.fft_conv_pytorch, peers.refuse_products),
        Contestant("torch-fftconv", peers.torch_fftconv, peers.refuse_products),
        Contestant("julius", peers.julius, peers.refuse_julius),
        Contestant("nvsubquadratic", peers.nvsubquadratic, peers.refuse_nvsubquadratic, flipped=True),
    )
}


def select(names: Sequence[str] = ()) -> list[Contestant]:
    """Return the contestants with these names, by default all.

    Raises:
        ValueError: for an unknown name; the message names the nearest.
    """
    for name in names:
        if name not in CONTESTANTS:
            known = ", ".join(CONTESTANTS)
            raise ValueError(f"unknown contestant {name!r}{did_you_mean(name, CONTESTANTS)} Known: {known}.")
    return [CONTESTANTS[name] for name in names or CONTESTANTS]


def make_tensors(problem: ConvProblem, seed: int = 0) -> list[Tensor]:
    """Return input, weight and output gradient: white noise, scaled so that the output has deviation one."""
    generator = torch.Generator().manual_seed(seed)
    per_output = problem.multiplications / (problem.batch * problem.out_channels * math.prod(problem.output_size))
    shapes = [
        (problem.batch, problem.in_channels, *problem.signal),
        (problem.out_channels, problem.in_channels // problem.groups, *problem.kernel),
        (problem.batch, problem.out_channels, *problem.output_size),
    ]
    x, weight, gradient = (torch.randn(shape, generator=generator) for shape in shapes)
    return [x, weight / per_output**0.5, gradient]


def make_run(contestant: Contestant, point: Point, tensors: Sequence[Tensor]) -> Callable[[], list[Tensor]]:
    """Return a run without arguments: output and, if wanted, gradients of input and weight (see :func:`restore`)."""
    call = contestant.make(point.problem)
    x, weight, gradient = (tensor.clone(memory_format=_layout(contestant, tensor)) for tensor in tensors)
    if contestant.flipped:
        weight = weight.flip(tuple(range(2, weight.dim())))

    def forward() -> list[Tensor]:
        with torch.no_grad():
            return [call(x, weight)]

    def forward_and_backward() -> list[Tensor]:
        output = call(x, weight)
        return [output.detach(), *torch.autograd.grad(output, (x, weight), gradient)]

    if not point.backward:
        return forward
    x.requires_grad_()
    weight.requires_grad_()
    return forward_and_backward


def restore(contestant: Contestant, results: Sequence[Tensor]) -> list[Tensor]:
    """Return the results as if the kernel had not been reversed."""
    if contestant.flipped and len(results) > 1:
        return [*results[:2], results[2].flip(tuple(range(2, results[2].dim())))]
    return list(results)


def _layout(contestant: Contestant, tensor: Tensor) -> torch.memory_format:
    if not contestant.channels_last:
        return torch.contiguous_format
    return torch.channels_last if tensor.dim() == 4 else torch.channels_last_3d
