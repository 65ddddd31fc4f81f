"""Measure how much longer ``import flexkern`` takes than ``import torch``.

Usage::

    PYTHONPATH=src python tools/import_time.py --repeats 15

Both commands run in fresh interpreters, one after the other in each round, so that a change of load affects both alike.
One round before the first is not counted; it fills the file caches. Printed as JSON: the median seconds of each
command, the difference of these medians and the median of the differences within a round.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

COMMANDS = {"torch": "import torch", "flexkern": "import flexkern"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the medians as JSON; return 1 if the difference exceeds the limit."""
    options = parse_options(arguments)
    seconds = measure(options.repeats)
    differences = []
    for torch_seconds, flexkern_seconds in zip(seconds["torch"], seconds["flexkern"], strict=True):
        differences.append(flexkern_seconds - torch_seconds)
    torch_median = statistics.median(seconds["torch"])
    flexkern_median = statistics.median(seconds["flexkern"])
    difference = flexkern_median - torch_median
    result = {
        "repeats": options.repeats,
        "torch": round(torch_median, 4),
        "flexkern": round(flexkern_median, 4),
        "difference": round(difference, 4),
        "median_of_differences": round(statistics.median(differences), 4),
    }
    print(json.dumps(result, indent=2))
    return 1 if options.limit is not None and difference > options.limit else 0


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    summary, _, details = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--repeats", type=int, default=9, help="rounds that are counted (default 9)")
    parser.add_argument("--limit", type=float, help="seconds that the difference may reach; exit status 1 above")
    return parser.parse_args(arguments)


def measure(repeats: int) -> dict[str, list[float]]:
    """Return the seconds of every counted run of each command."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for round_number in range(repeats + 1):
        for name, command in COMMANDS.items():
            elapsed = run_seconds(command)
            if round_number > 0:
                seconds[name].append(elapsed)
    return seconds


def run_seconds(command: str) -> float:
    """Return the seconds that a fresh interpreter takes for a command."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", command], check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
