"""``flexkern fit-kernel``: how well kernel generators describe a kernel; the last line is JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from .text import table

ABOUT = "fit kernel generators of equal size to a kernel or an image; the last line is JSON"
EXAMPLES = """\
examples:
  flexkern fit-kernel gabor:4                                     a wave of 4 Hz under a Gaussian, 33 x 33
  flexkern fit-kernel random --parameters 500 --steps 500
  flexkern fit-kernel photo.jpg --size 64 --figure fits.png
  flexkern fit-kernel kernel.npy --only MAGNet,SIREN,points
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the target, the contestants, and where to write."""
    parser.add_argument("target", metavar="TARGET", help="gabor:FREQUENCY, random, a .npy array or an image file")
    parser.add_argument("--only", default="", metavar="A,B", help="contestants, by default all")
    parser.add_argument("--parameters", type=int, default=1000, metavar="N", help="of each contestant, at most (1000)")
    parser.add_argument("--steps", type=int, default=2000, metavar="N", help="of the optimiser (2000)")
    parser.add_argument("--rates", default="", metavar="R,R", help="learning rates to try (1e-3 to 3e-1)")
    parser.add_argument("--size", type=int, default=33, metavar="N", help="samples per axis, but for arrays (33)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of networks and noise (0)")
    parser.add_argument("--figure", metavar="FILE", help="draw target, fits and their errors here")
    parser.add_argument("--out", metavar="FILE", help="write the numbers, and how they were obtained, here")


def run(options: argparse.Namespace) -> int:
    """Fit, print, draw; the last line is JSON."""
    from ..data.kernel_targets import read_target
    from ..measure.fitting import RATES, fit_all
    from ..report.figures import check_figure, save_figure
    from ..report.fits import fits_figure
    from ..training.record import write_result

    if options.figure:
        check_figure(options.figure)
    target = read_target(options.target, size=options.size, seed=options.seed)
    only = [name.strip() for name in options.only.split(",") if name.strip()]
    rates = _rates(options.rates) if options.rates else RATES
    settings = {"steps": options.steps, "rates": rates, "seed": options.seed}
    fits = fit_all(target, options.parameters, only=only, say=_say, **settings)
    numbers = {name: _numbers(fit) for name, fit in fits.items()}
    best_first = sorted(numbers.items(), key=lambda item: -item[1]["psnr"])
    print()
    print(table(["network", "PSNR", "parameters", "rate"], [_row(name, values) for name, values in best_first]))
    result = {"target": Path(options.target).name, "shape": list(target.shape), **settings, "fits": numbers}
    if options.out:
        write_result(options.out, result)
    if options.figure:
        save_figure(fits_figure(target, fits), options.figure)
    for path in filter(None, (options.figure, options.out)):
        print(f"written to {Path(path)}")
    print(json.dumps(result))
    return 0


def _numbers(fit: Any) -> dict[str, Any]:
    return {"parameters": fit.parameters, "rate": fit.rate, "mse": fit.mse, "psnr": fit.psnr, "curve": fit.curve}


def _row(name: str, numbers: dict[str, Any]) -> list[str]:
    return [name, f"{numbers['psnr']:.1f} dB", f"{numbers['parameters']:,}", f"{numbers['rate']:g}"]


def _rates(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise ValueError(f"`--rates` must be numbers such as 1e-3,1e-2, got {text!r}.") from None


def _say(text: str) -> None:
    print(text, flush=True)
