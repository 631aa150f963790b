"""Convolutions with gradients that are fast on a CPU."""

from typing import Any

import keras

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
