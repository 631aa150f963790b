"""Convolutions, ordinary and depthwise, with gradients that are fast on a CPU."""

from typing import Any

import keras
from keras import ops

from keras_effnetv2.layers.gradients import has_only_cpus, has_own_gradients


@keras.saving.register_keras_serializable("keras_effnetv2")
class Conv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D`: same arguments and results, faster gradients of 1x1.

    A 1x1 convolution is a product of matrices, pixels by channels, and so are its
    gradients. On a CPU TensorFlow computes these as convolutions, whose kernels reach
    half of what its products do and first bring weights into an order of their own.
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """The convolution, without bias and activation."""
        is_product = (
            (*self.kernel_size, *self.strides) == (1, 1, 1, 1)
            and self.groups == 1
            and self.data_format == "channels_last"
        )
        if not (is_product and has_own_gradients() and has_only_cpus()):
            return super().convolution_op(inputs, kernel)
        return _pointwise(inputs, kernel)


def _pointwise(inputs: Any, kernel: Any) -> Any:
    """The 1x1 convolution, with gradients as products of matrices."""
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
class DepthwiseConv(keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D`, channels-last: same arguments and results.

    TensorFlow has no fast kernel for the gradient of its input in bfloat16 with strides
    on a CPU: 20 to 50 times as slow as in float32, so that the two such layers of B0
    make a tenth of its training step. Here that gradient is computed in float32.
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
        if not is_slow or self.use_bias:
            return super().call(inputs)
        kernel = ops.cast(self.kernel, self.compute_dtype)
        outputs = self._convolve(inputs, kernel)
        return outputs if self.activation is None else self.activation(outputs)

    def _convolve(self, inputs: Any, kernel: Any) -> Any:
        import tensorflow as tf

        options = {
            "strides": (1, *self.strides, 1),
            "padding": self.padding.upper(),
        }

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
