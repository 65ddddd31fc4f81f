"""Checked settings: types, ranges, and errors that name the key and the nearest known one."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

_Config = TypeVar("_Config", bound="Checked")
# YAML 1.1 reads 1e-2 (no dot) as text; people mean a number.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+")


def note(
    text: str,
    *,
    low: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> dict[str, Any]:
    """Metadata of a setting: help text and range, ``low <= value``, ``above < value``, ``value < below``."""
    return {"help": text, "low": low, "above": above, "below": below}


class Checked:
    """Base of frozen dataclasses: every field is checked for type and range when it is made."""

    section: ClassVar[str] = ""

    def __init_subclass__(cls, *, section: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.section = section

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for item in dataclasses.fields(self):  # type: ignore[arg-type]
            key = self.section + item.name
            value = convert(getattr(self, item.name), hints[item.name], key)
            check_range(value, item.metadata, key)
            object.__setattr__(self, item.name, value)

    @classmethod
    def build(cls: type[_Config], values: Mapping[str, Any]) -> _Config:
        """Instance from a mapping; a missing key without default is a ``ValueError`` that names it."""
        for item in dataclasses.fields(cls):  # type: ignore[arg-type]
            required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
            if required and item.name not in values:
                raise ValueError(f"missing key `{cls.section}{item.name}` ({item.metadata['help']}).")
        return cls(**values)


def convert(value: Any, hint: Any, key: str) -> Any:
    """``value`` as the type ``hint``, without lossy conversions; else a ``ValueError`` naming ``key``."""
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    if hint == tuple[str, ...]:
        return _strings(value, key)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    expected = typing.get_origin(hint) or hint
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        raise ValueError(f"`{key}` must be {_WORDS.get(expected, expected.__name__)}, got {value!r}.")
    return value


_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Mapping: "a mapping"}


def _strings(value: Any, key: str) -> tuple[str, ...]:
    if value is None:
        return ()
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) for item in items):
        raise ValueError(f"`{key}` must be a list of texts, got {value!r}.")
    return tuple(items)


def check_range(value: Any, limits: Mapping[str, Any], key: str) -> None:
    """``ValueError`` unless ``value`` is None, not a number, or inside the range that :func:`note` states."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return
    if not math.isfinite(value):
        raise ValueError(f"`{key}` must be finite, got {value}.")
    low, above, below = (limits.get(name) for name in ("low", "above", "below"))
    rules = []
    if low is not None:
        rules.append((value >= low, f"at least {low:g}"))
    if above is not None:
        rules.append((value > above, f"above {above:g}"))
    if below is not None:
        rules.append((value < below, f"below {below:g}"))
    if not all(fits for fits, _ in rules):
        raise ValueError(f"`{key}` must be {' and '.join(words for _, words in rules)}, got {value:g}.")


def number_like(value: Any) -> Any:
    """Texts such as ``1e-2`` to floats, at any depth."""
    if isinstance(value, Mapping):
        return {key: number_like(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [number_like(item) for item in value]
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


def unknown_key(key: str, known: Iterable[str]) -> ValueError:
    """The error of an unknown key, with the nearest known one, or with all of them when none is near."""
    known = list(known)
    hint = nearest(key, known)
    return ValueError(
        f"unknown key `{key}`; did you mean `{hint}`?" if hint else f"unknown key `{key}`; known: {', '.join(known)}."
    )


def nearest(key: str, known: Iterable[str]) -> str | None:
    """The most similar of ``known``, by the last part of dotted keys first; None when nothing is near."""

    def likeness(a: str, b: str) -> float:
        return difflib.SequenceMatcher(None, a, b).ratio()

    def score(candidate: str) -> tuple[float, float]:
        return likeness(key.rpartition(".")[2], candidate.rpartition(".")[2]), likeness(key, candidate)

    best = max(known, key=score, default=None)
    return best if best is not None and max(score(best)) >= 0.6 else None


def model_option_names(name: str) -> list[str]:
    """Options a recipe may give to the model ``name``; empty when there is no such model."""
    from flexkern.models import list_models, model_options

    known = model_options(name) if name in list_models() else []
    return [option for option in known if option not in ("in_channels", "classes")]
