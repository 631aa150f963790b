"""Dataclasses whose fields are checked against their type hints.

One function, `check`, serves constructors, the shell (`--set`) and JSON, so that a
wrong value gets the same error wherever it comes from.
"""

import ast
import dataclasses
import functools
import math
import types
import typing
from typing import Any

from keras_effnetv2.errors import InputError
from keras_effnetv2.training.progressive.stages import Ramp


@dataclasses.dataclass(frozen=True)
class Between:
    """Annotation of a number: `low <= number <= high`."""

    low: float
    high: float = math.inf


Whole = typing.Annotated[int, Between(0)]
Count = typing.Annotated[int, Between(1)]
Amount = typing.Annotated[float, Between(0)]
Share = typing.Annotated[float, Between(0, 1)]


@dataclasses.dataclass(frozen=True)
class Checked:
    """Base of dataclasses of numbers, texts, choices, tuples, ramps and groups."""

    def __post_init__(self) -> None:
        for name, hint in hints(type(self)).items():
            value = check(getattr(self, name), hint, name)
            object.__setattr__(self, name, value)


@functools.cache
def hints(group: type) -> dict[str, Any]:
    """Names of the fields of a dataclass and their types, in order."""
    every = typing.get_type_hints(group, include_extras=True)
    return {field.name: every[field.name] for field in dataclasses.fields(group)}


def check(value: Any, hint: Any, name: str) -> Any:
    """`value` converted to its type: integers to floats, lists to tuples or ramps.

    Raises:
        ValueError: a value of another type, or out of range.
    """
    for option in _options(hint):
        fitted = _fit(value, option)
        if fitted is not _NO_FIT:
            return fitted
    raise InputError(
        f"{name} must be {describe(hint)}. Received: {value!r} "
        f"({type(value).__name__})."
    )


def parse(text: str, hint: Any, name: str) -> Any:
    """The value of `text` from the shell, for a field of this type.

    Lists and ramps are numbers or words separated by commas; `none` is None.

    Raises:
        ValueError: as for `check`.
    """
    options = _options(hint)
    if text.lower() in ("none", "null") and types.NoneType in options:
        return None
    if tuple[str, ...] in options:
        return tuple(word.strip() for word in text.split(",") if word.strip())
    if any(option is str or _is_choice(option) for option in options):
        return check(text, hint, name)
    words = {"true": "True", "false": "False"}
    try:
        value = ast.literal_eval(words.get(text.lower(), text))
    except (ValueError, SyntaxError, TypeError):
        value = text
    if isinstance(value, int) and not isinstance(value, bool) and _is_list(options):
        value = [value]
    return check(value, hint, name)


def describe(hint: Any) -> str:
    """A type in words."""
    return " or ".join(map(_describe_option, _options(hint)))


def choices(hint: Any) -> tuple[str, ...]:
    """The possible values of a type, as `parse` takes them; empty if there are many."""
    found: list[str] = []
    for option in _options(hint):
        if _is_choice(option):
            found += typing.get_args(option)
        found += _FEW.get(option, ())
    return tuple(found)


_NO_FIT = object()
_FEW = {bool: ("true", "false"), types.NoneType: ("none",)}
_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    types.NoneType: "none",
    Ramp: "a ramp (first,last) or one number",
    tuple[str, ...]: "words separated by commas",
    tuple[int, ...]: "whole numbers separated by commas",
}


def _options(hint: Any) -> tuple:
    """The members of a union, or the type itself."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def _is_choice(option: Any) -> bool:
    return typing.get_origin(option) is typing.Literal


def _is_list(options: tuple) -> bool:
    return tuple[int, ...] in options


def _describe_option(option: Any) -> str:
    if _is_choice(option):
        return "one of " + ", ".join(map(repr, typing.get_args(option)))
    if typing.get_origin(option) is typing.Annotated:
        kind, between = typing.get_args(option)
        if between.high == math.inf:
            return f"{_WORDS[kind]}, at least {between.low}"
        return f"{_WORDS[kind]} from {between.low} to {between.high}"
    return _WORDS.get(option) or f"a {option.__name__}"


def _fit(value: Any, option: Any) -> Any:
    """`value` converted to `option`, or `_NO_FIT`."""
    if _is_choice(option):
        return value if value in typing.get_args(option) else _NO_FIT
    origin = typing.get_origin(option)
    if origin is typing.Annotated:
        kind, between = typing.get_args(option)
        number = _fit(value, kind)
        inside = number is not _NO_FIT and between.low <= number <= between.high
        return number if inside else _NO_FIT
    if origin is tuple:
        return _fit_tuple(value, typing.get_args(option)[0])
    if option is float or option is Ramp:
        return _fit_number(value, option)
    if option is int and isinstance(value, bool):
        return _NO_FIT
    return value if isinstance(value, option) else _NO_FIT


def _fit_tuple(value: Any, kind: type) -> Any:
    if not isinstance(value, list | tuple):
        return _NO_FIT
    items = tuple(_fit(item, kind) for item in value)
    return _NO_FIT if any(item is _NO_FIT for item in items) else items


def _fit_number(value: Any, option: type) -> Any:
    """A finite number, or a ramp `[first, last]` of two; one number stands for both."""
    if isinstance(value, bool):
        return _NO_FIT
    if option is float:
        finite = isinstance(value, int | float) and math.isfinite(value)
        return float(value) if finite else _NO_FIT
    if isinstance(value, Ramp):
        return value
    ends = [*value] if isinstance(value, list | tuple) else [value, value]
    valid = len(ends) == 2 and all(_fit(end, float) is not _NO_FIT for end in ends)
    return Ramp(*ends) if valid else _NO_FIT
