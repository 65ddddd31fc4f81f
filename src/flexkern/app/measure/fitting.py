"""How well, and how fast, a kernel network describes a given kernel."""

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
"""Learning rates that a network is tried with: products of few filters are best at the highest, sines at 3e-3."""
LARGEST = 200.0
"""dB of a fit without error."""
POINTS = 24
"""Steps at which the error is noted, evenly on a logarithmic axis."""


@dataclass(frozen=True)
class Fit:
    """A network with its best learning rate.

    Attributes:
        parameters: of the network.
        rate: the learning rate of the least error.
        mse: mean squared error on the grid.
        psnr: peak signal-to-noise ratio in dB, the peak being the range of the target.
        curve: (step, mse) while it was trained.
        values: what it gives on the grid.
    """

    parameters: int
    rate: float
    mse: float
    psnr: float
    curve: list[tuple[int, float]]
    values: Tensor


def fit_kernel(
    make: Callable[[], Generator],
    target: Tensor,
    *,
    steps: int = 2000,
    rates: Sequence[float] = RATES,
    seed: int = 0,
) -> Fit:
    """The best of one fit per learning rate: Adam with half a cosine, on the squared error of the whole grid.

    Args:
        make: gives a generator of one channel, anew for every rate.
        target: values (*K) on the grid of as many samples per axis.
        steps: of the optimiser.
        rates: learning rates that are tried.
        seed: of the generator's parameters.

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
        raise ValueError("`target` must hold finite numbers.")
    fits = []
    for rate in rates:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = make()
        curve, values = _train(net, target, rate, steps)
        fits.append((curve[-1][1], rate, curve, values, sum(p.numel() for p in net.parameters())))
    if not any(math.isfinite(fit[0]) for fit in fits):
        raise ValueError(f"the error is not finite with any of `rates` {tuple(rates)}; try lower ones.")
    mse, rate, curve, values, count = min(fits, key=lambda fit: fit[0] if math.isfinite(fit[0]) else math.inf)
    return Fit(count, rate, mse, peak_ratio(target, mse), curve, values)


def _train(net: Generator, target: Tensor, rate: float, steps: int) -> tuple[list[tuple[int, float]], Tensor]:
    # A range of one and mean zero are what learning rates and initialisations are made for.
    middle, scale = target.mean(), (target.std() if target.std() > 0 else torch.tensor(1.0))
    wanted, positions = (target - middle) / scale, make_grid(target.shape)
    optimiser = torch.optim.Adam(net.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    noted = {round(math.exp(i * math.log(steps) / POINTS)) for i in range(POINTS + 1)}
    curve = []
    for step in range(1, steps + 1):
        optimiser.zero_grad()
        (net(positions)[0] - wanted).square().mean().backward()
        optimiser.step()
        schedule.step()
        if step in noted:
            with torch.no_grad():
                values = net(positions)[0] * scale + middle
            curve.append((step, (values - target).square().mean().item()))
    return curve, values


def peak_ratio(target: Tensor, mse: float) -> float:
    """Peak signal-to-noise ratio in dB: the squared range of the target over the error; nothing is clamped.

    Between 200, which no arithmetic exceeds, and -200, for an error that is not finite.

    Example:
        >>> round(peak_ratio(torch.tensor([-1.0, 1.0]), 0.04), 6)
        20.0
    """
    if not math.isfinite(mse):
        return -LARGEST
    span = (target.max() - target.min()).item() or 1.0
    return min(10 * math.log10(span**2 / mse), LARGEST) if mse > 0 else LARGEST


def steps_to(fit: Fit, psnr: float, target: Tensor) -> int | None:
    """First noted step at which the error was that small; None if it never was."""
    return next((step for step, mse in fit.curve if peak_ratio(target, mse) >= psnr), None)


def fit_all(
    target: Tensor,
    parameters: int,
    *,
    only: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> dict[str, Fit]:
    """Every contestant, or those named, with at most so many parameters; ``options`` are those of ``fit_kernel``.

    Raises:
        ValueError: for an unknown contestant or too few parameters.
    """
    found = {}
    for name in only or FAMILIES:
        make = functools.partial(sized_net, name, tuple(target.shape), parameters)
        found[name] = fit_kernel(make, target, **options)
        say(f"{name}: {found[name].psnr:.1f} dB with {found[name].parameters:,} parameters")
    return found
