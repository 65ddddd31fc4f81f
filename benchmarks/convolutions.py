"""Measure single convolutions: time, error and memory of every contestant at every point of a subset."""

from __future__ import annotations

import argparse
import dataclasses
import math
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from flexkern.app.measure.memory import peak_memory
from flexkern.app.measure.timing import ROUNDS, SLOW, Run, interleave, rounds_for
from flexkern.engines import plan_conv

from .contestants import Contestant, make_run, make_tensors, restore, select
from .options import RESULTS, add_shared_options, apply_shared_options, names_in, say
from .problems import Point, left_out, subset
from .reference import exact_results, relative_errors
from .store import Entry, ResultsFile
from .summary import WRONG, standing, summary_lines

ABOUT = "measure single convolutions against other libraries"
SEED = 0
Say = Callable[[str], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subset of points, the contestants and limits."""
    parser.add_argument("--subset", default="quick", metavar="S", help="quick (default), full, claims or growth")
    parser.add_argument("--only", default="", metavar="A,B", help="contestants, by default all: auto,torch,...")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="a sample: every Nth point")
    parser.add_argument("--minutes", type=float, metavar="M", help="begin no new point after M minutes")
    add_shared_options(parser)


def run(options: argparse.Namespace) -> int:
    """Measure, writing after every point, and print the summary."""
    apply_shared_options(options)
    out = options.out or RESULTS / f"conv-{options.subset}.json"
    limits = {"every": options.every, "minutes": options.minutes, "rounds": options.rounds}
    entries = measure_subset(options.subset, out, only=names_in(options.only), say=say, **limits)
    print()
    print("\n".join(summary_lines(entries)))
    print(f"written to {out}")
    return 0


def measure_subset(
    name: str,
    out: str | Path,
    *,
    only: Sequence[str] = (),
    every: int = 1,
    minutes: float | None = None,
    rounds: int = ROUNDS,
    say: Say = lambda text: None,
) -> list[Entry]:
    """Measure the points of a subset that ``out`` lacks; return all points of the subset that it then has.

    Args:
        name: of the subset.
        out: file of results.
        only: names of contestants, all by default.
        every: measure every Nth point only, for a sample of the subset.
        minutes: begin no new point after this many minutes.
        rounds: rounds per contestant.
        say: called with one line per point.
    """
    points = subset(name)[::every]
    contestants = select(only)
    omitted = {"left_out": left_out()} if name == "full" else {}
    file = ResultsFile(out, subset=name, every=every, seed=SEED, rounds=rounds, **omitted)
    began = time.monotonic()
    for number, point in enumerate(points, 1):
        if file.has(point.name, [contestant.name for contestant in contestants]):
            continue
        if minutes is not None and time.monotonic() - began > 60 * minutes:
            say(f"stopped after {minutes:g} min with {len(points) - number + 1} points to go; run again to continue.")
            break
        entry = measure_point(point, contestants, rounds, give_up=name != "claims")
        file.add(entry)
        say(f"[{number}/{len(points)}] {describe(entry)}")
    return [file.points[point.name] for point in points if point.name in file.points]


def measure_point(
    point: Point, contestants: Sequence[Contestant], rounds: int = ROUNDS, *, give_up: bool = True
) -> Entry:
    """Measure every contestant at one point.

    Returns:
        {"name", ..., "results": {contestant: timing, errors and memory, or a reason}}.
    """
    tensors = make_tensors(point.problem, SEED)
    exact = exact_results(point, tensors)
    results: dict[str, Entry] = {}
    runs: dict[str, Run] = {}
    first: dict[str, float] = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"fft_conv_pytorch")  # it indexes with a list at every call
        for contestant in contestants:
            fastest = min(first.values(), default=math.inf) if give_up else math.inf
            results[contestant.name], run = enter(contestant, point, tensors, exact, fastest)
            if run is not None:
                runs[contestant.name], first[contestant.name] = run, results[contestant.name].pop("first")
        for name, timing in interleave(runs, first, rounds, give_up=give_up).items():
            results[name] |= dataclasses.asdict(timing)
    problem = point.problem
    return {
        "name": point.name,
        "kind": point.kind,
        "batch": problem.batch,
        "signal": list(problem.signal),
        "kernel": list(problem.kernel),
        "backward": point.backward,
        "results": results,
    }


def enter(
    contestant: Contestant,
    point: Point,
    tensors: Sequence[Tensor],
    exact: Sequence[Tensor],
    fastest: float = math.inf,
) -> tuple[Entry, Run | None]:
    """Warm a contestant up.

    Args:
        contestant: who runs.
        point: what is computed.
        tensors: input, weight and gradient.
        exact: the correct results.
        fastest: best time so far; a contestant far behind it runs once.

    Returns:
        Errors, memory and first time with the run; or why the contestant does not take part, and None.
    """
    reason = contestant.refuse(point)
    if reason:
        return {"skipped": reason}, None
    try:
        run = make_run(contestant, point, tensors)
        (outputs, seconds), memory = peak_memory(lambda: _timed(run))
        errors = relative_errors(restore(contestant, outputs), exact)
        del outputs
        if seconds <= SLOW and rounds_for(seconds, fastest):  # the first run may have loaded and planned something
            (_, seconds), memory = peak_memory(lambda: _timed(run))
    except ImportError as error:
        return {"skipped": f"not installed: {error}"}, None
    except Exception as error:  # an error in another library is a result and must not end a long run
        return {"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}, None
    if not max(errors.values()) <= WRONG:
        return {"failed": f"wrong result: relative error {max(errors.values()):.1e}"}, None
    entry: Entry = {"errors": errors, "memory": memory, "first": seconds}
    if contestant.ours:
        problem = dataclasses.replace(point.problem, channels_last=contestant.channels_last)
        passes = plan_conv(problem, contestant.name.removesuffix("-channels-last")).passes[: point.passes]
        entry["engines"] = [step.engine for step in passes]
        entry["channels_last"] = [step.channels_last for step in passes]
    return entry, run


def describe(entry: Entry) -> str:
    """Return one line: the point, time and engines of the chooser, the fastest other contestant."""
    place = standing(entry)
    auto = entry["results"].get("auto", {})
    if "failed" in auto:
        return f"{entry['name']}: auto FAILED, {auto['failed']}"
    if place is None:
        return f"{entry['name']}: no comparison"
    engines = "/".join(auto["engines"])
    return (
        f"{entry['name']}: auto {1e3 * auto['seconds']:.2f} ms ({engines}), "
        f"{place.rival} {1e3 * place.rival_seconds:.2f} ms"
    )


def _timed(run: Run) -> tuple[list[Tensor], float]:
    began = time.perf_counter()
    results = run()
    return results, time.perf_counter() - began
