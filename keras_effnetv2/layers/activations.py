"""Activations: SiLU (swish) with a gradient of fewer passes on TensorFlow."""

import functools
from collections.abc import Callable
from typing import Any

import keras

from keras_effnetv2.layers.gradients import has_only_cpus, has_own_gradients

Activation = str | Callable | None


def activate(x: Any, activation: Callable[[Any], Any]) -> Any:
    """`activation(x)`, with `silu` in the place of Keras's on TensorFlow."""
    is_silu = activation is keras.activations.silu
    if is_silu and keras.backend.backend() == "tensorflow":
        return silu(x)
    return activation(x)


def silu(x: Any) -> Any:
    """`x * sigmoid(x)` on TensorFlow, of any shape and floating dtype.

    With y the output, the derivative is `sigmoid(x) * (1 + x - y)`: that gradient takes
    four passes over the memory where TensorFlow's own takes six and a sigmoid more,
    which is a tenth of a training step of EfficientNetV2 on a CPU. It is computed in at
    least float32: a CPU's kernels for elementwise work in bfloat16 are much slower. To
    spare it the casts, XLA makes one pass of them all there.
    """
    import tensorflow as tf

    @tf.custom_gradient
    def run(x: Any) -> tuple[Any, Callable[[Any], Any]]:
        # Sigmoid and Mul: converters and graph optimizers know SiLU by them.
        y = x * tf.sigmoid(x)

        def gradient(dy: Any) -> Any:
            if x.dtype != tf.bfloat16 or not has_only_cpus():
                return _silu_gradient(x, y, dy)
            dx = _compiled_silu_gradient()(x, y, dy)
            dx.set_shape(x.shape)
            return dx

        return y, gradient

    return run(x) if has_own_gradients() else x * tf.sigmoid(x)


def _silu_gradient(x: Any, y: Any, dy: Any) -> Any:
    import tensorflow as tf

    dtype = tf.float32 if x.dtype.size < 4 else x.dtype
    # Not before `dy` is there: TensorFlow would do what it can in the forward pass, and
    # keep it.
    with tf.control_dependencies([dy]):
        features, outputs, gradients = (tf.cast(value, dtype) for value in (x, y, dy))
        gradients *= 1.0 + (features - outputs)
    # Its gradients times the sigmoid of its features.
    dx = tf.raw_ops.SoftplusGrad(gradients=gradients, features=features)
    return tf.cast(dx, x.dtype)


@functools.cache
def _compiled_silu_gradient() -> Callable[[Any, Any, Any], Any]:
    """For any shape, traced once. In float32 compilation takes more than it gives."""
    import tensorflow as tf

    spec = tf.TensorSpec(None, tf.bfloat16)
    return tf.function(_silu_gradient, input_signature=[spec] * 3, jit_compile=True)


@keras.saving.register_keras_serializable("keras_effnetv2")
class FastActivation(keras.layers.Activation):
    """`keras.layers.Activation`: same arguments, shapes and results, faster SiLU."""

    def call(self, inputs: Any) -> Any:
        """The activation of each of `inputs`."""
        return activate(inputs, self.activation)
