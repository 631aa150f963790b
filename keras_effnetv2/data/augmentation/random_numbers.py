"""Random numbers that are functions of a seed only, in TensorFlow ops.

The same seed gives the same numbers after a restart, in any order and in any worker.
"""

from typing import Any

import tensorflow as tf

from keras_effnetv2.errors import InputError


def split(seed: Any, num: int) -> list[tf.Tensor]:
    """`num` independent seeds made from one.

    Args:
        seed: int32 or int64 `(2,)`.
        num: how many.

    Raises:
        ValueError: the seed is not a pair of integers.
    """
    seed = tf.convert_to_tensor(seed)
    if not seed.dtype.is_integer or not seed.shape.is_compatible_with((2,)):
        raise InputError(
            "A seed is two integers, shape (2,). "
            f"Received: shape {seed.shape}, {seed.dtype.name}. "
            "Pass, for example, tf.random.experimental.stateless_fold_in(seed, index)."
        )
    return tf.unstack(tf.random.experimental.stateless_split(seed, num))


def uniform(seed: tf.Tensor, shape: Any) -> tf.Tensor:
    """float32 in [0, 1)."""
    return tf.random.stateless_uniform(shape, seed)


def below(limit: Any, draw: tf.Tensor) -> tf.Tensor:
    """Uniform int32 in 0..limit-1, from float32 in [0, 1)."""
    return tf.cast(draw * tf.cast(limit, tf.float32), tf.int32)


def beta(seed: tf.Tensor, alpha: Any, num: Any) -> tf.Tensor:
    """`num` draws of Beta(alpha, alpha), float32 `(num,)`, for any alpha above 0.

    A gamma variable below about 1e-38, which is common for a small alpha, is 0 in
    float32, so its logarithm is drawn: Gamma(a) ~ Gamma(a + 1) * U ** (1 / a)
    (Marsaglia and Tsang 2000, section 6).
    """
    alpha = tf.cast(alpha, tf.float32)
    gamma_seed, power_seed = split(seed, 2)
    gamma = tf.random.stateless_gamma((2, num), gamma_seed, alpha + 1)
    logarithm = tf.math.log1p(-uniform(power_seed, (2, num)))
    first, second = tf.unstack(tf.math.log(gamma) + logarithm / alpha)
    return tf.sigmoid(first - second)
