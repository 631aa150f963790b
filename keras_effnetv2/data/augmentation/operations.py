"""The 16 operations of AutoAugment and RandAugment, by number and magnitude."""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_effnetv2.data.augmentation import color_operations as colors
from keras_effnetv2.data.augmentation import geometric_operations as geometry
from keras_effnetv2.errors import InputError

# RandAugment draws them by number. google/automl, efficientnetv2/autoaugment.py.
NAMES = (
    "AutoContrast",
    "Equalize",
    "Invert",
    "Rotate",
    "Posterize",
    "Solarize",
    "Color",
    "Contrast",
    "Brightness",
    "Sharpness",
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "Cutout",
    "SolarizeAdd",
)
# The number after the operations: the image stays as it is.
NOTHING = len(NAMES)
# Random numbers per operation: its sign, and a row and column.
NUM_DRAWS = 3

_Operation = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class OperationSet:
    """Sizes in pixels at magnitude 10, independent of the image size."""

    translation: float
    cutout: float  # From the centre to each side.

    def scaled(self, scale: float) -> "OperationSet":
        """The same for images scaled by `scale`."""
        return OperationSet(self.translation * scale, self.cutout * scale)

    def apply(
        self, image: tf.Tensor, number: Any, magnitude: Any, draws: tf.Tensor
    ) -> tf.Tensor:
        """Applies one operation; only this one is computed.

        Args:
            image: uint8 `(height, width, 3)`.
            number: int, index in `NAMES`, or `NOTHING`.
            magnitude: 10 is nominal; its meaning depends on the operation. Color,
                Contrast, Brightness and Sharpness change nothing at 5; Posterize and
                Solarize wrap around beyond 10 (see there).
            draws: float32 `(NUM_DRAWS,)` in [0, 1). Rotations, shears and translations
                are negative below one half.

        Returns:
            uint8 of the same shape.

        Raises:
            ValueError: another shape or type.
        """
        image = _checked(image)
        branches = [
            lambda operation=operation: tf.ensure_shape(operation(image), image.shape)
            for operation in self._operations(magnitude, draws)
        ]
        return tf.switch_case(tf.cast(number, tf.int32), branches)

    def apply_in_turn(
        self, image: Any, numbers: tf.Tensor, magnitudes: Any, draws: tf.Tensor
    ) -> tf.Tensor:
        """Applies several operations, one after the other.

        In graphs this is a loop, so that the operations are traced and optimized only
        once.

        Args:
            image: uint8 `(height, width, 3)`.
            numbers: int `(num,)`.
            magnitudes: float `(num,)`, or one for all.
            draws: float32 `(num, NUM_DRAWS)`.

        Returns:
            uint8 of the same shape.

        Raises:
            ValueError: another shape or type.
        """
        num = numbers.shape[0]
        magnitudes = tf.broadcast_to(tf.cast(magnitudes, tf.float64), (num,))

        def step(place, image):
            drawn = numbers[place], magnitudes[place], draws[place]
            return place + 1, self.apply(image, *drawn)

        start = tf.constant(0), _checked(image)
        return tf.while_loop(lambda place, _: place < num, step, start)[1]

    def _operations(self, magnitude: Any, draws: tf.Tensor) -> list[_Operation]:
        # float64, as in Python, to get the official arguments to the last bit.
        share = tf.cast(magnitude, tf.float64) / 10
        pixels = share * self.translation

        def signed(value):
            return tf.where(draws[0] < 0.5, -value, value)

        def whole(value):
            return tf.cast(value, tf.int32)

        def enhanced(operation):
            return lambda image: operation(image, share * 1.8 + 0.1)

        def cutout(image):
            pad_size = whole(share * self.cutout)
            return geometry.cutout(image, draws[1:], pad_size, geometry.GRAY)

        table = {
            "AutoContrast": colors.auto_contrast,
            "Equalize": colors.equalize,
            "Invert": colors.invert,
            "Rotate": lambda x: geometry.rotate(x, signed(share * 30)),
            "Posterize": lambda x: colors.posterize(x, whole(share * 4)),
            "Solarize": lambda x: colors.solarize(x, whole(share * 256)),
            "Color": enhanced(colors.color),
            "Contrast": enhanced(colors.contrast),
            "Brightness": enhanced(colors.brightness),
            "Sharpness": enhanced(colors.sharpness),
            "ShearX": lambda x: geometry.shear_x(x, signed(share * 0.3)),
            "ShearY": lambda x: geometry.shear_y(x, signed(share * 0.3)),
            "TranslateX": lambda x: geometry.translate_x(x, signed(pixels)),
            "TranslateY": lambda x: geometry.translate_y(x, signed(pixels)),
            "Cutout": cutout,
            "SolarizeAdd": lambda x: colors.solarize_add(x, whole(share * 110)),
        }
        return [*(table[name] for name in NAMES), tf.identity]


def _checked(image: Any) -> tf.Tensor:
    image = tf.convert_to_tensor(image)
    if image.dtype != tf.uint8 or not image.shape.is_compatible_with((None, None, 3)):
        raise InputError(
            "Augmentation takes one image, uint8 (height, width, 3). "
            f"Received: shape {image.shape}, {image.dtype.name}."
        )
    return tf.ensure_shape(image, (None, None, 3))
