"""Squeeze-and-excitation: gates for channels."""

from typing import Any

import keras
from keras import ops

from keras_effnetv2.errors import InputError
from keras_effnetv2.layers.activations import Activation
from keras_effnetv2.layers.convolutions import Conv2D
from keras_effnetv2.layers.inputs.layout import check_channels_last

# A normal of variance 2 / (kernel area * filters), as in the released code.
CONV_INITIALIZER = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2.0, "mode": "fan_out", "distribution": "untruncated_normal"},
}


@keras.saving.register_keras_serializable("keras_effnetv2")
class SqueezeExcite(keras.layers.Layer):
    """Scales channels by gates computed from their means over the image.

    Input and output are `(batch, height, width, channels)`.

    Reference: Hu et al. 2018, https://arxiv.org/abs/1709.01507.

    Args:
        filters: channels of the squeezed layer. In MBConv, a quarter of the *block's*
            input channels.
        activation: activation of the squeezed layer. The gate is a sigmoid.
    """

    def __init__(
        self, filters: int, activation: Activation = "swish", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if filters < 1:
            raise InputError(f"filters must be at least 1. Received: {filters!r}.")
        self.filters = filters
        self.activation = keras.activations.get(activation)

    def build(self, input_shape: tuple) -> None:
        """Creates the two 1x1 convolutions."""
        check_channels_last(self, input_shape)
        self.reduce = self._gate(self.filters, self.activation, "reduce")
        self.expand = self._gate(input_shape[-1], "sigmoid", "expand")
        self.reduce.build((input_shape[0], 1, 1, input_shape[-1]))
        self.expand.build((input_shape[0], 1, 1, self.filters))

    def _gate(self, filters: int, activation: Activation, name: str) -> Any:
        return Conv2D(
            filters,
            1,
            activation=activation,
            data_format="channels_last",
            kernel_initializer=CONV_INITIALIZER,
            dtype=self.dtype_policy,
            name=name,
        )

    def call(self, inputs: Any) -> Any:
        """Inputs times gates in (0, 1)."""
        return inputs * self.gates(ops.mean(inputs, axis=(1, 2), keepdims=True))

    def gates(self, means: Any) -> Any:
        """Gates in (0, 1) of means over each image, `(batch, 1, 1, channels)`."""
        return self.expand(self.reduce(means))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        activation = keras.activations.serialize(self.activation)
        return {
            **super().get_config(),
            "filters": self.filters,
            "activation": activation,
        }
