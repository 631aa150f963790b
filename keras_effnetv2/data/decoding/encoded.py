"""Reads bytes of encoded images as numbers, in TensorFlow ops, never out of range."""

from typing import Any

import numpy as np
import tensorflow as tf


def length(contents: tf.Tensor) -> tf.Tensor:
    """Number of bytes in a scalar string, scalar int64."""
    return tf.cast(tf.strings.length(contents), tf.int64)


def part(contents: tf.Tensor, start: Any, size: Any) -> tf.Tensor:
    """At most `size` bytes from `start`; those out of range are left out, no error."""
    start = tf.minimum(tf.cast(start, tf.int64), length(contents))
    return tf.strings.substr(contents, start, tf.cast(size, tf.int64))


def read(contents: tf.Tensor, start: Any, size: int) -> tf.Tensor:
    """The `size` bytes from `start`, uint8 `(size,)`; zeros for those out of range."""
    return tf.io.decode_raw(part(contents, start, size), tf.uint8, fixed_length=size)


def equals(data: tf.Tensor, text: bytes) -> tf.Tensor:
    """Whether uint8 `(size,)` equals the bytes of a text, scalar bool."""
    return tf.reduce_all(data == np.frombuffer(text, np.uint8))


def number(data: tf.Tensor, little: tf.Tensor | bool) -> tf.Tensor:
    """Unsigned numbers from uint8 `(..., size)`, little- or big-endian, int64."""
    powers = 256 ** np.arange(data.shape[-1], dtype=np.int64)
    powers = tf.where(little, powers, powers[::-1])
    return tf.reduce_sum(tf.cast(data, tf.int64) * powers, axis=-1)
