"""Kernel networks of equal parameters on one target, or on all of the published comparison."""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from flexkern.app.data.files import image_files
from flexkern.app.data.kernel_targets import read_target
from flexkern.app.measure.fitting import RATES, fit_kernel, peak_ratio, steps_to
from flexkern.app.measure.kernel_networks import FAMILIES as KERNEL_NETWORKS
from flexkern.app.measure.kernel_networks import Sized, sized_net
from flexkern.app.training.record import commit, write_result
from flexkern.generators import Generator

from .jet import JET_ORDER, Jet
from .resume import earlier
from .trial import Result, chosen

FAMILIES: dict[str, Sized] = {
    **KERNEL_NETWORKS,
    "N-Jet": lambda units: functools.partial(Jet, order=min(units, JET_ORDER)),
}
STEPS, BUDGETS, SIZE = 1000, (1000, 4000), 33
SYNTHETIC = ("gabor:1", "gabor:4", "gabor:8", "random")
IMAGES = 2
"""Images of the folder that are fitted, the first by name."""
GOOD = 30.0
"""dB that count as good when convergence is compared."""


def reproduce_kernel_fitting(
    out: str | Path,
    data_dir: str | Path,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    only: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
) -> Result:
    """Every network on every target with every number of parameters, once per seed of its initialisation.

    The learning rate is the best of ``RATES`` for the first seed, and kept for others.
    Writes ``out`` after each row, and does not repeat rows that it holds.

    Raises:
        ValueError: for an unknown contestant, or an ``out`` of other settings; FileNotFoundError: too few images in
            ``data_dir``.
    """
    targets = [*SYNTHETIC, *map(str, image_files(data_dir, IMAGES)[:IMAGES])]
    settings = {"name": "kernel-fitting", "steps": STEPS, "size": SIZE, "rates": RATES, "seeds": seeds, "good": GOOD}
    nets = chosen(FAMILIES, only)
    result: Result = {"rows": [], **earlier(out, settings), **settings}
    for target, parameters, name in itertools.product(targets, BUDGETS, nets):
        key = {"target": Path(target).name, "file": _digest(target), "budget": parameters, "network": name}
        if any(key.items() <= row.items() for row in result["rows"]):
            continue
        row = _row(name, read_target(target, size=SIZE), parameters, seeds)
        result["rows"].append(key | row)
        say(f"{key['target']}, {row['parameters']:,} parameters, {name}: {row['psnr_mean']:.1f} dB")
        write_result(out, result)
    return result


def _digest(target: str) -> str | None:
    """What tells images of one name apart; None for targets that are computed."""
    return hashlib.sha256(Path(target).read_bytes()).hexdigest()[:12] if Path(target).is_file() else None


def _row(name: str, target: Tensor, parameters: int, seeds: Sequence[int]) -> Result:
    """One network on one target: the error by seed, and the convergence of the first."""
    make = functools.partial(sized_net, name, tuple(target.shape), parameters, FAMILIES)
    first = fit_kernel(make, target, steps=STEPS, seed=seeds[0])
    found = [first.psnr, *(_psnr(make, target, first.rate, seed) for seed in seeds[1:])]
    return {
        "commit": commit(),
        "parameters": first.parameters,
        "rate": first.rate,
        "psnr": found,
        "psnr_mean": statistics.mean(found),
        "psnr_sd": statistics.stdev(found) if len(found) > 1 else None,
        "steps_to_good": steps_to(first, GOOD, target),
        "curve": first.curve,
    }


def _psnr(make: Callable[[], Generator], target: Tensor, rate: float, seed: int) -> float:
    """Of one seed with a rate that another seed was best with: it may diverge, which is a result."""
    try:
        return fit_kernel(make, target, steps=STEPS, rates=[rate], seed=seed).psnr
    except ValueError:
        return peak_ratio(target, math.inf)
