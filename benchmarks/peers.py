"""FFT convolutions of other libraries, each as ``convolve(input, weight)``; imported on first use."""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from flexkern.engines import ConvProblem, pad

from .problems import Point

Convolve = Callable[[Tensor, Tensor], Tensor]

PRODUCT_LIMIT = 4e7
"""Complex values, all passes together, that take a few seconds on two cores: some libraries store every product of two
spectra before they add them."""


def fft_conv_pytorch(problem: ConvProblem) -> Convolve:
    """Return ``fft_conv`` of fft-conv-pytorch."""
    return _with_padding(_load("fft_conv_pytorch").fft_conv, problem)


def torch_fftconv(problem: ConvProblem) -> Convolve:
    """Return ``fft_conv1d/2d/3d`` of torch-fftconv."""
    return _with_padding(getattr(_load("torch_fftconv"), f"fft_conv{len(problem.signal)}d"), problem)


def julius(problem: ConvProblem) -> Convolve:
    """Return ``fft_conv1d`` of julius, which uses blocks of five kernels."""
    call = _load("julius").fft_conv1d
    return lambda x, weight: call(pad(x, problem.padding, "zeros"), weight)


def nvsubquadratic(problem: ConvProblem) -> Convolve:
    """Return ``fftconv1d/2d/3d_fp32_bhl`` of nvsubquadratic.ops: depthwise, same length, kernels (1, C, *K)."""
    operations = _load("nvsubquadratic.ops.fftconv")
    prefix = "causal_" if _is_causal(problem) else ""
    call = getattr(operations, f"{prefix}fftconv{len(problem.signal)}d_fp32_bhl")
    return lambda x, weight: call(x, weight.transpose(0, 1))


def refuse_products(point: Point) -> str | None:
    """Return why a library that stores all products of spectra is left out, or None."""
    p = point.problem
    extended = [n + left + right for n, (left, right) in zip(p.signal, p.padding, strict=True)]
    products = point.passes * p.batch * p.out_channels * p.in_channels // p.groups * math.prod(extended) // 2
    return f"too slow: {products:.1e} products of spectra" if products > PRODUCT_LIMIT else None


def refuse_julius(point: Point) -> str | None:
    """Return why julius is left out, or None: it takes one axis and one group."""
    if len(point.problem.signal) > 1 or point.problem.groups > 1:
        return "one axis and one group only"
    return None


def refuse_nvsubquadratic(point: Point) -> str | None:
    """Return why nvsubquadratic is left out, or None: it is depthwise, with a kernel at most twice the signal."""
    p = point.problem
    if not p.depthwise:
        return "depthwise only"
    longer = any(k > 2 * n for k, n in zip(p.kernel, p.signal, strict=True))
    return "kernel longer than twice the signal" if longer else None


def _with_padding(call: Callable[..., Tensor], problem: ConvProblem) -> Convolve:
    """Use the library's padding where it is symmetric; otherwise pad before the call."""
    if all(left == right for left, right in problem.padding):
        return functools.partial(call, padding=tuple(left for left, _ in problem.padding), groups=problem.groups)
    return lambda x, weight: call(pad(x, problem.padding, "zeros"), weight, groups=problem.groups)


def _is_causal(problem: ConvProblem) -> bool:
    return all(right == 0 < left for left, right in problem.padding)


def _load(name: str) -> Any:
    """Import a module; the caller reports missing packages."""
    return importlib.import_module(name)
