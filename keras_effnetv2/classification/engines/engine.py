"""What every engine does, whatever it runs."""

import dataclasses
from typing import Protocol

import numpy as np

from keras_effnetv2.errors import InputError
from keras_effnetv2.preprocessing import Preprocessing


class Engine(Protocol):
    """Runs a network on images `(batch, size, size, 3)`, float32 pixels 0..255.

    Attributes:
        name: of the network.
        record: its preprocessing, of the size that the images are to have.
        num_classes: columns of its scores.
    """

    name: str
    record: Preprocessing
    num_classes: int

    def scores(self, images: np.ndarray) -> np.ndarray:
        """What the network gives, `(batch, classes)`."""
        ...

    def features(self, images: np.ndarray) -> np.ndarray:
        """What its classifier takes, `(batch, channels)`.

        Raises:
            ValueError: it does not give them.
        """
        ...


def sized(
    record: Preprocessing, sides: tuple[int | None, int | None], wanted: int | None
) -> Preprocessing:
    """The record of the size wanted, or of the only one possible.

    Args:
        record: of the network.
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
