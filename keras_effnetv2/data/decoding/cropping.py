"""Crops and resizes for evaluation, as in the published measurements."""

from typing import Any

import tensorflow as tf

from keras_effnetv2.data.decoding import pillow_style
from keras_effnetv2.errors import InputError
from keras_effnetv2.preprocessing import Preprocessing

# The crop is the central size / (size + margin), for sizes below the limit (pixels).
# google/automl, efficientnetv2: preprocessing.py, preprocess_legacy.py.
_CROP_MARGIN = 32
_CROP_LIMIT = 320


def evaluation_image(image: Any, preprocessing: Preprocessing) -> tf.Tensor:
    """Crops and resizes one image for evaluation, in TensorFlow ops.

    Without a `crop_pct` the pixels are those of Google's code, whose bicubic resize is
    TensorFlow 1's: it samples at pixel corners and may leave the range 0..255 near
    edges. Nothing is clipped, rounded, smoothed before shrinking, or normalised: the
    model normalises. With a `crop_pct` they are timm's and torchvision's: whole numbers
    0..255.

    Args:
        image: uint8 or float `(height, width, channels)`, pixels 0..255.
        preprocessing: `image_size`, `crop`, `crop_pct` and `interpolation` are used,
            and `mean` for padding around the image.

    Returns:
        float32 `(image_size, image_size, channels)`, pixels 0..255.

    Raises:
        ValueError: not a single image, but e.g. a batch.
    """
    image = tf.convert_to_tensor(image)
    if image.shape.rank != 3:
        raise InputError(
            "evaluation_image takes one image, (height, width, channels). "
            f"Received: shape {image.shape}."
        )
    if preprocessing.crop_pct is not None:
        return pillow_style.evaluation_image(image, preprocessing)
    size = preprocessing.image_size
    if preprocessing.crop == "center":
        image = _center_crop(image, size, round_offset_up=True)
    elif preprocessing.crop == "center_below_320" and size < _CROP_LIMIT:
        image = _center_crop(image, size, round_offset_up=False)
    if preprocessing.interpolation == "bilinear":
        return tf.image.resize(image, (size, size))
    resized = tf.raw_ops.ResizeBicubic(images=image[None], size=(size, size))
    return tf.ensure_shape(resized[0], (size, size, image.shape[2]))


def evaluation_window(
    height: int, width: int, preprocessing: Preprocessing
) -> tuple[float, float, float, float]:
    """The position in an image of the crop of `evaluation_image`.

    Args:
        height: height of the image, pixels.
        width: width of the image, pixels.
        preprocessing: as for `evaluation_image`.

    Returns:
        Top, left, height and width, pixels of the image; a crop with padding around the
        image starts outside it.
    """
    if preprocessing.crop_pct is not None:
        return pillow_style.evaluation_window(height, width, preprocessing)
    size = preprocessing.image_size
    if preprocessing.crop == "center":
        window = _center_window(tf.constant((height, width)), size, True)
    elif preprocessing.crop == "center_below_320" and size < _CROP_LIMIT:
        window = _center_window(tf.constant((height, width)), size, False)
    else:
        return 0.0, 0.0, float(height), float(width)
    y, x, crop = (float(number) for number in window)
    return y, x, crop, crop


def _center_crop(image: tf.Tensor, size: int, round_offset_up: bool) -> tf.Tensor:
    """The central square; the two official crops round odd margins differently."""
    y, x, crop = _center_window(tf.shape(image)[:2], size, round_offset_up)
    return image[y : y + crop, x : x + crop]


def _center_window(
    sides: tf.Tensor, size: int, round_offset_up: bool
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Top, left and side of the central square of an image."""
    ratio = size / (size + _CROP_MARGIN)
    crop = tf.cast(ratio * tf.cast(tf.reduce_min(sides), tf.float32), tf.int32)
    crop = tf.maximum(crop, 1)
    y, x = tf.unstack((sides - crop + int(round_offset_up)) // 2)
    return y, x, crop
