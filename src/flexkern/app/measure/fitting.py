"""Measure how well, and how fast, a kernel generator describes a given kernel."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from flexkern.functional import make_grid
from flexkern.generators import Generator

from .kernel_networks import FAMILIES, sized_net

RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
"""Default learning rates: products of few filters are best at the highest, sines at 3e-3."""
LARGEST = 200.0
"""PSNR in dB of a fit without error."""
POINTS = 24
"""Steps at which the error is recorded, evenly spaced on a logarithmic axis."""

Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class Fit:
    """A network fitted with its best learning rate.

    Attributes:
        parameters: number of parameters of the network.
        rate: the learning rate of the least error.
        mse: mean squared error on the grid.
        psnr: peak signal-to-noise ratio in dB; the peak is the range of the target.
        curve: (step, mse) during training.
        values: values of the network on the grid.
    """

    parameters: int
    rate: float
    mse: float
    psnr: float
    curve: Curve
    values: Tensor


def fit_kernel(
    make: Callable[[], Generator],
    target: Tensor,
    *,
    steps: int = 2000,
    rates: Sequence[float] = RATES,
    seed: int = 0,
) -> Fit:
    """Fit a network once per learning rate and return the best fit.

    The optimiser is Adam with half a cosine, on the squared error of the whole grid.

    Args:
        make: returns a new generator with one channel, for every rate.
        target: values (*K) on the grid of as many samples per axis.
        steps: optimiser steps.
        rates: learning rates to try.
        seed: seed of the generator's parameters.

    Raises:
        ValueError: for no step or no rate, a target that is not finite, or if no rate leads to a finite error.

    Example:
        >>> from flexkern import SIREN
        >>> fit = fit_kernel(lambda: SIREN(1, 1, hidden=8), torch.ones(9), steps=20, rates=[1e-2])
        >>> fit.psnr > 0, fit.curve[-1][0]
        (True, 20)
    """
    if steps < 1 or not rates or not all(0 < rate < math.inf for rate in rates):
        raise ValueError(f"`steps` and `rates` must be positive, got {steps} and {tuple(rates)}.")
    if not target.isfinite().all():
        raise ValueError("`target` must contain finite numbers.")
    best: Fit | None = None
    for rate in rates:
        fit = _fit_once(make, target, rate, steps, seed)
        if math.isfinite(fit.mse) and (best is None or fit.mse < best.mse):
            best = fit
    if best is None:
        raise ValueError(f"the error is not finite with any of `rates` {tuple(rates)}; try lower ones.")
    return best


def _fit_once(make: Callable[[], Generator], target: Tensor, rate: float, steps: int, seed: int) -> Fit:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = make()
    curve, values = _train(net, target, rate, steps)
    mse = curve[-1][1]
    parameters = sum(parameter.numel() for parameter in net.parameters())
    return Fit(parameters, rate, mse, peak_ratio(target, mse), curve, values)


def _train(net: Generator, target: Tensor, rate: float, steps: int) -> tuple[Curve, Tensor]:
    # Learning rates and initial values are made for a target of mean zero and deviation one.
    mean = target.mean()
    deviation = target.std() if target.std() > 0 else torch.tensor(1.0)
    scaled_target = (target - mean) / deviation
    positions = make_grid(target.shape)
    optimiser = torch.optim.Adam(net.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    recorded = {round(math.exp(i * math.log(steps) / POINTS)) for i in range(POINTS + 1)}
    curve = []
    for step in range(1, steps + 1):
        optimiser.zero_grad()
        (net(positions)[0] - scaled_target).square().mean().backward()
        optimiser.step()
        schedule.step()
        if step in recorded:
            with torch.no_grad():
                values = net(positions)[0] * deviation + mean
            curve.append((step, (values - target).square().mean().item()))
    return curve, values


def peak_ratio(target: Tensor, mse: float) -> float:
    """Return the peak signal-to-noise ratio in dB: the squared range of the target over the error.

    It is limited to 200, which no arithmetic exceeds, and -200 for an error that is not finite.

    Example:
        >>> round(peak_ratio(torch.tensor([-1.0, 1.0]), 0.04), 6)
        20.0
    """
    if not math.isfinite(mse):
        return -LARGEST
    if mse <= 0:
        return LARGEST
    span = (target.max() - target.min()).item() or 1.0
    return min(10 * math.log10(span**2 / mse), LARGEST)


def steps_to(fit: Fit, psnr: float, target: Tensor) -> int | None:
    """Return the first recorded step whose fit reaches ``psnr``, or None."""
    for step, mse in fit.curve:
        if peak_ratio(target, mse) >= psnr:
            return step
    return None


def fit_all(
    target: Tensor,
    parameters: int,
    *,
    only: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> dict[str, Fit]:
    """Fit every contestant, or those named in ``only``, with at most ``parameters`` parameters.

    ``options`` are those of :func:`fit_kernel`; ``say`` is called with one line per fit.

    Raises:
        ValueError: for an unknown contestant or too few parameters.
    """
    fits = {}
    for name in only or FAMILIES:
        make = functools.partial(sized_net, name, tuple(target.shape), parameters)
        fit = fit_kernel(make, target, **options)
        fits[name] = fit
        say(f"{name}: {fit.psnr:.1f} dB with {fit.parameters:,} parameters")
    return fits
