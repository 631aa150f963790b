"""The arrays of an open file, whatever its format."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_effnetv2.errors import InputError

# Weights hardly compress. What expands more than this is no honest file; the floor is
# for arrays of zeros and the like.
_MAX_EXPANSION = 100
_EXPANSION_FLOOR = 1 << 20


@dataclasses.dataclass(frozen=True)
class Arrays:
    """The arrays of an open file by the file's names, read when asked for.

    Attributes:
        format: what the file is, for messages.
        namings: members of `names.NAMINGS` that such files may follow.
        shapes: of all arrays that are weights, in the file's layout.
        read: name to array.
        preprocessing: the record in the file, None if it carries none.
        statistics: mean and variance of pixels 0..1, one a channel, in a layer of Keras
            that normalises them; None if there is not exactly one.
        has_models: whether a network may be a model within the file's model, or with
            layers of others around it.
    """

    format: str
    namings: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]
    read: Callable[[str], np.ndarray]
    preprocessing: dict[str, Any] | None = None
    statistics: tuple[np.ndarray, np.ndarray] | None = None
    has_models: bool = False


def damaged(path: str | os.PathLike, format: str, reason: object) -> ValueError:
    """The error for a file that begins well and goes on badly."""
    return InputError(
        f"{path} is a truncated or damaged {format} file: {reason}. "
        "Download or copy it again."
    )


def max_unpacked(packed: int) -> int:
    """Most bytes that `packed` compressed bytes of weights may stand for."""
    return max(_EXPANSION_FLOOR, _MAX_EXPANSION * packed)


def insert(
    arrays: dict[str, Any], name: str, array: Any, path: str | os.PathLike
) -> None:
    """Adds an array under a name that no other array of the file may have.

    Raises:
        ValueError: it has been added before.
    """
    if name in arrays:
        raise InputError(f"{path} holds more than one array {name!r}.")
    arrays[name] = array


def is_counter(name: str) -> bool:
    """Whether PyTorch counts something under that name, which nothing here uses."""
    return name.rpartition(".")[2] in ("num_batches_tracked", "n_averaged")
