"""The symbolic images that a network is built on."""

import numbers
from collections.abc import Sequence
from typing import Any

import keras

from keras_effnetv2.errors import InputError

# How names of dtypes begin, after the "u" of unsigned ones.
_PIXEL_TYPES = ("float", "bfloat", "int", "bool")
# Up to so many, the first side of a shape could be an image's channels.
_MOST_CHANNELS = 4


def is_positive_whole(number: Any) -> bool:
    """Whether a number is whole and at least 1: also NumPy's integers, but no bools."""
    is_whole = isinstance(number, numbers.Integral) and not isinstance(number, bool)
    return is_whole and int(number) >= 1


def symbolic_images(input_tensor: Any, input_shape: tuple | None) -> Any:
    """The symbolic images that a network starts from.

    Args:
        input_tensor: a symbolic tensor `(batch, height, width, channels)`, or None.
        input_shape: `(height, width, channels)` of a new one, where a side of any size
            is None. None: the shape of `input_tensor`, or any size and 3 channels.

    Raises:
        ValueError: a shape or dtype that images do not have, or channels first.
    """
    if input_tensor is not None:
        _check_tensor(input_tensor)
        given, input_shape = input_shape, tuple(input_tensor.shape[1:])
        if given is not None and tuple(given) != input_shape:
            raise InputError(
                "input_tensor and input_shape contradict each other. "
                f"Received: {input_shape} and {tuple(given)}."
            )
    shape = (None, None, 3) if input_shape is None else input_shape
    is_shape = isinstance(shape, Sequence) and len(shape) == 3
    if not is_shape or not all(
        is_positive_whole(side) or (side is None and axis < 2)
        for axis, side in enumerate(shape)
    ):
        raise InputError(
            "input_shape must be (height, width, channels), channels last, with None "
            f"for a side of any size. Received: {input_shape}. Transpose images that "
            "are channels first: keras.ops.transpose(images, (0, 2, 3, 1))."
        )
    _check_channels_last(shape)
    return keras.Input(shape, name="images") if input_tensor is None else input_tensor


def _check_tensor(input_tensor: Any) -> None:
    """Refuses what no network can be built on."""
    if not keras.backend.is_keras_tensor(input_tensor):
        raise InputError(
            "input_tensor must be symbolic, e.g. keras.Input((224, 224, 3)). "
            f"Received: {type(input_tensor).__name__}."
        )
    dtype = keras.backend.standardize_dtype(input_tensor.dtype)
    if not dtype.lstrip("u").startswith(_PIXEL_TYPES):
        raise InputError(
            f"input_tensor must hold numbers that pixels can be. Received: {dtype}."
        )


def _check_channels_last(shape: Sequence[int | None]) -> None:
    """Refuses channels first, which would build a network of many channels."""
    first, height, last = shape
    # No image has so few rows and also so many channels.
    if first in (1, 3, 4) and (last or 0) > _MOST_CHANNELS and height != first:
        raise InputError(
            "Images are channels last: (height, width, channels). Received: "
            f"{tuple(shape)}, which looks like channels first. Pass "
            f"input_shape={(height, last, first)} and transpose images with "
            "keras.ops.transpose(images, (0, 2, 3, 1))."
        )
