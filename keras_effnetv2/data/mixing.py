"""MixUp and CutMix: each image of a batch partly becomes its neighbour.

MixUp: Zhang et al., arXiv 1710.09412. CutMix: Yun et al., arXiv 1905.04899.
"""

import dataclasses
import math
from typing import Any

import tensorflow as tf

from keras_effnetv2.data import random_numbers


@dataclasses.dataclass(frozen=True)
class Mixing:
    """MixUp, CutMix, or MixUp of every other image and CutMix of those between.

    Each image draws its own share of the neighbour, and its label takes that same
    share. The neighbour is the image before it, the last one before the first; a batch
    of one stays. google/automl averages CutMix's shares over the batch before it mixes
    the labels, which is why its labels do not fit its images.

    Attributes:
        mixup_alpha: shares are Beta(alpha, alpha), the smaller of share and 1 - share;
            0 switches MixUp off. A float, or a scalar tensor or variable, which may
            change without a retrace.
        cutmix_alpha: likewise the share of the rectangle, before what lies outside the
            image is lost.
    """

    mixup_alpha: Any = 0.0
    cutmix_alpha: Any = 0.0

    def __post_init__(self):
        for field in dataclasses.fields(self):
            alpha = getattr(self, field.name)
            if isinstance(alpha, int | float) and not 0 <= alpha < math.inf:
                raise ValueError(
                    f"{field.name} is above 0, or 0 to switch it off. "
                    f"Received: {field.name}={alpha!r}."
                )

    def apply(self, images: Any, labels: Any, seed: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """The mixed batch; the same for the same seed.

        Args:
            images: uint8 or float32 `(batch, height, width, channels)`.
            labels: floating point `(batch, classes)`, one-hot or any shares of classes;
                their sum over the classes of an image stays what it is, if all agree.
            seed: int `(2,)`.

        Returns:
            Images and labels of the same shapes and types; uint8 pixels are rounded.

        Raises:
            ValueError: another shape or type.
        """
        images, labels = _checked(images, labels)
        mixup_alpha = tf.cast(self.mixup_alpha, tf.float32)
        cutmix_alpha = tf.cast(self.cutmix_alpha, tf.float32)

        def mix():
            mixup_seed, cutmix_seed = random_numbers.split(seed, 2)
            index = tf.range(tf.shape(images)[0])
            use_cutmix = (cutmix_alpha > 0) & ((mixup_alpha <= 0) | (index % 2 == 1))
            mixup = _mixup_weights(tf.shape(images), mixup_alpha, mixup_seed)
            cutmix = _cutmix_weights(tf.shape(images), cutmix_alpha, cutmix_seed)
            weights = tf.where(use_cutmix[:, None, None, None], cutmix, mixup)
            return _mixed(images, weights), _mixed_labels(labels, weights)

        is_on = (mixup_alpha > 0) | (cutmix_alpha > 0)
        return tf.cond(is_on, mix, lambda: (images, labels))


def _mixup_weights(shape: tf.Tensor, alpha: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Weights of the images themselves, float32 `(batch, height, width, 1)`."""
    share = random_numbers.beta(seed, _safe(alpha), shape[0])
    share = tf.maximum(share, 1 - share)
    return tf.broadcast_to(share[:, None, None, None], (*tf.unstack(shape[:3]), 1))


def _cutmix_weights(shape: tf.Tensor, alpha: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """0 inside each image's rectangle, 1 outside, `(batch, height, width, 1)`."""
    share_seed, place_seed = random_numbers.split(seed, 2)
    share = random_numbers.beta(share_seed, _safe(alpha), shape[0])
    places = random_numbers.uniform(place_seed, (2, shape[0]))
    inside = [
        _inside(shape[axis + 1], places[axis], tf.sqrt(share)) for axis in range(2)
    ]
    hit = inside[0][:, :, None] & inside[1][:, None, :]
    return tf.cast(~hit, tf.float32)[..., None]


def _inside(side: tf.Tensor, place: tf.Tensor, ratio: tf.Tensor) -> tf.Tensor:
    """Which of `side` pixels are in the intervals, bool `(batch, side)`."""
    center = random_numbers.below(side, place)
    # Whole pixels to both sides, as in google/automl, efficientnetv2/datasets.py.
    half = random_numbers.below(side, ratio) // 2
    pixels = tf.range(side)
    return (pixels >= (center - half)[:, None]) & (pixels < (center + half)[:, None])


def _safe(alpha: tf.Tensor) -> tf.Tensor:
    """An alpha that can be drawn with, also where the result is not used."""
    return tf.where(alpha > 0, alpha, 1)


def _mixed(images: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    pixels = tf.cast(images, tf.float32)
    mixed = weights * pixels + (1 - weights) * tf.roll(pixels, 1, axis=0)
    mixed = tf.round(mixed) if images.dtype == tf.uint8 else mixed
    return tf.ensure_shape(tf.cast(mixed, images.dtype), images.shape)


def _mixed_labels(labels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    share = tf.cast(tf.reduce_mean(weights, axis=(1, 2)), labels.dtype)
    mixed = share * labels + (1 - share) * tf.roll(labels, 1, axis=0)
    return tf.ensure_shape(mixed, labels.shape)


def _checked(images: Any, labels: Any) -> tuple[tf.Tensor, tf.Tensor]:
    images, labels = tf.convert_to_tensor(images), tf.convert_to_tensor(labels)
    if images.dtype not in (tf.uint8, tf.float32) or not _has_rank(images, 4):
        raise ValueError(
            "images are uint8 or float32 (batch, height, width, channels). "
            f"Received: shape {images.shape}, {images.dtype.name}."
        )
    if not labels.dtype.is_floating or not _has_rank(labels, 2):
        raise ValueError(
            "labels are floating point (batch, classes). "
            f"Received: shape {labels.shape}, {labels.dtype.name}. "
            "Pass tf.one_hot(labels, classes)."
        )
    return images, labels


def _has_rank(tensor: tf.Tensor, rank: int) -> bool:
    return tensor.shape.rank in (None, rank)
