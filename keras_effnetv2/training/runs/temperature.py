"""The temperature of a run's network, kept next to the weights it was fitted to.

Logits divided by it give calibrated probabilities.
Guo et al. 2017, https://arxiv.org/abs/1706.04599.
"""

import hashlib
import json
import math
from typing import Any

import keras

from keras_effnetv2.errors import InputError
from keras_effnetv2.files import replace_file
from keras_effnetv2.networks.heads import find_head
from keras_effnetv2.paths import AnyPath


def write_temperature(
    path: AnyPath, weights: AnyPath, temperature: float, num_images: int
) -> None:
    """Stores the temperature that belongs to a file of weights.

    Args:
        path: the JSON file, which keeps the temperatures of other weights.
        weights: the network's file of weights.
        temperature: divisor of the logits.
        num_images: number of images that it was fitted on.
    """
    entry = {
        "temperature": temperature,
        "num_images": num_images,
        "weights_sha256": _digest(weights),
    }
    contents = {**_read(path), weights.name: entry}
    replace_file(path, json.dumps(contents, indent=2).encode() + b"\n")


def read_temperature(path: AnyPath, weights: AnyPath) -> float | None:
    """The temperature of a file of weights; None if there is none for its contents.

    Raises:
        ValueError: the JSON file is damaged.
    """
    entry = _read(path).get(weights.name)
    if entry is None:
        return None
    try:
        temperature, digest = float(entry["temperature"]), entry["weights_sha256"]
    except (TypeError, KeyError, ValueError) as error:
        raise _damaged(path, error) from error
    if not 0 < temperature < math.inf:
        raise _damaged(path, f"the temperature is {temperature}")
    return temperature if digest == _digest(weights) else None


def divide_logits(model: keras.Model, temperature: float) -> None:
    """Divides the logits of a classifier permanently: its last kernel and bias."""
    for variable in find_head(model).dense.weights:
        variable.assign(variable / temperature)


def _read(path: AnyPath) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        contents = json.loads(path.read_bytes())
    except ValueError as error:
        raise _damaged(path, error) from error
    if not isinstance(contents, dict):
        raise _damaged(path, "it is not an object")
    return contents


def _damaged(path: AnyPath, reason: object) -> InputError:
    return InputError(
        f"{path} is damaged: {reason}. Remove it, and write the report again."
    )


def _digest(path: AnyPath) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            found.update(chunk)
    return found.hexdigest()
