"""Activations: SiLU (swish) whose gradient takes fewer passes on TensorFlow."""

import functools
from collections.abc import Callable
from typing import Any

import keras

from keras_effnetv2.layers.gradients import has_only_cpus, has_own_gradients

Activation = str | Callable | None


def activate(x: Any, activation: Callable[[Any], Any]) -> Any:
    """`activation(x)`, with `silu` instead of Keras's on TensorFlow."""
    is_silu = activation is keras.activations.silu
    if is_silu and keras.backend.backend() == "tensorflow":
        return silu(x)
    return activation(x)


def silu(x: Any) -> Any:
    """`x * sigmoid(x)` on TensorFlow, of any shape and floating dtype.

    With y the output, the derivative is `sigmoid(x) * (1 + x - y)`. This gradient takes
    four passes over memory; TensorFlow's own takes six and another sigmoid, and the
    difference is a tenth of a training step of EfficientNetV2 on a CPU. It is computed
    in at least float32, as a CPU's elementwise kernels are much slower in bfloat16.
    There XLA fuses everything into one pass, which avoids the casts.
    """
    import tensorflow as tf

    @tf.custom_gradient
    def run(x: Any) -> tuple[Any, Callable[[Any], Any]]:
        # Sigmoid and Mul: converters and graph optimizers recognize SiLU by them.
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
    # Only once `dy` exists: otherwise TensorFlow would do part of this in the forward
    # pass and keep the result.
    with tf.control_dependencies([dy]):
        features, outputs, gradients = (tf.cast(value, dtype) for value in (x, y, dy))
        gradients *= 1.0 + (features - outputs)
    # SoftplusGrad: its gradients times the sigmoid of its features.
    dx = tf.raw_ops.SoftplusGrad(gradients=gradients, features=features)
    return tf.cast(dx, x.dtype)


@functools.cache
def _compiled_silu_gradient() -> Callable[[Any, Any, Any], Any]:
    """For any shape, traced once. In float32 compilation does not pay."""
    import tensorflow as tf

    spec = tf.TensorSpec(None, tf.bfloat16)
    return tf.function(_silu_gradient, input_signature=[spec] * 3, jit_compile=True)


@keras.saving.register_keras_serializable("keras_effnetv2")
class FastActivation(keras.layers.Activation):
    """`keras.layers.Activation`: same arguments, shapes and results, faster SiLU."""

    def call(self, inputs: Any) -> Any:
        """Applies the activation to each element of `inputs`."""
        return activate(inputs, self.activation)
