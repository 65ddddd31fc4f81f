"""The UEA/UCR text format .ts: a header of @tags, then one line a sample, "1,2,3:4,5,6:label".

Reference: Bagnall et al., "The UEA multivariate time series classification archive, 2018", arXiv 1811.00075.
Dimensions are separated by colons, values by commas; the label is last.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .files import LOCAL_COPY, naming, only_file, read_bytes
from .sequences import series_task, stack_series
from .task import Task

COMMENT = ("#", "%")


@dataclass(frozen=True)
class TsFile:
    """One parsed file: class names in the order of its header, series (C, T_i), the label of each."""

    names: tuple[str, ...]
    series: list[NDArray[np.float32]]
    labels: list[str]


def read_ts(path: Path, name: str | None = None) -> Task:
    """A pair NAME_TRAIN.ts and NAME_TEST.ts; unequal lengths are padded with zeros at the end.

    Args:
        path: either file, or a folder with one pair.
        name: name of the task; None takes NAME.

    Raises:
        FileNotFoundError: one of the pair is missing.
        ValueError: see `parse_ts`; training and test parts that do not fit each other.
    """
    train_path = only_file(path, "*_TRAIN.ts")
    stem = train_path.stem.removesuffix("_TRAIN").removesuffix("_TEST")
    paths = {part: train_path.with_name(f"{stem}_{part.upper()}.ts") for part in ("train", "test")}
    missing = [path for path in paths.values() if not path.is_file()]
    if missing:
        wanted = "a pair NAME_TRAIN.ts, NAME_TEST.ts is read"
        raise FileNotFoundError(f"{missing[0]}: no such file, {wanted}; {LOCAL_COPY}.")
    files = {part: parse_ts(path) for part, path in paths.items()}
    train, test = files["train"], files["test"]
    if set(train.names) != set(test.names) or len(train.series[0]) != len(test.series[0]):
        raise ValueError(f"{paths['test']}: must have the classes and dimensions of {paths['train'].name}.")
    steps = max(one.shape[1] for file in files.values() for one in file.series)
    stacked = {part: stack_series(file.series, steps) for part, file in files.items()}
    index = {label: i for i, label in enumerate(train.names)}
    labels = {part: torch.tensor([index[label] for label in file.labels]) for part, file in files.items()}
    with naming(train_path):
        x, lengths = ({part: pair[i] for part, pair in stacked.items()} for i in (0, 1))
        return series_task(name or stem, x, labels, train.names, lengths)


def parse_ts(path: Path) -> TsFile:
    """One .ts file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no @data or @classLabel, time stamps, missing values (`?` or NaN), a value that is no
            number, a label that the header does not list, dimensions that differ; with the line's number.
    """
    lines = read_bytes(path).decode(errors="replace").splitlines()  # comments may be in any encoding
    with naming(path):
        tags, start = _header(lines)
        names = _class_names(tags)
        series: list[NDArray[np.float32]] = []
        labels = []
        for number, line in enumerate(lines[start:], start + 1):
            if not line.strip() or line.startswith(COMMENT):
                continue
            *dimensions, label = (field.strip() for field in line.split(":"))
            one = _values(dimensions, number)
            if label not in names:
                raise ValueError(f"line {number}: label must be one of {' '.join(names)}, got {label!r}.")
            if series and len(one) != len(series[0]):
                raise ValueError(f"line {number}: must have {len(series[0])} dimensions, got {len(one)}.")
            series.append(one)
            labels.append(label)
        if not series:
            raise ValueError("must have samples after @data, found none.")
        _check_shape(tags, series)
        return TsFile(names, series, labels)


def _header(lines: list[str]) -> tuple[dict[str, str], int]:
    """Tags in lower case -> rest of their line, and the index of the line after @data."""
    tags: dict[str, str] = {}
    for index, line in enumerate(lines):
        text = line.strip()
        if text.lower() == "@data":
            return tags, index + 1
        if text.startswith("@"):
            tag, _, value = text[1:].partition(" ")
            tags[tag.lower()] = value.strip()
        elif text and not text.startswith(COMMENT):
            break
    raise ValueError("must be a .ts file: lines with @tags, then @data.")


def _class_names(tags: dict[str, str]) -> tuple[str, ...]:
    if tags.get("timestamps", "false").lower() == "true":
        raise ValueError("must have @timeStamps false; series with time stamps are not read.")
    known, *names = tags.get("classlabel", "").split() or ["false"]
    if known.lower() != "true" or not names:
        raise ValueError("must name its classes: `@classLabel true a b`; regression targets are not read.")
    return tuple(names)


def _values(dimensions: list[str], number: int) -> NDArray[np.float32]:  # -> (C, T)
    rows: list[NDArray[Any]] = []
    for dimension in dimensions:
        try:
            rows.append(np.array(dimension.split(","), dtype=np.float32))
        except ValueError as error:
            if "?" in dimension:
                raise ValueError(f"line {number}: has missing values (?); fill them in first.") from error
            raise ValueError(f"line {number}: values must be numbers and commas ({error}).") from error
    if not rows or len({len(row) for row in rows}) != 1:
        raise ValueError(f"line {number}: must be dimensions of one length and a label, separated by colons.")
    one = np.stack(rows)
    if not np.isfinite(one).all():
        raise ValueError(f"line {number}: has missing values (NaN) or infinity; fill them in first.")
    return one


def _check_shape(tags: dict[str, str], series: list[NDArray[np.float32]]) -> None:
    """Refuses data that contradict their header, as a truncated or mislabelled file does."""
    dimensions = tags.get("dimensions") or tags.get("dimension")
    if dimensions and dimensions != str(len(series[0])):
        raise ValueError(f"must have the @dimensions {dimensions} of its header, got {len(series[0])}.")
    lengths = {one.shape[1] for one in series}
    if tags.get("equallength", "").lower() == "true" and len(lengths) > 1:
        raise ValueError(f"must have one length (@equalLength true), got {min(lengths)}..{max(lengths)}.")
    stated = tags.get("serieslength")
    if stated and len(lengths) == 1 and stated != str(*lengths):
        raise ValueError(f"must have the @seriesLength {stated} of its header, got {max(lengths)}.")
