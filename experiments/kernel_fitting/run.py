"""Kernel networks of equal parameters fitted to targets, as in the published comparison."""

from __future__ import annotations

import argparse
import functools
import hashlib
import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from flexkern.app.cli.text import table
from flexkern.app.data.files import image_files
from flexkern.app.data.kernel_targets import read_target
from flexkern.app.measure.fitting import RATES, fit_kernel, peak_ratio, steps_to
from flexkern.app.measure.kernel_networks import FAMILIES as KERNEL_NETWORKS
from flexkern.app.measure.kernel_networks import Sized, sized_net
from flexkern.app.training.record import commit
from flexkern.generators import Generator

from ..common.ledger import Ledger, Result, Runs
from ..common.options import Options, Settings
from ..common.statistics import mean_and_sd
from .jet import JET_ORDER, Jet

ABOUT = "which kernel network describes Gabor functions, noise and photographs best? hours"


def _jet_family(units: int) -> Callable[..., Generator]:
    return functools.partial(Jet, order=min(units, JET_ORDER))


FAMILIES: dict[str, Sized] = {**KERNEL_NETWORKS, "N-Jet": _jet_family}
STEPS, SIZE = 1000, 33
BUDGETS = (1000, 4000)
"""Largest numbers of parameters."""
SYNTHETIC = ("gabor:1", "gabor:4", "gabor:8", "random")
IMAGES = 2
"""Images of the folder that are fitted, the first by name."""
GOOD = 30.0
"""dB that count as good when convergence is compared."""
KEY = ("target", "file", "budget", "network")
"""Keys of a row that tell it from others."""
OPTIONS = Options(
    "kernel_fitting",
    tuple(FAMILIES),
    epochs=False,
    data="a folder of images",
    joint_seeds=True,
)
add_arguments = OPTIONS.add_to


def run(options: argparse.Namespace) -> int:
    """Fit what is missing, and print a table."""
    settings = OPTIONS.read(options)
    result = fit_networks(settings)
    rows = []
    for row in result["rows"]:
        rows.append([row["target"], row["network"], f"{row['psnr_mean']:.1f} dB", f"{row['parameters']:,}"])
    print(table(["target", "network", "PSNR", "parameters"], rows))
    print(f"results: {settings.out}")
    return 0


def fit_networks(settings: Settings) -> Result:
    """Fit every network to every target with every number of parameters, once per seed of its initialisation.

    The learning rate is the best of ``RATES`` for the first seed, and is kept for the others. Rows that the results
    have are not repeated; the results are written after every row.

    Raises:
        ValueError: the results are of other settings.
        FileNotFoundError: there are too few images.
    """
    images = image_files(str(settings.data_dir), IMAGES)[:IMAGES]
    targets = [*SYNTHETIC, *map(str, images)]
    facts = {
        "name": settings.name,
        "steps": STEPS,
        "size": SIZE,
        "rates": RATES,
        "seeds": settings.seeds,
        "good": GOOD,
    }
    ledger = Ledger(settings.out, facts, read=_read_rows, summarise=_summarise)
    for target, budget, network in itertools.product(targets, BUDGETS, settings.contestants):
        key = {"target": Path(target).name, "file": _digest(target), "budget": budget, "network": network}
        if _key(key) in ledger.runs:
            continue
        row = {**key, **_row(network, read_target(target, size=SIZE), budget, settings.seeds)}
        ledger.add(_key(row), row)
        fitted = f"{row['parameters']:,} parameters, {network}: {row['psnr_mean']:.1f} dB"
        print(f"{row['target']}, {fitted}", flush=True)
    return ledger.result


def _digest(target: str) -> str | None:
    """Return what distinguishes images of one name; None for targets that are computed."""
    path = Path(target)
    if not path.is_file():
        return None
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def _key(row: Result) -> str:
    return " ".join(str(row[key]) for key in KEY)


def _read_rows(result: Result) -> Runs:
    return {_key(row): [row] for row in result.get("rows", [])}


def _summarise(runs: Runs) -> Result:
    return {"rows": [row for (row,) in runs.values()]}


def _row(name: str, target: Tensor, parameters: int, seeds: Sequence[int]) -> Result:
    """Return the errors of one network by seed, and the convergence of the first seed."""
    make = functools.partial(sized_net, name, tuple(target.shape), parameters, FAMILIES)
    first = fit_kernel(make, target, steps=STEPS, seed=seeds[0])
    ratios = [first.psnr]
    for seed in seeds[1:]:
        ratios.append(_psnr(make, target, first.rate, seed))
    return {
        "commit": commit(),
        "parameters": first.parameters,
        "rate": first.rate,
        "psnr": ratios,
        **mean_and_sd([{"psnr": ratio} for ratio in ratios], "psnr"),
        "steps_to_good": steps_to(first, GOOD, target),
        "curve": first.curve,
    }


def _psnr(make: Callable[[], Generator], target: Tensor, rate: float, seed: int) -> float:
    """Return the error of one seed at the best rate of another: it may diverge, which is a result."""
    try:
        return fit_kernel(make, target, steps=STEPS, rates=[rate], seed=seed).psnr
    except ValueError:
        return peak_ratio(target, math.inf)
