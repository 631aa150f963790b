"""Global context: gates for channels from a weighted mean over the image."""

from typing import Any

import keras
from keras import ops

from keras_effnetv2.layers.activations import activate
from keras_effnetv2.layers.inputs.layout import check_channels_last
from keras_effnetv2.layers.squeeze_excite import SqueezeExcite

# timm's value; PyTorch has 1e-5 and Keras 1e-3.
_EPSILON = 1e-6


@keras.saving.register_keras_serializable("keras_effnetv2")
class GlobalContext(SqueezeExcite):
    """Scales channels by gates computed from their weighted means over the image.

    Like squeeze-excite, but a softmax over the image weights the pixels, and a layer
    normalization follows the squeezed layer. Input and output are `(batch, height,
    width, channels)`.

    Reference: Cao et al. 2019, https://arxiv.org/abs/1904.11492, where the context is
    added; timm scales by it instead, as here.

    Args:
        filters: channels of the squeezed layer.
        activation: activation of the squeezed layer. The gate is a sigmoid.
    """

    def build(self, input_shape: tuple) -> None:
        """Creates the three 1x1 convolutions and the normalization."""
        check_channels_last(self, input_shape)
        channels = input_shape[-1]
        self.attend = self._gate(1, None, "attend")
        self.reduce = self._gate(self.filters, None, "reduce")
        self.norm = keras.layers.LayerNormalization(
            epsilon=_EPSILON, dtype=self.dtype_policy, name="norm"
        )
        self.expand = self._gate(channels, None, "expand")
        self.attend.build((None, None, None, channels))
        self.reduce.build((None, 1, 1, channels))
        self.norm.build((None, 1, 1, self.filters))
        self.expand.build((None, 1, 1, self.filters))

    def call(self, inputs: Any) -> Any:
        """Inputs times gates in (0, 1)."""
        # The same bias for all pixels does not change the softmax, but weight files
        # have it.
        scores = ops.cast(self.attend(inputs), "float32")
        shares = ops.exp(scores - ops.max(scores, axis=(1, 2), keepdims=True))
        shares /= ops.sum(shares, axis=(1, 2), keepdims=True)
        shares = ops.cast(shares, inputs.dtype)
        context = ops.sum(inputs * shares, axis=(1, 2), keepdims=True)
        squeezed = activate(self.norm(self.reduce(context)), self.activation)
        return inputs * ops.sigmoid(self.expand(squeezed))
