"""Batch normalization with TensorFlow's fused kernel."""

from typing import Any

import keras
from keras import ops

_FUSED_DTYPES = ("float32", "float16", "bfloat16")
# cuDNN refuses smaller values.
_FUSED_MIN_EPSILON = 1.001e-5


@keras.saving.register_keras_serializable("keras_effnetv2")
class BatchNorm(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, faster on TensorFlow.

    Same arguments, variables, config and results. Keras expands batch norm into about
    ten elementwise operations on TensorFlow, which in a training step of EfficientNetV2
    take as long as all convolutions; this layer calls TensorFlow's fused kernel for 4-D
    channels-last input whose statistics are not synchronized across replicas.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalizes `inputs`, `(batch, height, width, channels)` or any other rank."""
        if mask is not None or not self._has_fused_kernel(inputs):
            return super().call(inputs, training=training, mask=mask)
        return self._call_fused(inputs, training=bool(training and self.trainable))

    def _has_fused_kernel(self, inputs: Any) -> bool:
        return (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and self.center
            and self.scale
            and not self.synchronized
            and not getattr(self, "renorm", False)
            and self.epsilon >= _FUSED_MIN_EPSILON
            and self.variable_dtype == "float32"
            and keras.backend.standardize_dtype(inputs.dtype) in _FUSED_DTYPES
        )

    def _call_fused(self, inputs: Any, training: bool) -> Any:
        import tensorflow as tf

        empty = tf.constant([], dtype="float32")
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=ops.convert_to_tensor(self.gamma),
            offset=ops.convert_to_tensor(self.beta),
            mean=empty if training else ops.convert_to_tensor(self.moving_mean),
            variance=empty if training else ops.convert_to_tensor(self.moving_variance),
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            # The kernel returns the variance over n - 1; Keras keeps the one over n.
            count = tf.cast(tf.size(inputs) // inputs.shape[-1], "float32")
            variance *= tf.maximum(count - 1.0, 1.0) / count
            self._update(self.moving_mean, mean)
            self._update(self.moving_variance, variance)
        return outputs

    def _update(self, moving: Any, value: Any) -> None:
        moving.assign(moving * self.momentum + value * (1.0 - self.momentum))
