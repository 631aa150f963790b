"""Networks as files: a `Variant` as JSON, checked when it is read.

write_variant(variant, "found.json")
variant = read_variant("found.json")

A file may come from anywhere: everything in it is checked before a `Variant` is made
from it, and networks too large to build are refused.
"""

import dataclasses
import json
import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from keras_effnetv2.errors import InputError
from keras_effnetv2.files import check_name, replace_file
from keras_effnetv2.networks.architecture import (
    CHOICES,
    FUSED_MBCONV,
    MBCONV,
    BlockSpec,
    Variant,
)
from keras_effnetv2.paths import AnyPathLike, as_path

SUFFIX = ".json"

# Version of the file's layout, increased with each change.
_FORMAT = "keras_effnetv2 variant, version 1"
# XL takes 2 kB.
_MAX_BYTES = 100_000
# XL has 100 blocks; EfficientNet V1's L2 has layers of 5,504 channels.
_MAX_BLOCKS = 1000
_MAX_FILTERS = 32_768
_MAX_SIDE = 8192


class _Number(NamedTuple):
    """A number from `low` to `high`."""

    low: float
    high: float
    is_whole: bool = True

    def accepts(self, value: Any) -> bool:
        kinds = int if self.is_whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            return False
        return self.low <= value <= self.high  # NaN is in no range.

    def __str__(self) -> str:
        kind = "a whole number" if self.is_whole else "a number"
        return f"{kind} from {self.low} to {self.high}"


# `BlockSpec` and `Variant` check themselves too; here are types and maximum sizes.
# fmt: off
_BLOCK_NUMBERS = {
    "kernel_size":  _Number(1, 15),
    "strides":      _Number(1, 2),
    "expand_ratio": _Number(1, 16, is_whole=False),
    "filters":      _Number(1, _MAX_FILTERS),
    "num_repeats":  _Number(1, _MAX_BLOCKS),
    "se_ratio":     _Number(0, 1, is_whole=False),
}
_VARIANT_NUMBERS = {
    "stem_filters":      _Number(1, _MAX_FILTERS),
    "train_size":        _Number(1, _MAX_SIDE),
    "eval_size":         _Number(1, _MAX_SIDE),
    "dropout_rate":      _Number(0, 1, is_whole=False),
    "width_coefficient": _Number(1e-3, 100, is_whole=False),
    "depth_coefficient": _Number(1e-3, 100, is_whole=False),
    "drop_path_rate":    _Number(0, 1, is_whole=False),
    "top_filters":       _Number(1, _MAX_FILTERS),
    "filter_divisor":    _Number(1, 1024),
    "min_filter_share":  _Number(0, 1, is_whole=False),
    "bn_epsilon":        _Number(1e-12, 1, is_whole=False),
}
# fmt: on
_BLOCK_CHOICES = {
    "operator": (MBCONV, FUSED_MBCONV),
    "always_expand": (False, True),
}
# Fields that files of earlier versions lack. They are written only if they differ from
# those versions, so that these can read every network that they can build.
_LATER_OF_VARIANT = (*CHOICES, "bn_epsilon")
_LATER_OF_BLOCK = ("always_expand",)


def is_variant_file(name: str | os.PathLike | Variant) -> bool:
    """Whether `name` is the name of a file, not of a published variant."""
    is_path = isinstance(name, os.PathLike)
    return is_path or (isinstance(name, str) and name.endswith(SUFFIX))


def write_variant(variant: Variant, path: AnyPathLike) -> None:
    """Writes `variant` as JSON, atomically.

    Args:
        variant: e.g. a network that a search has found.
        path: where to write; must end in `.json`.

    Raises:
        ValueError: another suffix, a missing folder, or a variant that could not be
            read back.
    """
    target = as_path(path)
    if target.suffix != SUFFIX:
        raise InputError(f"A variant file must end in {SUFFIX}. Received: {target}.")
    check_variant(variant)
    try:
        replace_file(target, to_json(variant).encode())
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror}.") from error


def check_variant(variant: Variant) -> None:
    """Refuses a variant that cannot be saved in a file.

    Raises:
        ValueError: it could not be read back; the message says why.
    """
    from_values(to_values(variant))


