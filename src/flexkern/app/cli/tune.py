"""``flexkern tune``: measure what convolutions cost on this machine, so that engines are chosen for it."""

from __future__ import annotations

import argparse
import statistics
import sys

from .text import duration_text, table

ABOUT = "measure this machine, so that the fastest engine is chosen on it"
EXAMPLES = """\
examples:
  flexkern tune             about ten minutes, best with nothing else running
  flexkern tune --quick     half a minute, rougher

The constants are stored in $FLEXKERN_CACHE/costs.json or ~/.cache/flexkern/costs.json. Delete the file to
return to those of the package. They are valid for one device, torch version and number of threads.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--quick``."""
    parser.add_argument("--quick", action="store_true", help="fewer and shorter measurements")


def run(options: argparse.Namespace) -> int:
    """Measure, write the file, and print how well the cost model fits."""
    import time

    from flexkern.engines import cache_path, save_costs, tune

    began = time.perf_counter()
    path = cache_path()
    replaced = path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)  # fails now rather than after the measurement
    costs, samples = tune(quick=options.quick, progress=_show)
    _show("done\n")
    save_costs(costs)
    ratios_by_family: dict[str, list[float]] = {}
    for sample in samples:
        if sample.family.startswith(("autograd", "memory", "direct")):
            continue  # these are looked up, not predicted
        family = "/".join(sample.family.split("/")[:4])
        predicted = costs.price(sample.family, sample.work)
        ratios_by_family.setdefault(family, []).append(predicted / sample.seconds)
    rows = []
    for family, ratios in ratios_by_family.items():
        low, middle, high = statistics.quantiles(ratios, n=4)
        rows.append([family, str(len(ratios)), f"{low:.2f}", f"{middle:.2f}", f"{high:.2f}"])
    print(table(["engine", "samples", "lower quartile", "median", "upper quartile"], rows))
    print(f"\nPredicted over measured time; {duration_text(time.perf_counter() - began)}.")
    print(f"{'Replaced' if replaced else 'Written to'} {path}")
    return 0


def _show(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\rmeasuring {text}  ", end="", file=sys.stderr, flush=True)
