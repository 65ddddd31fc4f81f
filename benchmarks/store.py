"""A file of results that is written point by point and can be continued."""

from __future__ import annotations

import json
import platform
from collections.abc import Collection
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from flexkern._support.atomic import write_json
from flexkern.app.training.record import command_without_places, commit, machine
from flexkern.engines import costs_origin

PACKAGES = ("flexkern", "torch", "numpy", "fft-conv-pytorch", "torch-fftconv", "julius", "nvsubquadratic")

Entry = dict[str, Any]


class ResultsFile:
    """Results as one JSON object: how they were obtained, and ``points``, each a mapping with a ``name``.

    Every point records the commit and the number of threads it was measured with. Points of another commit are
    measured again. The file is rewritten after every point, so an interrupted run loses one point at most.
    """

    def __init__(self, path: str | Path, **about: Any) -> None:
        self.path = Path(path)
        self.stamp = {"commit": commit(), "threads": torch.get_num_threads()}
        self.header = {**describe_setting(), **about}
        self.points: dict[str, Entry] = {point["name"]: point for point in read_points(self.path)}

    def has(self, name: str, contestants: Collection[str]) -> bool:
        """Return whether the point was measured in this setting for all ``contestants``."""
        point = self.points.get(name)
        return (
            point is not None
            and {key: point.get(key) for key in self.stamp} == self.stamp
            and set(contestants) <= set(point["results"])
        )

    def add(self, point: Entry) -> None:
        """Add a point and write the file."""
        written = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self.points[point["name"]] = {**point, **self.stamp, "written": written}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, {**self.header, "points": list(self.points.values())})


def read_points(path: str | Path) -> list[Entry]:
    """Return the points of a results file, none if it does not exist.

    Raises:
        ValueError: the file holds something else.
    """
    try:
        points = json.loads(Path(path).read_text(encoding="utf-8"))["points"]
        return [{**point, "name": str(point["name"]), "results": dict(point["results"])} for point in points]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is not a file of benchmark results: {error!r}; give another `--out`.") from error


def describe_setting() -> Entry:
    """Return command, versions, commit ("-dirty" if files changed), machine, origin of the cost constants and date."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    date = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {
        "command": command_without_places(),
        "versions": versions,
        "commit": commit(),
        "machine": machine(),
        "costs": costs_origin(),
        "date": date,
    }
