"""Convolutions with PyTorch's padding, and with gradients that are fast on a CPU."""

from typing import Any

import keras
from keras import ops

from keras_effnetv2.errors import InputError
from keras_effnetv2.layers.gradients import has_only_cpus, has_own_gradients


class _Padded(keras.layers.Layer):
    """A mixin that gives convolutions PyTorch's padding, `padding="symmetric"`.

    With strides, TensorFlow's `"same"` pads an image of even sides by one pixel more at
    its end than at its beginning; symmetric padding is always `kernel_size // 2` at
    both. The output has the same size.
    """

    kernel_size: tuple[int, int]
    strides: tuple[int, int]

    def __init__(self, *args: Any, padding: str = "valid", **kwargs: Any) -> None:
        is_symmetric = padding == "symmetric"
        super().__init__(*args, padding="same" if is_symmetric else padding, **kwargs)
        self.is_symmetric = is_symmetric
        if is_symmetric and not all(side % 2 for side in self.kernel_size):
            raise InputError(
                "Symmetric padding is for kernels of odd sides. Received: "
                f"kernel_size={self.kernel_size}."
            )

    def margins(self) -> list[list[int]] | None:
        """Padding of `(batch, height, width, channels)`; None: as `padding` says."""
        if not self.is_symmetric or max(self.strides) == 1:
            return None
        return [[0, 0], *([side // 2] * 2 for side in self.kernel_size), [0, 0]]

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        config = super().get_config()
        return config | {"padding": "symmetric"} if self.is_symmetric else config


@keras.saving.register_keras_serializable("keras_effnetv2")
class Conv2D(_Padded, keras.layers.Conv2D):
    """`keras.layers.Conv2D`, also with symmetric padding; faster 1x1 gradients.

    A 1x1 convolution is a matrix product, pixels by channels, and so are its gradients.
    On a CPU TensorFlow computes these as convolutions, whose kernels are half as fast
    as its matrix products and first reorder the weights.
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """The convolution, without bias and activation."""
        margins = self.margins()
        if margins is not None:
            return _padded_convolution(inputs, kernel, self.strides, margins)
        is_product = (
            (*self.kernel_size, *self.strides) == (1, 1, 1, 1)
            and self.groups == 1
            and self.data_format == "channels_last"
        )
        if not (is_product and has_own_gradients() and has_only_cpus()):
            return super().convolution_op(inputs, kernel)
        return _pointwise(inputs, kernel)


def _padded_convolution(
    inputs: Any, kernel: Any, strides: tuple[int, int], margins: list[list[int]]
) -> Any:
    if keras.backend.backend() != "tensorflow":  # XLA fuses the two.
        return ops.conv(ops.pad(inputs, margins), kernel, strides, "valid")
    import tensorflow as tf

    inputs = tf.convert_to_tensor(inputs)
    return tf.nn.conv2d(inputs, tf.cast(kernel, inputs.dtype), strides, margins)


def _pointwise(inputs: Any, kernel: Any) -> Any:
    """The 1x1 convolution, with matrix products as gradients."""
    import tensorflow as tf

    @tf.custom_gradient
    def run(x: Any, kernel: Any) -> tuple[Any, Any]:
        def gradients(dy: Any) -> tuple[Any, Any]:
            rows, weights = (tf.reshape(v, (-1, v.shape[-1])) for v in (x, kernel))
            dy = tf.reshape(dy, (-1, kernel.shape[-1]))
            dx = tf.reshape(tf.matmul(dy, weights, transpose_b=True), tf.shape(x))
            dx.set_shape(x.shape)
            dkernel = tf.matmul(rows, dy, transpose_a=True)
            return dx, tf.reshape(dkernel, kernel.shape)

        return tf.nn.conv2d(x, kernel, 1, "VALID"), gradients

    inputs, kernel = tf.convert_to_tensor(inputs), tf.convert_to_tensor(kernel)
    return run(inputs, tf.cast(kernel, inputs.dtype))


@keras.saving.register_keras_serializable("keras_effnetv2")
class DepthwiseConv(_Padded, keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D`, channels-last, also with symmetric padding.

    With strides in bfloat16 on a CPU, TensorFlow has no fast kernel for the gradient of
    the input: it takes 20 to 50 times as long as in float32, a tenth of a training step
    for the two such layers of B0. Here that gradient is computed in float32.
    """

    def call(self, inputs: Any) -> Any:
        """`(batch, height / strides, width / strides, channels)`, rounded up."""
        is_slow = (
            self.compute_dtype == "bfloat16"
            and max(self.strides) > 1
            and tuple(self.dilation_rate) == (1, 1)
            and self.data_format == "channels_last"
            and has_own_gradients()
            and has_only_cpus()
        )
        if not is_slow and self.margins() is None:
            return super().call(inputs)
        kernel = ops.cast(self.kernel, self.compute_dtype)
        inputs, kernel, padding = self._padded(inputs, kernel)
        if is_slow:
            outputs = self._convolve(inputs, kernel, padding)
        else:
            outputs = ops.depthwise_conv(inputs, kernel, self.strides, padding)
        if self.use_bias:
            outputs += ops.cast(self.bias, outputs.dtype)
        return outputs if self.activation is None else self.activation(outputs)

    def _padded(self, inputs: Any, kernel: Any) -> tuple[Any, Any, str]:
        """Inputs, kernel and padding with which TensorFlow computes this layer."""
        margins = self.margins()
        if margins is None:
            return inputs, kernel, self.padding
        if self.strides == (2, 2) and has_own_gradients() and has_only_cpus():
            # "same" pads as wanted for kernels larger by 1. With margins, TensorFlow's
            # gradients are 2 to 4 times as slow, and it aborts on processors for which
            # it fuses a bias with them.
            return inputs, ops.pad(kernel, [[0, 1], [0, 1], [0, 0], [0, 0]]), "same"
        return ops.pad(inputs, margins), kernel, "valid"

    def _convolve(self, inputs: Any, kernel: Any, padding: str) -> Any:
        import tensorflow as tf

        options = {"strides": (1, *self.strides, 1), "padding": padding.upper()}

        @tf.custom_gradient
        def run(x: Any, kernel: Any) -> tuple[Any, Any]:
            def gradients(dy: Any) -> tuple[Any, Any]:
                dx = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
                    input_sizes=tf.shape(x),
                    filter=tf.cast(kernel, "float32"),
                    out_backprop=tf.cast(dy, "float32"),
                    **options,
                )
                dkernel = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
                    input=x, filter_sizes=tf.shape(kernel), out_backprop=dy, **options
                )
                return tf.cast(dx, x.dtype), dkernel

            return tf.nn.depthwise_conv2d(x, kernel, **options), gradients

        return run(inputs, kernel)
