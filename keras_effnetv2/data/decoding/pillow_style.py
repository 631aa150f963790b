"""The evaluation crops of timm and torchvision, with Pillow's pixels.

Sources: timm 1.0.31, `data/transforms_factory.py` and `transforms.py`;
torchvision 0.29, `Resize` and `CenterCrop`; Pillow 13.
"""

import math

import tensorflow as tf

from keras_effnetv2.preprocessing import Preprocessing

# Length by width to which images are cut before they are resized for a central crop,
# which does not see the ends. Enlarged, these may take gigabytes.
_LONGEST = 32


def evaluation_image(image: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """Resizes and crops one image according to a record with a `crop_pct`.

    Args:
        image: uint8 or float `(height, width, channels)`, pixels 0..255.
        preprocessing: a record with a `crop_pct`.

    Returns:
        float32 `(image_size, image_size, channels)`, whole numbers 0..255.
    """
    size, channels = preprocessing.image_size, image.shape[2]
    seen = _without_ends(tf.shape(image)[:2], preprocessing)
    top, left, height, width = tf.unstack(seen)
    image = image[top : top + height, left : left + width]
    sides = _scaled_sides(tf.shape(image)[:2], preprocessing)
    image = _resize(image, sides, preprocessing.interpolation)
    image = _pad(image, tf.maximum(size - sides, 0), preprocessing.mean)
    y, x = tf.unstack(_offsets(sides, size))
    return tf.ensure_shape(image[y : y + size, x : x + size], (size, size, channels))


def evaluation_window(
    height: int, width: int, preprocessing: Preprocessing
) -> tuple[float, float, float, float]:
    """Top, left, height and width of the crop in an image's own pixels.

    A crop with padding around the image starts outside it, and is larger.
    """
    size = preprocessing.image_size
    seen = _without_ends(tf.constant((height, width)), preprocessing).numpy()
    corner, seen = seen[:2], seen[2:]
    sides = _scaled_sides(tf.constant(seen), preprocessing)
    offsets = _offsets(sides, size) - tf.maximum(size - sides, 0) // 2
    scale = seen / sides.numpy()
    (top, left), (rows, columns) = corner + offsets.numpy() * scale, size * scale
    return float(top), float(left), float(rows), float(columns)


def _without_ends(sides: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """Top, left, height and width of the part to resize, int32 `(4,)`."""
    cut = tf.zeros_like(sides)
    if preprocessing.crop == "center":
        # As much at both ends, so that the centre stays where it is.
        cut = tf.maximum(sides - _LONGEST * tf.reduce_min(sides), 0) // 2
    return tf.concat([cut, sides - 2 * cut], axis=0)


def _offsets(sides: tf.Tensor, size: int) -> tf.Tensor:
    """Top and left of the crop in the resized and padded image, int32 `(2,)`."""
    # Halves of odd margins are rounded to even, as in Python.
    margins = tf.cast(tf.maximum(sides - size, 0), tf.float32)
    return tf.cast(tf.round(margins / 2.0), tf.int32)


def _scaled_sides(sides: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """Height and width of the resized image, int32 `(2,)`."""
    # Records always have a crop_pct here.
    scaled = math.floor(preprocessing.image_size / (preprocessing.crop_pct or 1.0))
    if preprocessing.crop == "squash":
        return tf.constant([scaled, scaled])
    if preprocessing.crop == "center":
        # The long side is truncated, as in torchvision.
        return tf.maximum(scaled * sides // tf.reduce_min(sides), scaled)
    ratio = tf.cast(tf.reduce_max(sides), tf.float64) / scaled
    scaled_sides = tf.round(tf.cast(sides, tf.float64) / ratio)
    return tf.maximum(tf.cast(scaled_sides, tf.int32), 1)


def _resize(image: tf.Tensor, sides: tf.Tensor, interpolation: str) -> tf.Tensor:
    """As Pillow: first the width, then the height, rounded to levels after each.

    Pillow 13 and later sometimes start with the height, which changes levels by at most
    two.
    """
    height, width = tf.unstack(sides)
    for size in ((tf.shape(image)[0], width), (height, width)):
        image = tf.image.resize(image, size, interpolation, antialias=True)
        image = tf.clip_by_value(tf.floor(image + 0.5), 0.0, 255.0)
    return image


def _pad(image: tf.Tensor, lacking: tf.Tensor, mean: tuple[float, ...]) -> tf.Tensor:
    """The image padded with the mean to the height and width needed."""
    fill = tf.round(tf.constant(mean, tf.float32))
    before = lacking // 2
    rows, columns = tf.unstack(tf.stack([before, lacking - before], axis=1))
    return tf.pad(image - fill, tf.stack([rows, columns, [0, 0]])) + fill
