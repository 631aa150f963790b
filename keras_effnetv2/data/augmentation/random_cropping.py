"""Random crops of images for training, resized and partly covered.

Everything is in TensorFlow ops and a function of a seed; mirroring is TensorFlow's own,
`tf.image.stateless_random_flip_left_right(image, seed)`.
"""

import dataclasses
from typing import Any

import tensorflow as tf

from keras_effnetv2.data.augmentation import geometric_operations, random_numbers
from keras_effnetv2.data.decoding import headers, images, orientation
from keras_effnetv2.errors import InputError


@dataclasses.dataclass(frozen=True)
class RandomCrop:
    """A crop of random area, aspect ratio and position.

    Attributes:
        area: smallest and largest fraction of the image.
        aspect_ratio: smallest and largest width / height.
        min_covered: crops that cover a smaller fraction of the image are drawn again.
        max_attempts: after so many attempts the crop is the whole image.
    """

    area: tuple[float, float] = (0.05, 1.0)
    aspect_ratio: tuple[float, float] = (0.75, 1.33)
    min_covered: float = 0.0
    max_attempts: int = 100

    def __post_init__(self):
        low, high = self.area
        if not 0 < low <= high <= 1:
            raise InputError(
                "area must be the smallest and largest fraction of the image, above "
                f"0 and at most 1. Received: area={self.area!r}."
            )
        low, high = self.aspect_ratio
        if not 0 < low <= high:
            raise InputError(
                "aspect_ratio must be the smallest and largest width / height, above "
                f"0. Received: aspect_ratio={self.aspect_ratio!r}."
            )

    def window(self, shape: Any, seed: Any) -> tf.Tensor:
        """int32 `(4,)`: top, left, height, width, inside an image of `shape`.

        Args:
            shape: int `(3,)`: height, width, channels.
            seed: int `(2,)`.
        """
        (seed,) = random_numbers.split(seed, 1)
        begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
            tf.cast(shape, tf.int32),
            # No box: TensorFlow takes the whole image as the box to cover.
            bounding_boxes=tf.zeros((1, 0, 4)),
            seed=seed,
            min_object_covered=self.min_covered,
            aspect_ratio_range=self.aspect_ratio,
            area_range=self.area,
            max_attempts=self.max_attempts,
            use_image_if_no_bounding_boxes=True,
        )
        return tf.concat([begin[:2], size[:2]], axis=0)

    def apply(self, image: Any, seed: Any) -> tf.Tensor:
        """A random crop of an image `(height, width, channels)`."""
        image = tf.convert_to_tensor(image)
        return _cut(image, self.window(tf.shape(image), seed))

    def decode(self, contents: Any, seed: Any, turn_upright: bool = True) -> tf.Tensor:
        """A random crop of an encoded image, uint8 `(height, width, 3)`.

        Of a JPEG only the crop is decoded, which is faster. Its outermost columns may
        differ by a few levels from those of the whole image, since their colours have
        no neighbours to interpolate from.

        Args:
            contents: bytes or a scalar string tensor, in a format that
                `data.images.decode` takes.
            seed: int `(2,)`.
            turn_upright: whether to rotate as the EXIF orientation says; the crop is
                taken from the upright image.

        Raises:
            tf.errors.InvalidArgumentError: TensorFlow cannot decode the image, or it is
                larger than the limit.
        """
        contents = tf.convert_to_tensor(contents)
        window = tf.cond(
            tf.io.is_jpeg(contents),
            lambda: self._decode_jpeg(contents, seed, turn_upright),
            lambda: self.apply(images.to_rgb(contents, turn_upright), seed),
        )
        return tf.ensure_shape(window, (None, None, 3))

    def _decode_jpeg(
        self, contents: tf.Tensor, seed: Any, turn_upright: bool
    ) -> tf.Tensor:
        shape = tf.io.extract_jpeg_shape(contents)
        check = headers.check_size(headers.area(shape))
        with tf.control_dependencies([] if check is None else [check]):
            if not turn_upright:
                window = self.window(shape, seed)
                return tf.io.decode_and_crop_jpeg(contents, window, channels=3)
            turn = orientation.exif_orientation(contents)
            seen = orientation.upright_shape(shape, turn)
            window = orientation.stored_window(self.window(seen, seed), seen, turn)
            pixels = tf.io.decode_and_crop_jpeg(contents, window, channels=3)
            return orientation.upright(pixels, turn)


# google/automl, efficientnetv2/preprocessing.py.
OFFICIAL = RandomCrop()
# V1's, and so B0 to B3's: preprocess_legacy.py. If all attempts fail, that falls back
# to the central crop; this takes the whole image.
OFFICIAL_V1 = RandomCrop(
    area=(0.08, 1.0), aspect_ratio=(3 / 4, 4 / 3), min_covered=0.1, max_attempts=10
)


def resize(image: Any, size: Any, interpolation: str = "bilinear") -> tf.Tensor:
    """A square image of uint8 pixels, as the augmentations take it.

    As in the official training code, images are not smoothed before shrinking, and
    pixels are clipped to 0..255 and truncated.

    Args:
        image: `(height, width, channels)`, pixels 0..255.
        size: side in pixels; an int, or a scalar tensor.
        interpolation: `"bilinear"`, or `"bicubic"` as in TensorFlow 1 (V1's).

    Returns:
        uint8 `(size, size, channels)`.

    Raises:
        ValueError: another interpolation.
    """
    image = tf.convert_to_tensor(image)
    if interpolation == "bilinear":
        resized = tf.image.resize(image, (size, size))
    elif interpolation == "bicubic":
        resized = tf.raw_ops.ResizeBicubic(images=image[None], size=(size, size))[0]
    else:
        raise InputError(
            "interpolation must be 'bilinear' or 'bicubic'. "
            f"Received: interpolation={interpolation!r}."
        )
    return tf.cast(tf.clip_by_value(resized, 0, 255), tf.uint8)


class RandomCutout:
    """Covers a square of half the image's side with bright noise, for fine-tuning.

    Its centre may be anywhere, so part of it can be outside the image. The noise is the
    official one: uniform in 0..1 after normalisation to -1..1, so pixels 127..254.
    """

    def apply(self, image: Any, seed: Any) -> tf.Tensor:
        """The covered image; the same for the same seed.

        Args:
            image: uint8 `(height, width, 3)`.
            seed: int `(2,)`.

        Returns:
            uint8 of the same shape.
        """
        image = tf.convert_to_tensor(image)
        place_seed, noise_seed = random_numbers.split(seed, 2)
        place = random_numbers.uniform(place_seed, (2,))
        noise = 127.5 + 127.5 * random_numbers.uniform(noise_seed, tf.shape(image))
        # google/automl, efficientnetv2/preprocessing.py, augmentation "ft".
        pad_size = tf.reduce_min(tf.shape(image)[:2]) // 4
        return geometric_operations.cutout(image, place, pad_size, noise)


def _cut(image: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    top, left, height, width = tf.unstack(window)
    return image[top : top + height, left : left + width]
