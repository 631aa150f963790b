"""Normalisation of pixels, the first layer of every model."""

import dataclasses
from typing import Any

import keras
from keras import ops

from keras_effnetv2.errors import InputError
from keras_effnetv2.layers.inputs.first_look import FirstLook
from keras_effnetv2.layers.inputs.layout import check_channels_last
from keras_effnetv2.preprocessing import Preprocessing


@keras.saving.register_keras_serializable("keras_effnetv2")
class PixelNormalization(keras.layers.Layer):
    """Normalises pixels 0..255 as in the weights' training: (x - mean) / std.

    It also stores the whole preprocessing record, so that a saved model, a feature
    extractor or your model built on ours still knows how to prepare images.

    Input and output are `(batch, height, width, channels)`.

    Args:
        preprocessing: preprocessing record, or its values as a dict.
        enabled: False to leave inputs as they are: the caller normalises.

    Raises:
        ValueError: the record has three channels and the images do not.
    """

    def __init__(
        self,
        preprocessing: Preprocessing | dict[str, Any],
        enabled: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(preprocessing, dict):
            preprocessing = Preprocessing(**preprocessing)
        self.preprocessing = preprocessing
        self.enabled = enabled
        self.first_look = FirstLook(expects_pixels=enabled)

    def build(self, input_shape: tuple) -> None:
        """Creates nothing; refuses images whose channels do not match the record."""
        check_channels_last(self, input_shape)
        channels, means = input_shape[-1], len(self.preprocessing.mean)
        if self.enabled and means not in (1, channels):
            raise InputError(
                f"This preprocessing normalises {means} channels. Received: images "
                f"with {channels}. Pass include_preprocessing=False and normalise them."
            )
        self.first_look.prepare()

    def call(self, inputs: Any) -> Any:
        """Normalised images, in the layer's compute dtype."""
        # Keras casts only floating-point inputs; pixels are often integers.
        inputs = self.first_look.at(ops.cast(inputs, self.compute_dtype))
        if not self.enabled:
            return inputs
        mean = ops.convert_to_tensor(self.preprocessing.mean, dtype=inputs.dtype)
        std = ops.convert_to_tensor(self.preprocessing.std, dtype=inputs.dtype)
        return (inputs - mean) / std

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {
            **super().get_config(),
            "preprocessing": dataclasses.asdict(self.preprocessing),
            "enabled": self.enabled,
        }
