"""Operations of AutoAugment and RandAugment that move or cover pixels.

Each takes and returns uint8 `(height, width, 3)`, pixels 0..255, of any size, in
TensorFlow ops. Pixels from outside the image are mid-gray, 128; the others are those of
the nearest position. The results are google/automl's, efficientnetv2/autoaugment.py.
"""

import math
from typing import Any

import tensorflow as tf

GRAY = 128


def rotate(image: tf.Tensor, degrees: Any) -> tf.Tensor:
    """Rotates around the centre; positive is counter-clockwise."""
    radians = tf.cast(degrees, tf.float32) * (math.pi / 180)
    sine, cosine = tf.sin(radians), tf.cos(radians)
    height, width = tf.unstack(tf.shape(image)[:2])
    center = tf.cast(tf.stack([width, height]) - 1, tf.float32) / 2
    matrix = tf.stack([[cosine, -sine], [sine, cosine]])
    # If written as separate sums, TensorFlow reorders them for static sizes, which
    # changes pixels half-way between two others.
    shift = tf.reduce_sum(matrix * center, axis=1) - center
    return _transform(image, (cosine, -sine, shift[0]), (sine, cosine, shift[1]))


def shear_x(image: tf.Tensor, slope: Any) -> tf.Tensor:
    """Shifts each row `slope` pixels further to the left than the row above."""
    return _transform(image, (1, slope, 0), (0, 1, 0))


def shear_y(image: tf.Tensor, slope: Any) -> tf.Tensor:
    """Shifts each column `slope` pixels further up than the column before."""
    return _transform(image, (1, 0, 0), (slope, 1, 0))


def translate_x(image: tf.Tensor, pixels: Any) -> tf.Tensor:
    """Moves the image `pixels` to the left."""
    return _transform(image, (1, 0, -pixels), (0, 1, 0))


def translate_y(image: tf.Tensor, pixels: Any) -> tf.Tensor:
    """Moves the image `pixels` up."""
    return _transform(image, (1, 0, 0), (0, 1, -pixels))


def cutout(image: tf.Tensor, draw: tf.Tensor, pad_size: Any, fill: Any) -> tf.Tensor:
    """Covers a square of side 2 `pad_size`, as far as it is within the image.

    Args:
        image: `(height, width, channels)`, any type.
        draw: float32 `(2,)` in [0, 1), the centre's row and column as fractions of the
            image; uniform draws make every pixel equally likely.
        pad_size: int, pixels from the centre to each side.
        fill: the colour or pixels of the square, broadcast to the image.
    """
    sides = tf.shape(image)[:2]
    center = tf.cast(draw * tf.cast(sides, tf.float32), tf.int32)
    begin, end = tf.maximum(center - pad_size, 0), tf.minimum(center + pad_size, sides)
    cover = tf.broadcast_to(tf.cast(fill, image.dtype), tf.shape(image))
    # Takes a third of the time of selecting between two images.
    return tf.raw_ops.TensorStridedSliceUpdate(
        input=image,
        begin=begin,
        end=end,
        strides=(1, 1),
        value=cover[begin[0] : end[0], begin[1] : end[1]],
    )


def _transform(image: tf.Tensor, x_row: Any, y_row: Any) -> tf.Tensor:
    """Pixel (x, y) becomes that of (x_row, y_row) times (x, y, -1).

    The result of TensorFlow's ImageProjectiveTransformV3, in half the time.
    """
    height, width = tf.unstack(tf.shape(image)[:2])
    rows = _nearest(y_row, height, width, limit=height)
    columns = _nearest(x_row, height, width, limit=width)
    framed = tf.pad(image, ((1, 1), (1, 1), (0, 0)), constant_values=GRAY)
    places = (rows + 1) * (width + 2) + columns + 1
    return tf.gather(tf.reshape(framed, (-1, 3)), places)


def _nearest(
    factors: Any, height: tf.Tensor, width: tf.Tensor, limit: tf.Tensor
) -> tf.Tensor:
    """Nearest integer coordinate of every pixel's origin, int32 `(height, width)`.

    Outside the image it is -1 or `limit`; a half is rounded away from zero.
    """
    x, y = tf.range(width)[None], tf.range(height)[:, None]
    x_factor, y_factor, shift = (tf.cast(factor, tf.float32) for factor in factors)
    origin = x_factor * tf.cast(x, tf.float32) + y_factor * tf.cast(y, tf.float32)
    # Not a separate sum, since TensorFlow reorders sums in graphs; see `rotate`.
    origin -= shift
    whole = tf.cast(origin + tf.sign(origin) / 2, tf.int32)
    return tf.clip_by_value(whole, -1, limit)
