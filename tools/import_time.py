"""Measure how much longer ``import flexkern`` takes than ``import torch``.

Usage::

    PYTHONPATH=src python tools/import_time.py --repeats 15

Both commands run in fresh interpreters, one after the other in each round, so that a change of load affects both alike.
One round before the first is not counted; it fills the file caches. Printed as JSON: the median seconds of each command
and the difference of these medians, by the clock ("wall") and of the processor ("cpu"), which a busy machine changes
less.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

COMMANDS = {"torch": "import torch", "flexkern": "import flexkern"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the medians as JSON; return 1 if the difference exceeds the limit."""
    options = parse_options(arguments)
    seconds = measure(options.repeats)
    result: dict[str, Any] = {"repeats": options.repeats}
    for index, clock in enumerate(("wall", "cpu")):
        medians = {name: statistics.median(run[index] for run in runs) for name, runs in seconds.items()}
        medians["difference"] = medians["flexkern"] - medians["torch"]
        result[clock] = {name: round(median, 4) for name, median in medians.items()}
    print(json.dumps(result, indent=2))
    difference = result["wall"]["difference"]
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
    parser.add_argument("--limit", type=float, help="wall seconds that the difference may reach; exit status 1 above")
    return parser.parse_args(arguments)


def measure(repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Return the wall and processor seconds of every counted run of each command."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for round_number in range(repeats + 1):
        for name, command in COMMANDS.items():
            elapsed = run_seconds(command)
            if round_number > 0:
                seconds[name].append(elapsed)
    return seconds


def run_seconds(command: str) -> tuple[float, float]:
    """Return the wall and processor seconds that a fresh interpreter takes for a command."""
    wall_start = time.perf_counter()
    cpu_start = child_seconds()
    subprocess.run([sys.executable, "-c", command], check=True)
    return time.perf_counter() - wall_start, child_seconds() - cpu_start


def child_seconds() -> float:
    """Return the processor seconds of all finished child processes."""
    times = os.times()
    return times.children_user + times.children_system


if __name__ == "__main__":
    sys.exit(main())
