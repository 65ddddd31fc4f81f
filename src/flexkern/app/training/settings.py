"""Checked settings: types, ranges, and errors that name the key and the nearest known one."""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from flexkern._support.nearest import nearest

_Config = TypeVar("_Config", bound="Checked")
# YAML 1.1 reads 1e-2 (no dot) as text, though a number is meant.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+")
_TYPE_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Mapping: "a mapping",
}


def note(
    text: str,
    *,
    low: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> dict[str, Any]:
    """Return the metadata of a setting: help text and range, ``low <= value``, ``above < value``, ``value < below``."""
    return {
        "help": text,
        "low": low,
        "above": above,
        "below": below,
    }


class Checked:
    """Base of frozen dataclasses whose fields are checked for type and range when they are created."""

    section: ClassVar[str] = ""

    def __init_subclass__(cls, *, section: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.section = section

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for item in dataclasses.fields(self):  # type: ignore[arg-type]
            key = self.section + item.name
            value = getattr(self, item.name)
            value = convert(value, hints[item.name], key)
            check_range(value, item.metadata, key)
            object.__setattr__(self, item.name, value)

    @classmethod
    def build(cls: type[_Config], values: Mapping[str, Any]) -> _Config:
        """Create an instance from a mapping; a missing key without default is a ``ValueError`` that names it."""
        for item in dataclasses.fields(cls):  # type: ignore[arg-type]
            has_default = item.default is not dataclasses.MISSING
            has_factory = item.default_factory is not dataclasses.MISSING
            if item.name not in values and not has_default and not has_factory:
                raise ValueError(f"missing key `{cls.section}{item.name}` ({item.metadata['help']}).")
        return cls(**values)


def convert(value: Any, hint: Any, key: str) -> Any:
    """Convert ``value`` to the type ``hint`` without loss; otherwise raise a ``ValueError`` that names ``key``."""
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint = _without_none(hint)
    if hint == tuple[str, ...]:
        return _to_texts(value, key)
    is_bool = isinstance(value, bool)
    if hint is float and isinstance(value, int) and not is_bool:
        return float(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    expected = typing.get_origin(hint) or hint
    if not isinstance(value, expected) or (is_bool and expected is not bool):
        type_name = _TYPE_NAMES.get(expected, expected.__name__)
        raise ValueError(f"`{key}` must be {type_name}, got {value!r}.")
    return value


def _without_none(hint: types.UnionType) -> Any:
    """Return the type T of the hint ``T | None``."""
    for option in typing.get_args(hint):
        if option is not type(None):
            return option
    raise TypeError(f"the hint {hint} allows None only.")


def _to_texts(value: Any, key: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    is_list = isinstance(value, (list, tuple))
    if not is_list or not all(isinstance(item, str) for item in value):
        raise ValueError(f"`{key}` must be a list of texts, got {value!r}.")
    return tuple(value)


def check_range(value: Any, limits: Mapping[str, Any], key: str) -> None:
    """Raise a ``ValueError`` if a number is outside the range of its :func:`note`; ignore other values."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return
    if not math.isfinite(value):
        raise ValueError(f"`{key}` must be finite, got {value}.")
    low = limits.get("low")
    above = limits.get("above")
    below = limits.get("below")
    rules = []
    in_range = True
    if low is not None:
        rules.append(f"at least {low:g}")
        in_range = in_range and value >= low
    if above is not None:
        rules.append(f"above {above:g}")
        in_range = in_range and value > above
    if below is not None:
        rules.append(f"below {below:g}")
        in_range = in_range and value < below
    if not in_range:
        raise ValueError(f"`{key}` must be {' and '.join(rules)}, got {value:g}.")


def number_like(value: Any) -> Any:
    """Convert texts such as ``1e-2`` to floats, at any depth of mappings and lists."""
    if isinstance(value, Mapping):
        return {key: number_like(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [number_like(item) for item in value]
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    return value


def unknown_key(key: str, known: Iterable[str]) -> ValueError:
    """Return the error of an unknown key, with the nearest known key, or with all of them if none is near."""
    known = list(known)
    suggestion = nearest(key, known)
    if suggestion is None:
        return ValueError(f"unknown key `{key}`; known: {', '.join(known)}.")
    return ValueError(f"unknown key `{key}`; did you mean `{suggestion}`?")


def model_option_names(name: str) -> list[str]:
    """Return the options that a recipe may give to the model ``name``; none if there is no such model."""
    from flexkern.models import list_models, model_options

    if name not in list_models():
        return []
    options = model_options(name)
    return [option for option in options if option not in ("in_channels", "classes")]
