"""Operations of AutoAugment and RandAugment on colours, in TensorFlow ops.

Each takes and returns uint8 `(height, width, 3)`, pixels 0..255, of any size. The
results are those of google/automl, efficientnetv2/autoaugment.py, including its
deviations from Pillow's operations of the same names, since the published networks saw
these images.
"""

from typing import Any

import tensorflow as tf


def auto_contrast(image: tf.Tensor) -> tf.Tensor:
    """Stretches each channel to 0..255; a constant channel stays as it is."""
    low = tf.cast(tf.reduce_min(image, axis=(0, 1)), tf.float32)
    high = tf.cast(tf.reduce_max(image, axis=(0, 1)), tf.float32)
    scale = tf.where(high > low, 255 / tf.maximum(high - low, 1), 1)
    offset = tf.where(high > low, -low * scale, 0)
    return _levels(tf.cast(image, tf.float32) * scale + offset)


def equalize(image: tf.Tensor) -> tf.Tensor:
    """Equalizes each channel's histogram; too small or uniform channels stay."""
    pixels = tf.cast(tf.transpose(tf.reshape(image, (-1, 3))), tf.int32)
    counts = tf.math.bincount(pixels, minlength=256, maxlength=256, axis=-1)
    highest = tf.reduce_max(pixels, axis=1, keepdims=True)
    num_below_highest = tf.shape(pixels)[1] - tf.gather(counts, highest, batch_dims=1)
    step = num_below_highest // 255
    before = tf.cumsum(counts, axis=1, exclusive=True)
    table = (before + step // 2) // tf.maximum(step, 1)
    table = tf.where(step > 0, tf.clip_by_value(table, 0, 255), tf.range(256))
    changed = tf.gather(tf.cast(table, tf.uint8), pixels, batch_dims=1)
    return tf.reshape(tf.transpose(changed), tf.shape(image))


def invert(image: tf.Tensor) -> tf.Tensor:
    """255 minus each pixel."""
    return 255 - image


def posterize(image: tf.Tensor, bits: Any) -> tf.Tensor:
    """Keeps the upper `bits` bits of each pixel, so more bits change less.

    The official shift by 8 - bits is a uint8: with 9 bits or more it wraps around, and
    only the highest bit is kept, as with 0 bits.
    """
    shift = tf.minimum((8 - tf.cast(bits, tf.int32)) % 256, 7)
    return image & tf.cast(tf.bitwise.left_shift(255, shift) & 255, tf.uint8)


def solarize(image: tf.Tensor, threshold: Any) -> tf.Tensor:
    """Inverts the pixels that are not below `threshold`.

    The official threshold is a uint8 and wraps around: 256 inverts everything, 384 is
    128.
    """
    threshold = tf.cast(tf.cast(threshold, tf.int32) % 256, tf.uint8)
    # Selecting between two images would take three times as long.
    return image ^ (255 * tf.cast(image >= threshold, tf.uint8))


def solarize_add(image: tf.Tensor, addition: Any) -> tf.Tensor:
    """Adds `addition` to the pixels below 128, up to 255."""
    addition = tf.cast(tf.clip_by_value(addition, 0, 255), tf.uint8)
    addition = tf.minimum(addition, 255 - image)
    return image + addition * tf.cast(image < 128, tf.uint8)


def color(image: tf.Tensor, factor: Any) -> tf.Tensor:
    """0 is gray, 1 the image, above 1 more saturated."""
    return _blend(tf.image.rgb_to_grayscale(image), image, factor)


def contrast(image: tf.Tensor, factor: Any) -> tf.Tensor:
    """0 is one gray level, 1 the image, above 1 more contrast.

    The official gray level is not the mean, as in Pillow, but the number of pixels /
    256, at most 255: from 256 x 256 pixels on, more contrast makes an image darker.
    """
    num_pixels = tf.reduce_prod(tf.shape(image)[:2])
    return _blend(tf.minimum(num_pixels // 256, 255), image, factor)


def brightness(image: tf.Tensor, factor: Any) -> tf.Tensor:
    """0 is black, 1 the image, above 1 brighter."""
    return _blend(0, image, factor)


def sharpness(image: tf.Tensor, factor: Any) -> tf.Tensor:
    """0 is smoothed, 1 the image, above 1 sharper; the border pixels stay as they are.

    Smoothing weighs 3 x 3 pixels by 1 / 13, the central one by 5 / 13. Sums are exact
    and then truncated; the official sums are rounded and may be one level lower.
    """
    height, width = tf.unstack(tf.shape(image)[:2])
    pixels = tf.cast(image, tf.float32)
    framed = tf.pad(pixels, ((1, 1), (1, 1), (0, 0)))
    sums = framed[:-2] + framed[1:-1] + framed[2:]
    sums = sums[:, :-2] + sums[:, 1:-1] + sums[:, 2:]
    smooth = tf.floor((sums + 4 * pixels) / 13)
    rows, columns = tf.range(height)[:, None], tf.range(width)[None]
    inner = (rows > 0) & (rows < height - 1) & (columns > 0) & (columns < width - 1)
    return _blend(tf.where(inner[..., None], smooth, pixels), image, factor)


def _blend(start: Any, image: tf.Tensor, factor: Any) -> tf.Tensor:
    """`start` at factor 0, `image` at 1, and beyond it in the same direction."""
    start, image = tf.cast(start, tf.float32), tf.cast(image, tf.float32)
    return _levels(start + tf.cast(factor, tf.float32) * (image - start))


def _levels(pixels: tf.Tensor) -> tf.Tensor:
    """As uint8: clipped to 0..255 and truncated."""
    return tf.cast(tf.clip_by_value(pixels, 0, 255), tf.uint8)
