"""A repository's `config.json`, in timm's format, and the network it describes.

It comes from strangers: every value is checked before it is used, and names of files
and addresses are ignored.

Source: timm 1.0.31, `models/_hub.py`.
"""

import dataclasses
import json
import math
import pathlib
import reprlib
from typing import Any

from keras_effnetv2.errors import InputError
from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.preprocessing import NUM_LABELS, Preprocessing
from keras_effnetv2.weights import labels
from keras_effnetv2.weights.hub import timm_preprocessing
from keras_effnetv2.weights.hub.architectures import ARCHITECTURES, variant_of

# Key of our own record, which is exact where timm's fields are not.
OWN_KEY = "keras_effnetv2"

_MAX_BYTES = 1 << 24  # With names and descriptions, 21,843 classes take 2 MB.
_MAX_CLASSES = 1_000_000
_MAX_SIDE = 10_000
_MAX_CHANNELS = 1024
_MAX_NAME = 1000  # Characters. Lemmas of a WordNet synset have up to 150.

# Arguments that do not change the network.
_HARMLESS_ARGUMENTS = {
    "drop_path_rate",
    "drop_rate",
    "global_pool",
    "img_size",
    "in_chans",
    "num_classes",
    "pretrained",
}


@dataclasses.dataclass(frozen=True)
class HubConfig:
    """What a repository states about its weights.

    Attributes:
        architecture: timm's name of the network.
        variant: our variant.
        num_classes: classes of the classifier; 0 without one.
        channels: channels of the images.
        preprocessing: preprocessing record, with the labels.
    """

    architecture: str
    variant: Variant
    num_classes: int
    channels: int
    preprocessing: Preprocessing


def read_config(path: pathlib.Path, name: str) -> HubConfig:
    """Reads the configuration in a file.

    Args:
        path: path of the file.
        name: name of the repository, for messages.

    Raises:
        ValueError: it is damaged, not timm's, of an unknown network, or has an invalid
            value.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise InputError(f"it has more than {_MAX_BYTES:,} bytes")
        return _config(json.loads(text))
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(f"config.json of {name} cannot be used: {reason}.") from error


def _config(found: Any) -> HubConfig:
    if not isinstance(found, dict):
        raise _bad("it", found, "an object of timm's format")
    # Early ones are flat.
    fields = found.get("pretrained_cfg", found)
    if not isinstance(fields, dict):
        raise _bad("pretrained_cfg", fields, "an object")
    architecture = found.get("architecture")
    is_text = isinstance(architecture, str)
    variant = variant_of(architecture) if is_text else None
    if not is_text or variant is None:
        raise _bad("architecture", architecture, f"one of {', '.join(ARCHITECTURES)}")
    _check_arguments(found.get("model_args") or {})
    num_classes = found.get("num_classes", fields.get("num_classes", 1000))
    if not _is_whole(num_classes, 0, _MAX_CLASSES):
        raise _bad("num_classes", num_classes, "a whole number")
    checked = _checked(fields)
    names = _labels({**fields, **found}, num_classes, fields.get("tag"))
    record = timm_preprocessing.to_record(checked)
    if names == "imagenet21k":  # Its classifiers were trained with sigmoids.
        record = dataclasses.replace(record, activation="sigmoid")
    record = _own_record(found.get(OWN_KEY), record)
    record = dataclasses.replace(record, labels=names)
    channels = checked["input_size"][0]
    return HubConfig(architecture, variant, num_classes, channels, record)


def _check_arguments(arguments: Any) -> None:
    if not isinstance(arguments, dict):
        raise _bad("model_args", arguments, "an object")
    if others := sorted(set(arguments) - _HARMLESS_ARGUMENTS):
        raise InputError(
            f"model_args has {reprlib.repr(others)}, which change the network"
        )


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of preprocessing, those for testing if there are any."""
    found = {
        "input_size": fields.get("test_input_size") or fields.get("input_size"),
        "crop_pct": fields.get("test_crop_pct") or fields.get("crop_pct"),
        **{x: fields.get(x) for x in ("mean", "std", "interpolation", "crop_mode")},
    }
    size = found["input_size"] = found["input_size"] or [3, 224, 224]
    is_size = isinstance(size, list) and len(size) == 3
    if not (
        is_size
        and _is_whole(size[0], 1, _MAX_CHANNELS)
        and _is_whole(size[1], 1, _MAX_SIDE)
        and size[1] == size[2]
    ):
        raise _bad("input_size", size, "channels and twice the same side")
    for key in ("mean", "std"):
        values = found[key]
        if values is not None and not (
            isinstance(values, list)
            and len(values) in (1, size[0])
            and all(_is_number(x) for x in values)
        ):
            raise _bad(key, values, f"a list of {size[0]} numbers")
    if len(found["mean"] or ()) != len(found["std"] or ()):
        raise _bad("std", found["std"], "as many values as mean")
    if found["crop_pct"] is not None and not _is_number(found["crop_pct"]):
        raise _bad("crop_pct", found["crop_pct"], "a number")
    for key in ("interpolation", "crop_mode"):
        if found[key] is not None and not isinstance(found[key], str):
            raise _bad(key, found[key], "a text")
    return found


def _own_record(found: Any, record: Preprocessing) -> Preprocessing:
    """Our own record if it exists and agrees with timm's fields, or else theirs.

    Somebody may have changed the fields.
    """
    if found is None:
        return record
    try:
        own = Preprocessing(**found["preprocessing"])
        return own if timm_preprocessing.is_same(own, record) else record
    except (TypeError, LookupError, OverflowError) as error:
        raise InputError(f"{OWN_KEY}: {error}") from error


def _labels(
    fields: dict[str, Any], num_classes: int, tag: Any
) -> str | tuple[str, ...] | None:
    """Names of the classes; None if they are not stated."""
    names = fields.get("label_names") or fields.get("labels")
    if not names:
        # timm's own weights are named after the dataset they were trained on last.
        dataset = {"in1k": "imagenet", "in21k": "imagenet21k"}.get(
            str(tag).rpartition("_")[2]
        )
        return dataset if NUM_LABELS.get(dataset or "") == num_classes else None
    if isinstance(names, dict):
        keys = [str(number) for number in range(len(names))]
        if not all(key in names for key in keys):
            raise _bad("label_names", names, "a name for every number from 0")
        names = [names[key] for key in keys]
    if not isinstance(names, list) or not all(_is_name(x) for x in names):
        raise _bad("label_names", names, "a list of names, each a line of text")
    if len(names) != num_classes:
        raise _bad("label_names", names, f"{num_classes} names, as num_classes says")
    for dataset, number in NUM_LABELS.items():
        if len(names) == number and tuple(names) == labels.wordnet_ids(dataset):
            return dataset
    descriptions = fields.get("label_descriptions") or {}
    if not isinstance(descriptions, dict) or not all(
        map(_is_name, descriptions.values())
    ):
        raise _bad("label_descriptions", descriptions, "an object of lines of text")
    return tuple(descriptions.get(x, x) for x in names)


def _is_whole(value: Any, least: int, most: int) -> bool:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return is_number and least <= value <= most


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) < 1e9 and math.isfinite(value)


def _is_name(value: Any) -> bool:
    is_text = isinstance(value, str) and len(value) <= _MAX_NAME
    return is_text and len(value.splitlines()) == 1


def _bad(field: str, found: Any, expected: str) -> InputError:
    return InputError(f"{field} is {reprlib.repr(found)}, expected {expected}")
