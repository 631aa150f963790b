"""The arrays of an open file, whatever its format."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_effnetv2.errors import InputError

# Weights hardly compress. A file that expands by more than this is malicious; the
# minimum allows for arrays of zeros and the like.
_MAX_EXPANSION = 100
_EXPANSION_FLOOR = 1 << 20


@dataclasses.dataclass(frozen=True)
class Arrays:
    """The arrays of an open file by the file's names, read on demand.

    Attributes:
        format: format of the file, for messages.
        namings: members of `names.NAMINGS` that such files may follow.
        shapes: shapes of all arrays that are weights, in the file's layout.
        read: turns a name into an array.
        preprocessing: the record in the file; None if there is none.
        statistics: mean and variance of pixels 0..1, per channel, in a Keras layer that
            normalises them; None unless there is exactly one.
        has_models: whether a network may be nested in the file's model, or surrounded
            by other layers.
    """

    format: str
    namings: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]
    read: Callable[[str], np.ndarray]
    preprocessing: dict[str, Any] | None = None
    statistics: tuple[np.ndarray, np.ndarray] | None = None
    has_models: bool = False


def damaged(path: str | os.PathLike, format: str, reason: object) -> ValueError:
    """The error for a file that starts correctly but is truncated or damaged."""
    return InputError(
        f"{path} is a truncated or damaged {format} file: {reason}. "
        "Download or copy it again."
    )


def max_unpacked(packed: int) -> int:
    """The most bytes that `packed` compressed bytes of weights may expand to."""
    return max(_EXPANSION_FLOOR, _MAX_EXPANSION * packed)


def insert(
    arrays: dict[str, Any], name: str, array: Any, path: str | os.PathLike
) -> None:
    """Adds an array under a name that must be unique in the file.

    Raises:
        ValueError: the name is already taken.
    """
    if name in arrays:
        raise InputError(f"{path} holds more than one array {name!r}.")
    arrays[name] = array


def is_counter(name: str) -> bool:
    """Whether the name is a PyTorch counter, which is unused here."""
    return name.rpartition(".")[2] in ("num_batches_tracked", "n_averaged")
