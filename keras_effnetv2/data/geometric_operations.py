"""Operations of AutoAugment and RandAugment that move or cover pixels.

Each takes and gives uint8 `(height, width, 3)`, pixels 0..255, of any size, in
TensorFlow ops. Pixels that come from outside are mid-gray, 128; the others are those of
the nearest place. The numbers are google/automl's, efficientnetv2/autoaugment.py.
"""

import math
from typing import Any

import tensorflow as tf

GRAY = 128


def rotate(image: tf.Tensor, degrees: Any) -> tf.Tensor:
    """Turns around the centre; positive is counter-clockwise."""
    radians = tf.cast(degrees, tf.float32) * (math.pi / 180)
    sine, cosine = tf.sin(radians), tf.cos(radians)
    height, width = tf.unstack(tf.shape(image)[:2])
    center = tf.cast(tf.stack([width, height]) - 1, tf.float32) / 2
    matrix = tf.stack([[cosine, -sine], [sine, cosine]])
    # Written as separate sums, TensorFlow reorders them where the size is static, and
    # pixels half-way between two others change.
    shift = center - tf.reduce_sum(matrix * center, axis=1)
    return _transform(image, (cosine, -sine, shift[0]), (sine, cosine, shift[1]))


def shear_x(image: tf.Tensor, slope: Any) -> tf.Tensor:
    """Each row shows what lies `slope` pixels further right than in the row above."""
    return _transform(image, (1, slope, 0), (0, 1, 0))


def shear_y(image: tf.Tensor, slope: Any) -> tf.Tensor:
    """Each column shows what lies `slope` pixels lower than in the column before."""
    return _transform(image, (1, 0, 0), (slope, 1, 0))


def translate_x(image: tf.Tensor, pixels: Any) -> tf.Tensor:
    """Moves the image `pixels` to the left."""
    return _transform(image, (1, 0, pixels), (0, 1, 0))


def translate_y(image: tf.Tensor, pixels: Any) -> tf.Tensor:
    """Moves the image `pixels` up."""
    return _transform(image, (1, 0, 0), (0, 1, pixels))


def cutout(image: tf.Tensor, draw: tf.Tensor, pad_size: Any, fill: Any) -> tf.Tensor:
    """Covers a square of side 2 `pad_size`, less what lies outside the image.

    Args:
        image: `(height, width, channels)`, any type.
        draw: float32 `(2,)` in [0, 1), the centre's row and column as shares of the
            image; uniform draws give every pixel the same chance.
        pad_size: int, pixels from the centre to each side.
        fill: what covers, broadcast to the image.
    """
    sides = tf.shape(image)[:2]
    center = tf.cast(draw * tf.cast(sides, tf.float32), tf.int32)
    row, column = tf.unstack(tf.stack([center - pad_size, center + pad_size]), axis=1)
    rows, columns = tf.range(sides[0]), tf.range(sides[1])
    hit_rows = (rows >= row[0]) & (rows < row[1])
    hit_columns = (columns >= column[0]) & (columns < column[1])
    hit = hit_rows[:, None, None] & hit_columns[None, :, None]
    return tf.where(hit, tf.cast(fill, image.dtype), image)


def _transform(image: tf.Tensor, x_row: Any, y_row: Any) -> tf.Tensor:
    """Pixel (x, y) becomes that of (x_row, y_row) times (x, y, 1)."""
    matrix = tf.stack([tf.cast(x, tf.float32) for x in (*x_row, *y_row, 0, 0)])
    transformed = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=matrix[None],
        output_shape=tf.shape(image)[:2],
        fill_value=float(GRAY),
        interpolation="NEAREST",
        fill_mode="CONSTANT",
    )
    return transformed[0]
