"""Experiments as text: paths and values from the shell, and JSON."""

import dataclasses
import json
from collections.abc import Iterable
from typing import Any

from keras_effnetv2.errors import InputError, expected
from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.networks.variant_files import (
    from_values,
    is_variant_file,
    to_values,
)
from keras_effnetv2.training.experiments.checked import Checked, hints, parse
from keras_effnetv2.training.experiments.configuration import Experiment
from keras_effnetv2.training.experiments.image_settings import Data
from keras_effnetv2.training.progressive.stages import Ramp


def list_settings(experiment: Experiment) -> dict[str, Any]:
    """Paths such as `optimizer.learning_rate` and values that `override` can change."""
    settings = {}
    for name in hints(Experiment):
        value = getattr(experiment, name)
        if isinstance(value, Checked):
            for field in hints(type(value)):
                settings[f"{name}.{field}"] = getattr(value, field)
        elif name != "name":  # It only names the recipe.
            settings[name] = value
    return settings


def list_hints() -> dict[str, Any]:
    """The types of the settings of `list_settings`, the same for every experiment."""
    found = {}
    for name, hint in hints(Experiment).items():
        if isinstance(hint, type) and issubclass(hint, Checked):
            found |= {f"{name}.{field}": kind for field, kind in hints(hint).items()}
        elif name != "name":
            found[name] = hint
    return found


def override(experiment: Experiment, assignments: Iterable[str]) -> Experiment:
    """A copy of `experiment` with some settings changed; later assignments win.

    Args:
        experiment: the experiment to start from.
        assignments: such as `"optimizer.learning_rate=0.01"`; commas between the
            numbers of a ramp (`"progressive.image_size=128,300"`) or the words of a
            list; `none` if a setting can be None. If they name other images, numbers of
            classes and images that they do not state become None.

    Raises:
        ValueError: no such setting, or an invalid value.
    """
    given, before = set(), experiment
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        path, text = path.strip(), text.strip()
        paths = list_settings(experiment)
        if not equals:
            raise InputError(
                "A setting needs a value, as in optimizer.learning_rate=0.01. "
                f"Received: {assignment!r}."
            )
        if path not in paths:
            raise InputError(_unknown(path, paths))
        experiment = _set(experiment, path, text)
        given.add(path)
    return _without_counts(experiment, before, given)


def to_text(value: Any) -> str:
    """A value of `list_settings` in the form that `override` takes."""
    if isinstance(value, Ramp):
        return f"{value.first},{value.last}"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


# Settings that configurations of earlier versions lack, with those versions' values.
_EARLIER = {
    "data": {
        "orientation": "stored",
        "order": "full",
        "chunk_mb": 4.0,
        "window_chunks": 128,
    },
    "loop": {"patience": 0},
    "model": {"remat": False},
    "optimizer": {"head_epochs": 0},
    "regularization": {"class_weights": "none"},
}

# Numbers that depend on the dataset, and the settings that identify it.
_COUNTS = {
    "num_classes": ("source", "name"),
    "num_train_images": ("source", "name", "directory", "train_split"),
}


def to_json(experiment: Experiment) -> str:
    """All settings of `experiment` as JSON, for people and for `from_json`."""
    return json.dumps(_plain(experiment), indent=2) + "\n"


def from_json(text: str, variant_copy: str | None = None) -> Experiment:
    """The inverse of `to_json`.

    Args:
        text: JSON.
        variant_copy: the file to read the variant from, if the experiment has it from a
            file, which may have changed since.

    Raises:
        ValueError: not JSON, or a setting is missing, unknown or out of range.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"The configuration is not JSON: {error}.") from error
    values = with_later_settings(values)
    model = values.get("model") if isinstance(values, dict) else None
    if isinstance(model, dict) and "variant" in model:
        model["variant"] = _read_variant(model["variant"], variant_copy)
    return _from_plain(Experiment, values, "the experiment")


def with_later_settings(values: Any) -> Any:
    """The output of `to_json`, with settings added that its version did not have."""
    if not isinstance(values, dict):
        return values
    later = {
        group: settings | values[group]
        for group, settings in _EARLIER.items()
        if isinstance(values.get(group), dict)
    }
    return values | later


def _set(experiment: Experiment, path: str, text: str) -> Experiment:
    group_name, dot, field = path.rpartition(".")
    group = getattr(experiment, group_name) if dot else experiment
    value = parse(text, hints(type(group))[field], path)
    changed = dataclasses.replace(group, **{field: value})
    return dataclasses.replace(experiment, **{group_name: changed}) if dot else changed


def _without_counts(
    experiment: Experiment, before: Experiment, given: set[str]
) -> Experiment:
    """Drops what was counted in a dataset, if it is now a different one."""
    changed = {
        field
        for field in hints(Data)
        if getattr(experiment.data, field) != getattr(before.data, field)
    }
    forgotten = {
        count: None
        for count, places in _COUNTS.items()
        if f"data.{count}" not in given and changed & {*places}
    }
    data = dataclasses.replace(experiment.data, **forgotten)
    return dataclasses.replace(experiment, data=data)


def _unknown(path: str, paths: dict[str, Any]) -> str:
    group = path.partition(".")[0] + "."
    near = [known for known in paths if known.startswith(group)]
    hint = f"Expected one of: {', '.join(near)}." if near else expected(path, paths)
    return f"No setting is called {path!r}. {hint}"


def _plain(value: Any) -> Any:
    """A value in JSON's types: groups and networks as objects, tuples as lists."""
    if isinstance(value, Checked):
        return {name: _plain(getattr(value, name)) for name in hints(type(value))}
    if isinstance(value, Variant):
        return to_values(value)
    return [value.first, value.last] if isinstance(value, Ramp) else value


def _read_variant(value: Any, variant_copy: str | None) -> Any:
    """The variant of an experiment, not checked yet."""
    if variant_copy is not None and is_variant_file(value):
        return variant_copy
    if not isinstance(value, dict):
        return value
    try:
        return from_values(value)
    except ValueError as error:
        raise InputError(f"model.variant holds no network. {error}") from error


def _from_plain(group: type[Checked], values: Any, name: str) -> Any:
    expected = hints(group)
    if not isinstance(values, dict) or values.keys() != expected.keys():
        found = set(values) if isinstance(values, dict) else set()
        raise InputError(
            f"{name} must have exactly the settings {', '.join(expected)}. "
            f"Missing: {sorted(expected.keys() - found) or 'none'}. "
            f"Unknown: {sorted(found - expected.keys()) or 'none'}."
        )
    groups = {
        field: _from_plain(hint, values[field], field)
        for field, hint in expected.items()
        if isinstance(hint, type) and issubclass(hint, Checked)
    }
    return group(**values | groups)
