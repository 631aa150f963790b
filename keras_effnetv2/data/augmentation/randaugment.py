"""RandAugment (Cubuk et al., arXiv 1909.13719), as in the official training code."""

import dataclasses
import math
from typing import Any

import tensorflow as tf

from keras_effnetv2.data.augmentation import operations, random_numbers
from keras_effnetv2.errors import InputError

# google/automl, efficientnetv2/autoaugment.py.
_OPERATIONS = operations.OperationSet(translation=100, cutout=40)


@dataclasses.dataclass(frozen=True)
class RandAugment:
    """A few operations in sequence, each drawn from all 16, with one magnitude.

    Attributes:
        num_ops: operations per image.
        magnitude: 10 is nominal; the paper trains with 5 to 25 (Table 6). A float, or
            a scalar tensor or variable, which may change without a retrace.
        pixel_scale: multiplies translations and the side of cutout, whose sizes are
            meant for the paper's images of 128 pixels or more. In images of 32 pixels,
            an unscaled magnitude 5 moves everything out of sight.
    """

    num_ops: int = 2
    magnitude: Any = 10.0
    pixel_scale: float = 1.0

    def __post_init__(self):
        if not isinstance(self.num_ops, int) or self.num_ops < 0:
            raise InputError(
                "num_ops must be a number of operations, 0 or more. "
                f"Received: num_ops={self.num_ops!r}."
            )
        value = self.magnitude
        if isinstance(value, int | float) and not 0 <= value < math.inf:
            raise InputError(
                "magnitude must be 0 or more; 10 is nominal. Received: "
                f"magnitude={value!r}."
            )

    def apply(self, image: Any, seed: Any) -> tf.Tensor:
        """The changed image; the same for the same seed.

        Args:
            image: uint8 `(height, width, 3)`.
            seed: int `(2,)`.

        Returns:
            uint8 of the same shape.

        Raises:
            ValueError: another shape or type.
        """
        number_seed, draw_seed = random_numbers.split(seed, 2)
        shape = (self.num_ops, operations.NUM_DRAWS)
        draws = random_numbers.uniform(draw_seed, shape)
        numbers = random_numbers.below(
            len(operations.NAMES), random_numbers.uniform(number_seed, shape[:1])
        )
        operation_set = _OPERATIONS.scaled(self.pixel_scale)
        return operation_set.apply_in_turn(image, numbers, self.magnitude, draws)
