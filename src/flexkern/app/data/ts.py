"""The UEA/UCR text format .ts: a header of @tags, then one line per sample, "1,2,3:4,5,6:label".

Reference: Bagnall et al., "The UEA multivariate time series classification archive, 2018", arXiv 1811.00075.
Dimensions are separated by colons, values by commas; the label comes last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .files import LOCAL_COPY, naming, only_file, read_bytes
from .sequences import series_task, stack_series
from .task import Task

COMMENT = ("#", "%")
Series = NDArray[np.float32]
"""Values (C, T)."""


@dataclass(frozen=True)
class TsFile:
    """One parsed file: class names in the order of its header, series (C, T_i), and the label of each."""

    class_names: tuple[str, ...]
    series: list[Series]
    labels: list[str]

    @property
    def dimensions(self) -> int:
        """C."""
        return len(self.series[0])

    @property
    def longest(self) -> int:
        """Steps of the longest series."""
        return max(values.shape[1] for values in self.series)


def read_ts(path: Path, name: str | None = None) -> Task:
    """Read a pair NAME_TRAIN.ts and NAME_TEST.ts; shorter series are padded with zeros at the end.

    Args:
        path: Either file, or a folder with one pair.
        name: Name of the task; None takes NAME.

    Raises:
        FileNotFoundError: One of the pair is missing.
        ValueError: A file is refused by `parse_ts`, or the two differ in classes or dimensions.
    """
    path = only_file(path, "*_TRAIN.ts")
    stem = path.stem.removesuffix("_TRAIN").removesuffix("_TEST")
    train_path = path.with_name(f"{stem}_TRAIN.ts")
    test_path = path.with_name(f"{stem}_TEST.ts")
    for file_path in (train_path, test_path):
        if not file_path.is_file():
            raise FileNotFoundError(
                f"{file_path}: no such file, a pair NAME_TRAIN.ts, NAME_TEST.ts is read; {LOCAL_COPY}."
            )
    train = parse_ts(train_path)
    test = parse_ts(test_path)
    same_classes = set(train.class_names) == set(test.class_names)
    if not same_classes or train.dimensions != test.dimensions:
        raise ValueError(f"{test_path}: must have the classes and dimensions of {train_path.name}.")
    steps = max(train.longest, test.longest)
    series = {}
    lengths = {}
    labels = {}
    for subset, file in (("train", train), ("test", test)):
        indices = [train.class_names.index(label) for label in file.labels]
        labels[subset] = torch.tensor(indices)
        series[subset], lengths[subset] = stack_series(file.series, steps)
    with naming(path):
        return series_task(name or stem, series, labels, train.class_names, lengths)


def parse_ts(path: Path) -> TsFile:
    """Parse one .ts file.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: @data or @classLabel is missing, the file has time stamps, a value is missing (`?` or NaN) or no
            number, a label is not in the header, or dimensions differ. The message gives the number of the line.
    """
    lines = read_bytes(path).decode(errors="replace").splitlines()  # Comments may be in any encoding.
    with naming(path):
        tags, first_sample = _parse_header(lines)
        class_names = _parse_class_names(tags)
        series: list[Series] = []
        labels: list[str] = []
        for number, line in enumerate(lines[first_sample:], first_sample + 1):
            if not line.strip() or line.startswith(COMMENT):
                continue
            with naming(f"line {number}"):
                values, label = _parse_sample(line, class_names)
                _check_dimensions(values, series)
            series.append(values)
            labels.append(label)
        if not series:
            raise ValueError("must have samples after @data, found none.")
        _check_shape(tags, series)
    return TsFile(class_names, series, labels)


def _parse_header(lines: Sequence[str]) -> tuple[dict[str, str], int]:
    """Return the values of the tags, whose names are lower case, and the index of the line after @data."""
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


def _parse_class_names(tags: dict[str, str]) -> tuple[str, ...]:
    if tags.get("timestamps", "false").lower() == "true":
        raise ValueError("must have @timeStamps false; series with time stamps are not read.")
    words = tags.get("classlabel", "").split()
    if len(words) < 2 or words[0].lower() != "true":
        raise ValueError("must name its classes: `@classLabel true a b`; regression targets are not read.")
    return tuple(words[1:])


def _parse_sample(line: str, class_names: Sequence[str]) -> tuple[Series, str]:
    """Return the series and the label of one line."""
    *dimensions, label = line.split(":")
    label = label.strip()
    values = _parse_values(dimensions)
    if label not in class_names:
        raise ValueError(f"label must be one of {' '.join(class_names)}, got {label!r}.")
    return values, label


def _parse_values(dimensions: Sequence[str]) -> Series:
    rows = [_parse_row(dimension.strip()) for dimension in dimensions]
    lengths = {len(row) for row in rows}
    if len(lengths) != 1:
        raise ValueError("must be dimensions of one length and a label, separated by colons.")
    values = np.stack(rows)
    if not np.isfinite(values).all():
        raise ValueError("has missing values (NaN) or infinity; fill them in first.")
    return values


def _parse_row(dimension: str) -> NDArray[np.float32]:  # -> (T,)
    try:
        return np.array(dimension.split(","), dtype=np.float32)
    except ValueError as error:
        if "?" in dimension:
            raise ValueError("has missing values (?); fill them in first.") from error
        raise ValueError(f"values must be numbers and commas ({error}).") from error


def _check_dimensions(values: Series, earlier: Sequence[Series]) -> None:
    if not earlier:
        return
    expected = len(earlier[0])
    if len(values) != expected:
        raise ValueError(f"must have {expected} dimensions, got {len(values)}.")


def _check_shape(tags: dict[str, str], series: Sequence[Series]) -> None:
    """Raise a ValueError if the data contradict their header, as in a truncated or mislabelled file."""
    dimensions = str(len(series[0]))
    expected_dimensions = tags.get("dimensions") or tags.get("dimension")
    if expected_dimensions and expected_dimensions != dimensions:
        raise ValueError(f"must have the @dimensions {expected_dimensions} of its header, got {dimensions}.")
    lengths = {values.shape[1] for values in series}
    shortest = min(lengths)
    longest = max(lengths)
    equal_length = tags.get("equallength", "").lower() == "true"
    if equal_length and shortest != longest:
        raise ValueError(f"must have one length (@equalLength true), got {shortest}..{longest}.")
    expected_length = tags.get("serieslength")
    if expected_length and shortest == longest and expected_length != str(longest):
        raise ValueError(f"must have the @seriesLength {expected_length} of its header, got {longest}.")
