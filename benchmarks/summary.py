"""What the measured points say: how near the chooser is to the fastest, against whom it loses, how cost grows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from flexkern.engines import ENGINES

from .store import Entry

WRONG = 1e-3
"""Relative error above which a result is no result."""
NEAR = 1.15
"""A chooser within this ratio of the fastest is as good as it."""
LAST = "-channels-last"
OURS = ("auto", "auto" + LAST, *ENGINES)


@dataclass(frozen=True)
class Standing:
    """The chooser's engine at one point against the fastest other contestant, ours or not.

    Some contestants run the very same plan: one of our engines, or torch where all is left to torch. ``choice`` is the
    least time of all these over the least of the others: how good the choice was, without what our call takes on top
    of torch's and without most of the noise. None where nobody else is left.
    """

    name: str
    seconds: float
    rival: str
    rival_seconds: float
    choice: float | None

    @property
    def ratio(self) -> float:
        """The chooser's time over the fastest time; at least 1."""
        return max(self.seconds / self.rival_seconds, 1.0)


def times(entry: Entry) -> dict[str, float]:
    """Median seconds of every contestant that took part."""
    return {name: result["seconds"] for name, result in entry["results"].items() if "seconds" in result}


def standing(entry: Entry, layout: str = "") -> Standing | None:
    """The chooser in one memory layout ("" or "-channels-last") against all others that were given that layout.

    None where the chooser or everybody else did not take part.
    """
    found = {name: seconds for name, seconds in times(entry).items() if name.endswith(LAST) == bool(layout)}
    auto = found.pop("auto" + layout, None)
    if auto is None or not found:
        return None
    rival = min(found, key=lambda name: found[name])
    alike = {name for name in found if _is_same(entry["results"], "auto" + layout, name)}
    others = [found[name] for name in found.keys() - alike]
    choice = max(min(auto, *(found[name] for name in alike), math.inf) / min(others), 1.0) if others else None
    return Standing(entry["name"] + layout.replace("-", " "), auto, rival, found[rival], choice)


def _is_same(results: Mapping[str, Entry], auto: str, name: str) -> bool:
    """Whether a contestant runs the chooser's plan: our engine with equal passes, or torch if all is left to it."""
    passes = (results[auto].get("engines"), results[auto].get("channels_last"))
    if "engines" in results[name]:
        return passes == (results[name]["engines"], results[name].get("channels_last"))
    engines, layouts = (set(part or ()) for part in passes)
    return name.removesuffix(LAST) == "torch" and engines == {"direct"} and layouts == {auto.endswith(LAST)}


def standings(entries: Iterable[Entry]) -> list[Standing]:
    """Those of all points and layouts that have one, the worst first."""
    found = [place for entry in entries for layout in ("", LAST) if (place := standing(entry, layout))]
    return sorted(found, key=lambda place: -place.ratio)


def near_share(places: Sequence[Standing]) -> float:
    """Share of points at which the chooser is near the fastest."""
    return sum(place.ratio <= NEAR for place in places) / len(places)


def choices(places: Iterable[Standing]) -> list[float]:
    """How good the choice was wherever there was one, the worst first."""
    return sorted((place.choice for place in places if place.choice is not None), reverse=True)


def ratios(entries: Iterable[Entry]) -> dict[str, list[float]]:
    """For every peer, its time over the chooser's at each point that both took part in."""
    found: dict[str, list[float]] = {}
    for entry in entries:
        seconds = times(entry)
        for name in seconds.keys() - set(OURS):
            ours = "auto" + LAST if name.endswith(LAST) else "auto"
            if ours in seconds:
                found.setdefault(name, []).append(seconds[name] / seconds[ours])
    return dict(sorted(found.items()))


def largest_error(entries: Iterable[Entry], name: str = "auto") -> float:
    """Largest relative error of a contestant, values and gradients."""
    errors = [max(entry["results"][name]["errors"].values()) for entry in entries if name in times(entry)]
    return max(errors, default=math.nan)


def summary_lines(entries: Sequence[Entry]) -> list[str]:
    """The verdict in words: first the rule, then every loss, then the wins."""
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
    """The share of good choices, if there were any."""
    found = choices(places)
    if not found:
        return []
    share = 100 * sum(choice <= NEAR for choice in found) / len(found)
    return [
        "Counting all that run auto's own plan as one, which takes out most of the noise and our call's overhead: "
        f"{share:.1f} % of {len(found)}, at worst {found[0]:.2f}x."
    ]


def choice_note(place: Standing) -> str:
    """How good the choice was, in brackets."""
    return "" if place.choice is None else f" (choice {place.choice:.2f}x)"


def failed(entry: Entry) -> dict[str, str]:
    """Contestants that raised an error or gave a wrong result, with what happened."""
    return {name: result["failed"] for name, result in entry["results"].items() if "failed" in result}


def slope(points: Mapping[float, float]) -> float | None:
    """Exponent of a power law fitted to {size: seconds} on logarithmic axes; None for fewer than two sizes.

    Example:
        >>> slope({1: 2.0, 10: 20.0, 100: 200.0})
        1.0
    """
    if len(points) < 2:
        return None
    sizes, seconds = zip(*((math.log(size), math.log(value)) for size, value in points.items()), strict=True)
    return round(statistics.linear_regression(sizes, seconds).slope, 12)


def short_commit(commit: str | None) -> str:
    """Ten digits, and whether the files were changed since."""
    return "unknown" if commit is None else commit[:10] + "-dirty" * commit.endswith("-dirty")
