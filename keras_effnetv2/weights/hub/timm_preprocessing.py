"""Conversion between timm's preprocessing fields and our record.

Source: timm 1.0.31, `data/config.py`: fields and their defaults.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from keras_effnetv2.preprocessing import NORMALIZATIONS, Preprocessing

_DIGITS = 9  # Digits that survive a division by 255 and a multiplication.
# google/automl, efficientnetv2: preprocessing.py.
_CROP_MARGIN = 32
_CROP_LIMIT = 320


def to_record(fields: Mapping[str, Any]) -> Preprocessing:
    """The record of checked timm fields, without labels.

    Args:
        fields: `input_size` `(channels, side, side)`; perhaps `mean` and `std` of
            pixels 0..1, `interpolation`, `crop_pct` and `crop_mode`.

    Raises:
        ValueError: a value that no record can have.
    """
    channels, size, _ = fields["input_size"]
    mean, std = NORMALIZATIONS["torch"]
    if channels != len(mean):
        mean, std = ((sum(x) / len(x),) for x in (mean, std))
    if fields.get("mean"):
        mean = tuple(255 * x for x in fields["mean"])
    if fields.get("std"):
        std = tuple(255 * x for x in fields["std"])
    return Preprocessing(
        mean,
        std,
        fields.get("interpolation") or "bicubic",
        fields.get("crop_mode") or "center",
        size,
        crop_pct=fields.get("crop_pct") or 0.875,
    )


def to_fields(record: Preprocessing, channels: int = 3) -> dict[str, Any]:
    """A record as timm's fields; for Google's crops, the nearest that timm has."""
    size, mode, share = record.image_size, record.crop, record.crop_pct
    if mode == "center_below_320":
        mode = "center" if size < _CROP_LIMIT else "squash"
    if share is None:
        share = size / (size + _CROP_MARGIN) if mode == "center" else 1.0
    mean, std = (
        [round(x / 255, _DIGITS) for x in values]
        * (channels if len(values) == 1 else 1)
        for values in (record.mean, record.std)
    )
    return {
        "input_size": [channels, size, size],
        "interpolation": record.interpolation,
        "crop_pct": round(share, _DIGITS),
        "crop_mode": mode,
        "mean": mean,
        "std": std,
    }


def is_same(one: Preprocessing, other: Preprocessing) -> bool:
    """Whether two records have the same timm fields."""
    return to_fields(one) == to_fields(other)


def without_labels(record: Preprocessing) -> dict[str, Any]:
    """The record in JSON's types, without labels."""
    values = dataclasses.asdict(record)
    del values["labels"]
    return values
