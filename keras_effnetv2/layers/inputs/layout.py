"""Checks the only image layout of our layers, channels last."""

from collections.abc import Sequence

import keras

from keras_effnetv2.errors import InputError

_REMEDY = "Transpose images: keras.ops.transpose(images, (0, 2, 3, 1))."


def check_channels_last(
    layer: keras.layers.Layer, input_shape: Sequence[int | None]
) -> None:
    """Refuses shapes other than `(batch, height, width, channels)`.

    Raises:
        ValueError: Keras is set to channels first, the shape is another, or it looks
            like square images of 3 channels, channels first.
    """
    name = type(layer).__name__
    if keras.config.image_data_format() == "channels_first":
        raise InputError(
            f"{name} takes (batch, height, width, channels), but Keras is set to "
            "channels first. Call "
            f"keras.config.set_image_data_format('channels_last'). {_REMEDY}"
        )
    if len(input_shape) != 4 or not input_shape[-1]:
        raise InputError(
            f"{name} takes (batch, height, width, channels) with a known number of "
            f"channels. Received: {tuple(input_shape)}."
        )
    _, height, width, channels = input_shape
    # A flat image may end as one row with as many columns as channels.
    if height == 3 and width is not None and width == channels and width > 4:
        raise InputError(
            f"{name} takes (batch, height, width, channels), channels last. Received: "
            f"{tuple(input_shape)}, which looks like square images channels first. "
            f"{_REMEDY}"
        )
