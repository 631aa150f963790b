"""The one layout of images that our layers take: channels last."""

from collections.abc import Sequence

import keras

from keras_effnetv2.errors import InputError


def check_channels_last(
    layer: keras.layers.Layer, input_shape: Sequence[int | None]
) -> None:
    """Refuses what is no `(batch, height, width, channels)`, or may be another layout.

    A shape does not tell: where Keras is set to channels first, images are that.

    Raises:
        ValueError: Keras is set to channels first, or the shape is another.
    """
    if keras.config.image_data_format() == "channels_first":
        raise InputError(
            f"{type(layer).__name__} takes (batch, height, width, channels), and Keras "
            "is set to channels first. Call "
            "keras.config.set_image_data_format('channels_last'), and transpose images "
            "with keras.ops.transpose(images, (0, 2, 3, 1))."
        )
    if len(input_shape) != 4 or not input_shape[-1]:
        raise InputError(
            f"{type(layer).__name__} takes (batch, height, width, channels) of a known "
            f"number of channels. Received: {tuple(input_shape)}."
        )
