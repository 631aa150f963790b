"""Global context: gates for channels from a weighted mean over the image."""

from typing import Any

import keras
from keras import ops

from keras_effnetv2.errors import InputError
from keras_effnetv2.layers.activations import Activation, activate
from keras_effnetv2.layers.convolutions import Conv2D
from keras_effnetv2.layers.layout import check_channels_last
from keras_effnetv2.layers.squeeze_excite import CONV_INITIALIZER

# timm's, where PyTorch has 1e-5 and Keras 1e-3.
_EPSILON = 1e-6


@keras.saving.register_keras_serializable("keras_effnetv2")
class GlobalContext(keras.layers.Layer):
    """Scales channels by gates computed from their means over what matters.

    As squeeze-excite, but pixels count by a softmax over the image, and a layer
    normalization follows the squeezed layer. Input and output are `(batch, height,
    width, channels)`.

    Reference: Cao et al. 2019, https://arxiv.org/abs/1904.11492, whose context is
    added; that it scales, as gates do, is timm's.

    Args:
        filters: channels of the squeezed layer.
        activation: of the squeezed layer. The gate is a sigmoid.
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
        """Makes the three 1x1 convolutions and the normalization."""
        check_channels_last(self, input_shape)
        channels = input_shape[-1]
        self.attend = self._pointwise(channels, 1, "attend")
        self.reduce = self._pointwise(channels, self.filters, "reduce")
        self.norm = keras.layers.LayerNormalization(
            epsilon=_EPSILON, dtype=self.dtype_policy, name="norm"
        )
        self.norm.build((None, 1, 1, self.filters))
        self.expand = self._pointwise(self.filters, channels, "expand")

    def _pointwise(self, inputs: int, filters: int, name: str) -> Conv2D:
        layer = Conv2D(
            filters,
            1,
            data_format="channels_last",
            kernel_initializer=CONV_INITIALIZER,
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build((None, None, None, inputs))
        return layer

    def call(self, inputs: Any) -> Any:
        """Inputs times gates in (0, 1)."""
        # A bias for all pixels alike does not change the softmax, but is in the files.
        scores = ops.cast(self.attend(inputs), "float32")
        shares = ops.exp(scores - ops.max(scores, axis=(1, 2), keepdims=True))
        shares /= ops.sum(shares, axis=(1, 2), keepdims=True)
        shares = ops.cast(shares, inputs.dtype)
        context = ops.sum(inputs * shares, axis=(1, 2), keepdims=True)
        squeezed = activate(self.norm(self.reduce(context)), self.activation)
        return inputs * ops.sigmoid(self.expand(squeezed))

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
