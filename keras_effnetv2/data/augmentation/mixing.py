"""MixUp and CutMix: each image of a batch is mixed with its neighbour.

MixUp: Zhang et al., arXiv 1710.09412. CutMix: Yun et al., arXiv 1905.04899.
"""

import dataclasses
import math
from typing import Any

import tensorflow as tf

from keras_effnetv2.data.augmentation import random_numbers
from keras_effnetv2.errors import InputError


@dataclasses.dataclass(frozen=True)
class Mixing:
    """MixUp, CutMix, or both, alternating from image to image.

    Each image draws its own share of its neighbour, and its label gets the same share.
    The neighbour is the image before it; for the first image, the last. A batch of one
    is not mixed. google/automl averages CutMix's shares over the batch before it mixes
    the labels, so its labels do not fit its images.

    Attributes:
        mixup_alpha: shares are Beta(alpha, alpha), the smaller of share and 1 - share;
            0 switches MixUp off. A float, or a scalar tensor or variable, which may
            change without a retrace.
        cutmix_alpha: the same for the area of the rectangle, before it is clipped to
            the image.
    """

    mixup_alpha: Any = 0.0
    cutmix_alpha: Any = 0.0

    def __post_init__(self):
        for field in dataclasses.fields(self):
            alpha = getattr(self, field.name)
            if isinstance(alpha, int | float) and not 0 <= alpha < math.inf:
                raise InputError(
                    f"{field.name} must be above 0, or 0 to switch it off. "
                    f"Received: {field.name}={alpha!r}."
                )

    def apply(self, images: Any, labels: Any, seed: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """The mixed batch; the same for the same seed.

        Args:
            images: uint8 or float32 `(batch, height, width, channels)`.
            labels: floating point `(batch, classes)`, one-hot or any shares of classes;
                if all have the same sum over the classes, it is kept.
            seed: int `(2,)`.

        Returns:
            Images and labels of the same shapes and types; uint8 pixels are rounded.

        Raises:
            ValueError: another shape or type.
        """
        images, labels = _checked(images, labels)
        before = tf.roll(images, 1, axis=0), tf.roll(labels, 1, axis=0)
        batch_size = tf.shape(images)[0]
        return self._mix((images, labels), before, seed, 0, batch_size)

    def apply_part(
        self, images: Any, labels: Any, seed: Any, *, first_row: Any, batch_size: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Some rows of the result of `apply` on a larger batch.

        Args:
            images: as in `apply`, rows `first_row - 1`, `first_row`, ... of the larger
                batch; the row before its first is its last. The first one serves only
                as a neighbour.
            labels: labels of the same rows.
            seed: int `(2,)`.
            first_row: index in the larger batch of the result's first row.
            batch_size: rows of the larger batch.

        Returns:
            Images and labels, one row fewer than given.

        Raises:
            ValueError: another shape or type.
        """
        images, labels = _checked(images, labels)
        rows, before = (images[1:], labels[1:]), (images[:-1], labels[:-1])
        return self._mix(rows, before, seed, first_row, batch_size)

    def apply_pairs(
        self,
        images: Any,
        labels: Any,
        seed: Any,
        *,
        rows: Any,
        before: Any,
        first_row: Any,
        batch_size: Any,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Some rows of a larger batch, each mixed with a neighbour that is given.

        Args:
            images: as in `apply`, of those rows and their neighbours.
            labels: labels of the same rows.
            seed: int `(2,)`.
            rows: indices in `images` of the result's rows, which are consecutive in the
                larger batch.
            before: indices in `images` of their neighbours.
            first_row: index in the larger batch of the result's first row.
            batch_size: rows of the larger batch.

        Returns:
            Images and labels, as many as `rows`.

        Raises:
            ValueError: another shape or type.
        """
        both = _checked(images, labels)
        own, neighbours = (
            tuple(tf.gather(x, places) for x in both) for places in (rows, before)
        )
        return self._mix(own, neighbours, seed, first_row, batch_size)

    @property
    def is_off(self) -> bool:
        """Whether no image will ever be mixed; a variable could still change."""
        alphas = self.mixup_alpha, self.cutmix_alpha
        return all(isinstance(alpha, int | float) and alpha == 0 for alpha in alphas)

    def _mix(
        self, batch: Any, before: Any, seed: Any, first_row: Any, batch_size: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Images and labels of `batch`, mixed with those of `before`."""
        mixup_alpha = tf.cast(self.mixup_alpha, tf.float32)
        cutmix_alpha = tf.cast(self.cutmix_alpha, tf.float32)

        def mix():
            mixup_seed, cutmix_seed = random_numbers.split(seed, 2)
            num, height, width, _ = tf.unstack(tf.shape(batch[0]))
            rows = first_row + tf.range(num)
            mixup = _mixup_shares(mixup_alpha, mixup_seed, batch_size)
            outside = _cutmix_masks(
                cutmix_alpha, cutmix_seed, batch_size, rows, (height, width)
            )
            use_cutmix = (cutmix_alpha > 0) & ((mixup_alpha <= 0) | (rows % 2 == 1))
            weights = tf.where(
                use_cutmix[:, None, None],
                outside,
                tf.gather(mixup, rows)[:, None, None],
            )
            return _mixed(batch[0], before[0], weights), _mixed_labels(
                batch[1], before[1], weights
            )

        is_on = (mixup_alpha > 0) | (cutmix_alpha > 0)
        return tf.cond(is_on, mix, lambda: batch)


def _mixup_shares(alpha: tf.Tensor, seed: tf.Tensor, num: Any) -> tf.Tensor:
    """Weights of the images themselves, float32 `(num,)`."""
    share = random_numbers.beta(seed, _safe(alpha), num)
    return tf.maximum(share, 1 - share)


def _cutmix_masks(
    alpha: tf.Tensor, seed: tf.Tensor, num: Any, rows: tf.Tensor, sides: Any
) -> tf.Tensor:
    """0 inside the rectangles of some rows of `num`, 1 outside: `(rows, *sides)`."""
    share_seed, place_seed = random_numbers.split(seed, 2)
    ratio = tf.sqrt(tf.gather(random_numbers.beta(share_seed, _safe(alpha), num), rows))
    places = tf.gather(random_numbers.uniform(place_seed, (2, num)), rows, axis=1)
    in_rows, in_columns = (
        _inside(side, place, ratio)
        for side, place in zip(sides, tf.unstack(places), strict=True)
    )
    return tf.cast(~(in_rows[:, :, None] & in_columns[:, None, :]), tf.float32)


def _inside(side: tf.Tensor, place: tf.Tensor, ratio: tf.Tensor) -> tf.Tensor:
    """Which of `side` pixels are in the intervals, bool `(batch, side)`."""
    center = random_numbers.below(side, place)
    # Whole pixels on both sides, as in google/automl, efficientnetv2/datasets.py.
    half = random_numbers.below(side, ratio) // 2
    pixels = tf.range(side)
    return (pixels >= (center - half)[:, None]) & (pixels < (center + half)[:, None])


def _safe(alpha: tf.Tensor) -> tf.Tensor:
    """An alpha that can be drawn with, even where the result is not used."""
    return tf.where(alpha > 0, alpha, 1)


def _mixed(images: tf.Tensor, before: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    weights = weights[..., None]
    pixels, others = tf.cast(images, tf.float32), tf.cast(before, tf.float32)
    mixed = others + weights * (pixels - others)
    mixed = tf.round(mixed) if images.dtype == tf.uint8 else mixed
    return tf.ensure_shape(tf.cast(mixed, images.dtype), images.shape)


def _mixed_labels(
    labels: tf.Tensor, before: tf.Tensor, weights: tf.Tensor
) -> tf.Tensor:
    share = tf.cast(tf.reduce_mean(weights, axis=(1, 2)), labels.dtype)[:, None]
    mixed = share * labels + (1 - share) * before
    return tf.ensure_shape(mixed, labels.shape)


def _checked(images: Any, labels: Any) -> tuple[tf.Tensor, tf.Tensor]:
    images, labels = tf.convert_to_tensor(images), tf.convert_to_tensor(labels)
    if images.dtype not in (tf.uint8, tf.float32) or not _has_rank(images, 4):
        raise InputError(
            "images must be uint8 or float32 (batch, height, width, channels). "
            f"Received: shape {images.shape}, {images.dtype.name}."
        )
    if not labels.dtype.is_floating or not _has_rank(labels, 2):
        raise InputError(
            "labels must be floating point (batch, classes). "
            f"Received: shape {labels.shape}, {labels.dtype.name}. "
            "Pass tf.one_hot(labels, classes)."
        )
    return images, labels


def _has_rank(tensor: tf.Tensor, rank: int) -> bool:
    return tensor.shape.rank in (None, rank)
