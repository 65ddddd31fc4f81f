"""The ledger of an experiment: its runs in a JSON file that is written after each of them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from flexkern.app.training.record import write_result

Result = dict[str, Any]
Runs = dict[str, list[Result]]


class Ledger:
    """Runs of an experiment by contestant, and the file that stores them.

    The file is written after every run. A second call with the same settings reads it and continues with the runs that
    are missing.

    Args:
        out: the file.
        settings: facts that all runs of the file share, such as the number of epochs; stored in it.
        read: returns the runs in the content of a file.
        summarise: returns what the file stores about runs: the runs themselves, their means and deviations.

    Raises:
        ValueError: ``out`` has results of other settings, or no results.
    """

    def __init__(
        self,
        out: str | Path,
        settings: Mapping[str, Any],
        *,
        read: Callable[[Result], Runs],
        summarise: Callable[[Runs], Result],
    ) -> None:
        self.out = Path(out)
        self.result = read_results(out, settings)
        self.runs = read(self.result) if self.result else {}
        self.result.update(settings)
        self._summarise = summarise

    def find(self, contestant: str, seed: int) -> Result | None:
        """Return the stored run of a contestant and a seed, or None."""
        for run in self.runs.get(contestant, []):
            if run["seed"] == seed:
                return run
        return None

    def missing(self, contestants: Iterable[str], seeds: Iterable[int]) -> list[tuple[int, str]]:
        """Return the pairs of seed and contestant that have no run, one seed after the other."""
        pairs = itertools.product(seeds, contestants)
        return [(seed, name) for seed, name in pairs if self.find(name, seed) is None]

    def add(self, contestant: str, run: Result) -> None:
        """Add a run and write the file."""
        self.runs.setdefault(contestant, []).append(run)
        self.write(self._summarise(self.runs))

    def write(self, content: Mapping[str, Any]) -> Result:
        """Write the settings with other content, the command, the machine and the versions; return all of it."""
        self.result.update(content)
        self.result = write_result(self.out, self.result)
        return self.result


def read_results(out: str | Path, settings: Mapping[str, Any]) -> Result:
    """Return the content of a file of results, empty if there is none.

    Raises:
        ValueError: ``out`` has results of other settings, or no results.

    Example:
        >>> read_results("nowhere.json", {"epochs": 4})
        {}
    """
    path = Path(out)
    if not path.is_file():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{out} does not hold results ({error}): give another `--out`.") from None
    if not isinstance(stored, dict):
        raise ValueError(f"{out} does not hold results: give another `--out`.")
    expected = json.loads(json.dumps(settings))  # tuples become lists, as in the file
    for key, value in expected.items():
        if stored.get(key) != value:
            raise ValueError(
                f"{out} has results of other settings: `{key}` must be {value}, got {stored.get(key)}; "
                f"give another `--out`."
            )
    return stored


def read_entries(result: Result, group: str) -> Runs:
    """Return the runs of the entries under a key, such as ``nets``.

    Example:
        >>> read_entries({"nets": {"plain": {"runs": [{"seed": 0}]}}}, "nets")
        {'plain': [{'seed': 0}]}
    """
    return {name: entry["runs"] for name, entry in result.get(group, {}).items()}