def read_variant(path: AnyPathLike) -> Variant:
    """The variant that `write_variant` wrote to the file `path`.

    Raises:
        ValueError: there is no such file, or it contains something else.
    """
    source = as_path(path)
    if not source.is_file():  # A pipe would block.
        raise InputError(
            f"There is no variant file {source}. Expected the path of a file that "
            "write_variant or a search wrote."
        )
    try:
        with source.open("rb") as file:
            contents = file.read(_MAX_BYTES + 1)
        if len(contents) > _MAX_BYTES:
            raise InputError(f"It has more than {_MAX_BYTES:,} bytes")
        return from_json(contents.decode("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{source} is not a variant file. {error}") from error


def to_json(variant: Variant) -> str:
    """All of `variant`, one row of blocks per line, for people and for `from_json`."""
    values = to_values(variant)
    rows = values.pop("blocks")
    lines = [
        f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in values.items()
    ]
    blocks = ",\n".join(f"    {json.dumps(row)}" for row in rows)
    lines.append(f'  "blocks": [\n{blocks}\n  ]')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def to_values(variant: Variant) -> dict[str, Any]:
    """All of `variant` in JSON's types, for `from_values`."""
    return {"format": _FORMAT, **to_fields(variant)}


def to_fields(variant: Variant) -> dict[str, Any]:
    """The same without the file's format, to compare with earlier files."""
    values = _without_defaults(variant, _LATER_OF_VARIANT)
    blocks = [_without_defaults(spec, _LATER_OF_BLOCK) for spec in variant.blocks]
    return {**values, "blocks": blocks}


def _without_defaults(
    part: Variant | BlockSpec, later: tuple[str, ...]
) -> dict[str, Any]:
    """All fields of a network or a row; only those `later` ones that differ."""
    return {
        field.name: getattr(part, field.name)
        for field in dataclasses.fields(part)
        if field.name not in later or getattr(part, field.name) != field.default
    }


def from_json(text: str) -> Variant:
    """The inverse of `to_json`.

    Raises:
        ValueError: not JSON, a field missing, unknown or out of range, or a network
            too large to build.
    """
    try:
        values = json.loads(
            text, object_pairs_hook=_without_twins, parse_constant=_no_number
        )
    except RecursionError as error:
        raise InputError("It is not JSON of a variant: too deep.") from error
    except ValueError as error:
        raise InputError(f"It is not JSON of a variant: {error}.") from error
    return from_values(values)


def from_values(values: Any) -> Variant:
    """The inverse of `to_values`.

    Raises:
        ValueError: a field missing, unknown or out of range, or a network too large to
            build.
    """
    expected = ("format", "name", "blocks", *_VARIANT_NUMBERS)
    _check_fields(values, expected, _LATER_OF_VARIANT, "The file")
    values = dict(values)
    if values.pop("format") != _FORMAT:
        raise InputError(f"Its format is not {_FORMAT!r}.")
    check_name(values["name"])
    _check_numbers(values, _VARIANT_NUMBERS, "")
    _check_choices(values, CHOICES, "")
    rows = values.pop("blocks")
    if not isinstance(rows, list) or not 1 <= len(rows) <= _MAX_BLOCKS:
        raise InputError(f"blocks must be a list of 1 to {_MAX_BLOCKS} rows.")
    blocks = tuple(_row(row, f"blocks[{number}]") for number, row in enumerate(rows))
    variant = Variant(blocks=blocks, **values)
    _check_size(variant)
    return variant


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose fields are unique."""
    values = dict(pairs)
    if len(values) < len(pairs):
        raise InputError("a field exists twice")
    return values


def _no_number(text: str) -> None:
    raise InputError(f"{text} is not a number")


def _row(row: Any, place: str) -> BlockSpec:
    _check_fields(row, ("operator", *_BLOCK_NUMBERS), _LATER_OF_BLOCK, place)
    _check_choices(row, _BLOCK_CHOICES, f"{place}.")
    _check_numbers(row, _BLOCK_NUMBERS, f"{place}.")
    return BlockSpec(**row)


def _check_fields(
    values: Any, expected: tuple[str, ...], later: tuple[str, ...], place: str
) -> None:
    found = set(values) if isinstance(values, dict) else set()
    needed = set(expected) - set(later)
    known = needed | set(later)
    if not needed <= found <= known:
        raise InputError(
            f"{place} must have exactly the fields {', '.join(sorted(needed))}, and "
            f"may have {', '.join(sorted(later))}. "
            f"Missing: {_short(sorted(needed - found))}. "
            f"Unknown: {_short(sorted(found - known))}."
        )


def _check_numbers(
    values: Mapping[str, Any], expected: Mapping[str, _Number], place: str
) -> None:
    for field, number in expected.items():
        if field in values and not number.accepts(values[field]):
            raise InputError(
                f"{place}{field} must be {number}. Received: {_short(values[field])}."
            )


def _check_choices(
    values: Mapping[str, Any], expected: Mapping[str, tuple], place: str
) -> None:
    for field, choices in expected.items():
        value = values.get(field, choices[0])
        # In Python 1 and 1.0 are equal to true.
        if type(value) is not type(choices[0]) or value not in choices:
            raise InputError(
                f"{place}{field} must be one of {json.dumps(choices)}. "
                f"Received: {_short(value)}."
            )


def _check_size(variant: Variant) -> None:
    """Checks the sizes that result from the coefficients."""
    num_blocks = sum(variant.scaled_repeats)
    if num_blocks > _MAX_BLOCKS:
        raise InputError(
            f"It has {num_blocks:,} blocks; the maximum is {_MAX_BLOCKS:,}. Lower "
            "num_repeats or depth_coefficient."
        )
    filters = [variant.stem_filters, variant.top_filters]
    filters += [spec.filters for spec in variant.blocks]
    most = math.ceil(max(filters) * variant.width_coefficient)
    if most > _MAX_FILTERS:
        raise InputError(
            f"It has a layer of {most:,} channels; the maximum is {_MAX_FILTERS:,}. "
            "Lower filters or width_coefficient."
        )


def _short(value: Any) -> str:
    """What was received, truncated if it is long."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
