"""The interface of all engines."""

import dataclasses
from typing import Protocol

import numpy as np

from keras_effnetv2.errors import InputError
from keras_effnetv2.preprocessing import Preprocessing


class Engine(Protocol):
    """Runs a network on images `(batch, size, size, 3)`, float32 pixels 0..255.

    Attributes:
        name: name of the network.
        record: its preprocessing, with the size of the images.
        num_classes: columns of its scores.
    """

    name: str
    record: Preprocessing
    num_classes: int

    def scores(self, images: np.ndarray) -> np.ndarray:
        """The network's scores, `(batch, classes)`."""
        ...

    def features(self, images: np.ndarray) -> np.ndarray:
        """The input of its classifier, `(batch, channels)`.

        Raises:
            ValueError: it does not provide them.
        """
        ...


def sized(
    record: Preprocessing, sides: tuple[int | None, int | None], wanted: int | None
) -> Preprocessing:
    """The record with the size wanted, or with the only one possible.

    Args:
        record: record of the network.
        sides: height and width that it takes; None for any.
        wanted: image side, pixels; None: the network's own.

    Raises:
        ValueError: the network takes another size.
    """
    height, width = sides
    size = wanted or height or record.image_size
    if height not in (None, size) or width not in (None, size):
        raise InputError(
            f"The model takes images of {height}x{width} pixels. Received: "
            f"{size}x{size}. Leave --image_size out for a model of one square size."
        )
    return dataclasses.replace(record, image_size=size)
