"""Augmentation of a single training image: crop, resize, flip, policy."""

import dataclasses
from typing import Any

import tensorflow as tf

from keras_effnetv2.data.augmentation import random_cropping, random_numbers
from keras_effnetv2.data.augmentation.random_cropping import RandomCrop
from keras_effnetv2.data.decoding import images


@dataclasses.dataclass(frozen=True)
class Augmenter:
    """How a training image is augmented, and how strongly.

    Attributes:
        image_size: side of the result, pixels.
        crop: the part that is seen. None: the whole image, squeezed into a square.
        flip: whether to mirror half of the images left to right.
        interpolation: how images are resized, `"bilinear"` or `"bicubic"`.
        policy: `RandAugment`, `AutoAugment`, `RandomCutout` or anything with such an
            `apply(image, seed)`. None: no policy.
    """

    image_size: int
    crop: RandomCrop | None
    flip: bool
    interpolation: str
    policy: Any

    def apply(
        self, image: tf.Tensor, seed: Any, turn_upright: bool = True
    ) -> tf.Tensor:
        """An image as a network trains on it; the same for the same seed.

        Args:
            image: encoded, a scalar string; or uint8 `(height, width, 1 or 3)`.
            seed: int `(2,)`.
            turn_upright: whether to rotate an encoded image as its EXIF orientation
                says.

        Returns:
            uint8 `(image_size, image_size, 3)`.

        Raises:
            tf.errors.InvalidArgumentError: TensorFlow cannot decode the image.
        """
        crop_seed, flip_seed, policy_seed = random_numbers.split(seed, 3)
        image = random_cropping.resize(
            self._cropped(image, crop_seed, turn_upright),
            self.image_size,
            self.interpolation,
        )
        if self.flip:
            image = tf.image.stateless_random_flip_left_right(image, flip_seed)
        if self.policy is not None:
            image = self.policy.apply(image, policy_seed)
        return tf.ensure_shape(image, (self.image_size, self.image_size, 3))

    def _cropped(
        self, image: tf.Tensor, seed: tf.Tensor, turn_upright: bool
    ) -> tf.Tensor:
        if self.crop is None:
            return images.to_rgb(image, turn_upright)
        if image.dtype == tf.string:
            return self.crop.decode(image, seed, turn_upright)
        return self.crop.apply(images.to_rgb(image), seed)
