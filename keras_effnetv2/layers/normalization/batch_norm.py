"""Batch normalization: TensorFlow's fused kernel, and statistics over replicas."""

import numbers
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_effnetv2.errors import InputError
from keras_effnetv2.layers.gradients import has_only_cpus

_FUSED_DTYPES = ("float32", "float16", "bfloat16")
# cuDNN refuses smaller values. PyTorch's 1e-5 counts as this, as in TensorFlow.
_FUSED_MIN_EPSILON = 1.001e-5
_PYTORCH_EPSILON = 1e-5
# Width of AVX-512, for a CPU's kernel in bfloat16.
_CHANNELS_AT_ONCE = 16


@keras.saving.register_keras_serializable("keras_effnetv2")
class BatchNorm(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, faster on TensorFlow, for groups of replicas.

    Same variables, config and results. On TensorFlow, Keras expands batch norm into
    about ten elementwise operations, which take as long in a training step of
    EfficientNetV2 as all convolutions. This layer calls TensorFlow's fused kernel for
    4-D channels-last input whose statistics need no other replica.

    The moving statistics are the same on all replicas, whichever share their batch
    statistics: the update is the average over replicas of the mean and variance that
    each normalises with, weighted by the replica's share of the batch. This variance is
    a little below that of the whole batch, which also includes the distances between
    the means of groups, but it is what training used.

    Masked input and `renorm` are left to Keras, without groups.

    Args:
        *args: as for `keras.layers.BatchNormalization`.
        synchronized: which replicas of a `tf.distribute` strategy share their batch
            statistics. False or 1: none. True: all. A number n: groups of n consecutive
            replicas, or all if there are fewer. On JAX, whose arrays span all devices,
            it always shares among all.
        **kwargs: as for `keras.layers.BatchNormalization`.

    Raises:
        ValueError: `synchronized` is none of these, or, in training, the replicas do
            not divide into groups of that size.
    """

    def __init__(
        self, *args: Any, synchronized: bool | int = False, **kwargs: Any
    ) -> None:
        # Keras's own argument is refused on JAX and does not support groups.
        super().__init__(*args, **kwargs)
        is_flag = isinstance(synchronized, bool)
        is_number = isinstance(synchronized, numbers.Integral)
        if not is_flag and not (is_number and synchronized >= 1):
            raise InputError(
                "synchronized must be True, False or a number of replicas, at least 1. "
                f"Received: {synchronized!r}."
            )
        self.synchronized = synchronized if is_flag else int(synchronized)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalizes `inputs`, `(batch, height, width, channels)` or any other rank."""
        training = bool(training and self.trainable)
        if mask is not None or getattr(self, "renorm", False):
            return super().call(inputs, training=training, mask=mask)
        is_alone = not training or self._group_size() == 1
        if is_alone and self._has_fused_kernel(inputs):
            return self._call_fused(inputs, training)
        if training and self.has_written_gradient(inputs):
            from keras_effnetv2.layers.normalization.jax_batch_norm import normalize

            return self.trained(normalize, inputs, is_activated=False)
        if training:
            return self._call_with_moments(inputs)
        return super().call(inputs, training=False)

    def has_written_gradient(self, inputs: Any) -> bool:
        """Whether the functions of `jax_batch_norm` can train it on `inputs`."""
        return (
            keras.backend.backend() == "jax"
            and self.trainable
            and self.axis in (-1, len(inputs.shape) - 1)
            and self.center
            and self.scale
            and self.variable_dtype == "float32"
            and not getattr(self, "renorm", False)
            and keras.backend.standardize_dtype(inputs.dtype) in _FUSED_DTYPES
        )

    def trained(
        self, function: Callable[..., Any], *inputs: Any, **options: Any
    ) -> Any:
        """What a function of `jax_batch_norm` makes; moves the moving statistics.

        Args:
            function: of `inputs`, `gamma`, `beta`, `center` and `epsilon`.
            *inputs: arrays.
            **options: other arguments of the function.
        """
        outputs, mean, variance = function(
            *inputs,
            gamma=ops.convert_to_tensor(self.gamma),
            beta=ops.convert_to_tensor(self.beta),
            center=ops.convert_to_tensor(self.moving_mean),
            epsilon=self.epsilon,
            **options,
        )
        self._move(mean, variance)
        return outputs

    def _group_size(self) -> int:
        """How many replicas share their batch statistics here."""
        num_replicas = _count_replicas()
        if self.synchronized is True:
            return num_replicas
        size = min(max(1, self.synchronized), num_replicas)
        if num_replicas % size:
            raise InputError(
                f"{num_replicas} replicas do not divide into groups of {size} that "
                "share batch statistics. Choose another number for synchronized "
                "(bn_synchronized of a model), or True for all replicas."
            )
        return size

    def _has_fused_kernel(self, inputs: Any) -> bool:
        return (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and self.center
            and self.scale
            and self.epsilon >= _PYTORCH_EPSILON
            and self.variable_dtype == "float32"
            and keras.backend.standardize_dtype(inputs.dtype) in _FUSED_DTYPES
        )

    def _call_fused(self, inputs: Any, training: bool) -> Any:
        import tensorflow as tf

        empty = tf.constant([], dtype="float32")
        is_slow = _is_slow_in_bfloat16(inputs)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=tf.cast(inputs, "float32") if is_slow else inputs,
            scale=ops.convert_to_tensor(self.gamma),
            offset=ops.convert_to_tensor(self.beta),
            mean=empty if training else ops.convert_to_tensor(self.moving_mean),
            variance=empty if training else ops.convert_to_tensor(self.moving_variance),
            epsilon=max(self.epsilon, 0.0 if has_only_cpus() else _FUSED_MIN_EPSILON),
            is_training=training,
        )
        if training:
            # The kernel returns the variance over n - 1; Keras keeps the one over n.
            count = tf.cast(tf.size(inputs) // inputs.shape[-1], "float32")
            variance *= tf.maximum(count - 1.0, 1.0) / count
            self._share(mean, variance, inputs)
        return tf.cast(outputs, inputs.dtype)

    def _call_with_moments(self, inputs: Any) -> Any:
        """Trains with elementwise operations: for groups of replicas, or any rank."""
        x = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        axis = self.axis % len(x.shape)
        mean, variance = ops.moments(x, [i for i in range(len(x.shape)) if i != axis])
        mean, variance = self._share(mean, variance, inputs)
        outputs = ops.batch_normalization(
            x,
            mean,
            variance,
            axis,
            offset=ops.cast(self.beta, x.dtype) if self.center else None,
            scale=ops.cast(self.gamma, x.dtype) if self.scale else None,
            epsilon=self.epsilon,
        )
        return ops.cast(outputs, self.compute_dtype)

    def _share(self, mean: Any, variance: Any, inputs: Any) -> tuple[Any, Any]:
        """Updates the moving statistics; returns the batch statistics of the group.

        Args:
            mean: mean of this replica's inputs, `(channels,)`.
            variance: variance of this replica's inputs, `(channels,)`.
            inputs: this replica's inputs.
        """
        num_replicas, group_size = _count_replicas(), self._group_size()
        if num_replicas == 1:
            self._move(mean, variance)
            return mean, variance
        size = ops.cast(ops.size(inputs), mean.dtype)
        if group_size == 1:
            values = ops.stop_gradient(ops.stack([mean, variance]))
            averages, _ = _average_in_groups(values, size, num_replicas)
            self._move(averages[0, 0], averages[0, 1])
            return mean, variance
        # Squares about the moving mean, which all replicas share. About 0, a small
        # variance would be lost in the rounding of a large mean.
        center = ops.cast(self.moving_mean, mean.dtype)
        values = ops.stack([mean - center, variance + ops.square(mean - center)])
        averages, sizes = _average_in_groups(values, size, group_size)
        means, squares = averages[:, 0], averages[:, 1]
        variances = ops.maximum(squares - ops.square(means), 0.0)
        means += center
        shares = sizes[:, 0] / ops.sum(sizes)
        self._move(ops.sum(shares * means, 0), ops.sum(shares * variances, 0))
        group = _find_group(group_size)
        return ops.take(means, group, axis=0), ops.take(variances, group, axis=0)

    def _move(self, mean: Any, variance: Any) -> None:
        pairs = (self.moving_mean, mean), (self.moving_variance, variance)
        for moving, value in pairs:
            old = ops.cast(moving, value.dtype)
            moving.assign(old * self.momentum + value * (1.0 - self.momentum))


def _is_slow_in_bfloat16(inputs: Any) -> bool:
    """Whether a CPU has only a generic kernel for it, 10 times as slow."""
    is_bfloat16 = keras.backend.standardize_dtype(inputs.dtype) == "bfloat16"
    return is_bfloat16 and inputs.shape[-1] % _CHANNELS_AT_ONCE != 0 and has_only_cpus()


def _count_replicas() -> int:
    """How many replicas run the code that is being traced; 1 outside a replica."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context.num_replicas_in_sync if context else 1


def _average_in_groups(values: Any, weight: Any, group_size: int) -> tuple[Any, Any]:
    """Averages over each group of `group_size` consecutive replicas.

    Uses one all-reduce: every replica contributes its group's sums, and zeros for the
    other groups. The shape is static, every strategy supports it, and gradients pass.

    Args:
        values: this replica's values, `(n, channels)`; may be NaN where `weight` is 0.
        weight: this replica's weight, a scalar.
        group_size: a divisor of the number of replicas.

    Returns:
        Averages, `(groups, n, channels)`, and the groups' weights, `(groups, 1, 1)`.
    """
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    num_groups = context.num_replicas_in_sync // group_size
    is_own = tf.one_hot(_find_group(group_size), num_groups, dtype=values.dtype)
    values = tf.concat([values, tf.ones_like(values[:1])], axis=0)
    values = tf.math.multiply_no_nan(values, weight) * is_own[:, None, None]
    sums = context.all_reduce(tf.distribute.ReduceOp.SUM, values)
    weights = sums[:, -1:]
    return tf.math.divide_no_nan(sums[:, :-1], weights), weights[..., :1]


def _find_group(group_size: int) -> Any:
    """The number of this replica's group of `group_size`, from 0."""
    import tensorflow as tf

    return tf.distribute.get_replica_context().replica_id_in_sync_group // group_size
