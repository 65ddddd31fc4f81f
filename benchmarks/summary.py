"""Summarise measured points: how close the chosen engine is to the fastest, where it loses, how cost grows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from flexkern.engines import ENGINES

from .store import Entry

WRONG = 1e-3
"""Relative error above which a result is wrong."""
NEAR = 1.15
"""Ratio to the fastest time up to which a choice counts as good."""
LAST = "-channels-last"
OURS = ("auto", "auto" + LAST, *ENGINES)


@dataclass(frozen=True)
class Standing:
    """The chosen engine at one point against the fastest other contestant, ours or not.

    Some contestants run the same plan: one of our engines, or torch where every pass is torch's. ``choice`` is the
    least time of these over the least time of the others. It rates the choice without the overhead of our call and
    without most of the noise. It is None where no other contestant is left.
    """

    name: str
    seconds: float
    rival: str
    rival_seconds: float
    choice: float | None

    @property
    def ratio(self) -> float:
        """Time of the chosen engine over the fastest time; at least 1."""
        return max(self.seconds / self.rival_seconds, 1.0)


def times(entry: Entry) -> dict[str, float]:
    """Return the median seconds of every contestant that took part."""
    return {name: result["seconds"] for name, result in entry["results"].items() if "seconds" in result}


def standing(entry: Entry, layout: str = "") -> Standing | None:
    """Compare the chosen engine in one memory layout ("" or "-channels-last") with all others in that layout.

    Return None where the chosen engine or all others did not take part.
    """
    seconds_of = {name: seconds for name, seconds in times(entry).items() if name.endswith(LAST) == bool(layout)}
    auto = seconds_of.pop("auto" + layout, None)
    if auto is None or not seconds_of:
        return None
    rival = min(seconds_of, key=lambda name: seconds_of[name])
    same_plan = {name for name in seconds_of if _is_same(entry["results"], "auto" + layout, name)}
    others = [seconds for name, seconds in seconds_of.items() if name not in same_plan]
    choice = None
    if others:
        chosen = min([auto, *(seconds_of[name] for name in same_plan)])
        choice = max(chosen / min(others), 1.0)
    return Standing(entry["name"] + layout.replace("-", " "), auto, rival, seconds_of[rival], choice)


def _is_same(results: Mapping[str, Entry], auto: str, name: str) -> bool:
    """Return whether a contestant runs the chosen plan: our engine with equal passes, or torch for all passes."""
    passes = (results[auto].get("engines"), results[auto].get("channels_last"))
    if "engines" in results[name]:
        return passes == (results[name]["engines"], results[name].get("channels_last"))
    engines, layouts = (set(part or ()) for part in passes)
    return name.removesuffix(LAST) == "torch" and engines == {"direct"} and layouts == {auto.endswith(LAST)}


def standings(entries: Iterable[Entry]) -> list[Standing]:
    """Return the standings of all points and layouts that have one, the worst first."""
    places = []
    for entry in entries:
        for layout in ("", LAST):
            place = standing(entry, layout)
            if place is not None:
                places.append(place)
    return sorted(places, key=lambda place: -place.ratio)


def near_share(places: Sequence[Standing]) -> float:
    """Return the share of points at which the chosen engine is near the fastest."""
    return sum(place.ratio <= NEAR for place in places) / len(places)


def choices(places: Iterable[Standing]) -> list[float]:
    """Return the rating of every choice, the worst first."""
    return sorted((place.choice for place in places if place.choice is not None), reverse=True)


def ratios(entries: Iterable[Entry]) -> dict[str, list[float]]:
    """Return for every peer its time over that of the chosen engine, at each point that both took part in."""
    ratios_of: dict[str, list[float]] = {}
    for entry in entries:
        seconds = times(entry)
        for name in seconds.keys() - set(OURS):
            ours = "auto" + LAST if name.endswith(LAST) else "auto"
            if ours in seconds:
                ratios_of.setdefault(name, []).append(seconds[name] / seconds[ours])
    return dict(sorted(ratios_of.items()))


def largest_error(entries: Iterable[Entry], name: str = "auto") -> float:
    """Return the largest relative error of a contestant, in values and gradients."""
    errors = [max(entry["results"][name]["errors"].values()) for entry in entries if name in times(entry)]
    return max(errors, default=math.nan)


def summary_lines(entries: Sequence[Entry]) -> list[str]:
    """Return the verdict in words: first the share of good choices, then every loss, then the wins."""
    places = standings(entries)
    if not places:
        return ["no point has both `auto` and another contestant."]
    worst, losses = places[0], [place for place in places if place.ratio > NEAR]
    lines = [
        f"auto is within {100 * (NEAR - 1):.0f} % of the fastest of all engines and peers at "
        f"{100 * near_share(places):.1f} % of {len(places)} points and layouts; at worst {worst.ratio:.2f}x slower.",
        *choice_lines(places),
        f"Largest relative error of auto: {largest_error(entries):.1e}.",
        f"Losses ({len(losses)}):",
        *(f"  {place.ratio:.2f}x slower than {place.rival}: {place.name}{choice_note(place)}" for place in losses),
        "Against peers:",
    ]
    for name, found in ratios(entries).items():
        wins = sum(ratio > 1 for ratio in found)
        lines.append(f"  {name}: faster at {wins} of {len(found)} points, {statistics.median(found):.2f}x (median)")
    failures = [f"  {entry['name']}: {name}: {reason}" for entry in entries for name, reason in failed(entry).items()]
    return lines + (["Failures:", *failures] if failures else [])


def choice_lines(places: Sequence[Standing]) -> list[str]:
    """Return the share of good choices, if there were any."""
    found = choices(places)
    if not found:
        return []
    share = 100 * sum(choice <= NEAR for choice in found) / len(found)
    return [
        "Counting contestants with the plan of auto as one, which removes most noise and the overhead of our call: "
        f"{share:.1f} % of {len(found)}, at worst {found[0]:.2f}x."
    ]


def choice_note(place: Standing) -> str:
    """Return the rating of the choice in brackets."""
    return "" if place.choice is None else f" (choice {place.choice:.2f}x)"


def failed(entry: Entry) -> dict[str, str]:
    """Return the contestants that raised an error or gave a wrong result, with what happened."""
    return {name: result["failed"] for name, result in entry["results"].items() if "failed" in result}


def slope(points: Mapping[float, float]) -> float | None:
    """Return the exponent of a power law fitted to {size: seconds} on logarithmic axes; None for fewer than two sizes.

    Example:
        >>> slope({1: 2.0, 10: 20.0, 100: 200.0})
        1.0
    """
    if len(points) < 2:
        return None
    sizes, seconds = zip(*((math.log(size), math.log(value)) for size, value in points.items()), strict=True)
    return round(statistics.linear_regression(sizes, seconds).slope, 12)


def short_commit(commit: str | None) -> str:
    """Return ten digits of a commit, and "-dirty" if files had changed."""
    return "unknown" if commit is None else commit[:10] + "-dirty" * commit.endswith("-dirty")
