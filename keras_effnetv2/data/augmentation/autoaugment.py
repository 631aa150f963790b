"""AutoAugment (Cubuk et al., arXiv 1805.09501), as in the official training code."""

from typing import Any

import numpy as np
import tensorflow as tf

from keras_effnetv2.data.augmentation import operations, random_numbers

# google/automl, efficientnetv2/autoaugment.py.
_OPERATIONS = operations.OperationSet(translation=250, cutout=100)

# Sub-policies: two operations, each with its probability and magnitude. Policy v0 of
# google/automl, efficientnetv2/autoaugment.py.
# fmt: off
POLICY = (
    (("Equalize", 0.8, 1), ("ShearY", 0.8, 4)),
    (("Color", 0.4, 9), ("Equalize", 0.6, 3)),
    (("Color", 0.4, 1), ("Rotate", 0.6, 8)),
    (("Solarize", 0.8, 3), ("Equalize", 0.4, 7)),
    (("Solarize", 0.4, 2), ("Solarize", 0.6, 2)),
    (("Color", 0.2, 0), ("Equalize", 0.8, 8)),
    (("Equalize", 0.4, 8), ("SolarizeAdd", 0.8, 3)),
    (("ShearX", 0.2, 9), ("Rotate", 0.6, 8)),
    (("Color", 0.6, 1), ("Equalize", 1.0, 2)),
    (("Invert", 0.4, 9), ("Rotate", 0.6, 0)),
    (("Equalize", 1.0, 9), ("ShearY", 0.6, 3)),
    (("Color", 0.4, 7), ("Equalize", 0.6, 0)),
    (("Posterize", 0.4, 6), ("AutoContrast", 0.4, 7)),
    (("Solarize", 0.6, 8), ("Color", 0.6, 9)),
    (("Solarize", 0.2, 4), ("Rotate", 0.8, 9)),
    (("Rotate", 1.0, 7), ("TranslateY", 0.8, 9)),
    (("ShearX", 0.0, 0), ("Solarize", 0.8, 4)),
    (("ShearY", 0.8, 0), ("Color", 0.6, 4)),
    (("Color", 1.0, 0), ("Rotate", 0.6, 2)),
    (("Equalize", 0.8, 4), ("Equalize", 0.0, 8)),
    (("Equalize", 1.0, 4), ("AutoContrast", 0.6, 2)),
    (("ShearY", 0.4, 7), ("SolarizeAdd", 0.6, 7)),
    (("Posterize", 0.8, 2), ("Solarize", 0.6, 10)),
    (("Solarize", 0.6, 8), ("Equalize", 0.6, 1)),
    (("Color", 0.8, 6), ("Rotate", 0.4, 5)),
)
# fmt: on

_NUMBERS = np.array(
    [[operations.NAMES.index(name) for name, _, _ in row] for row in POLICY], "int32"
)
_PROBABILITIES = np.array([[p for _, p, _ in row] for row in POLICY], "float32")
_MAGNITUDES = np.array([[m for _, _, m in row] for row in POLICY], "float64")


class AutoAugment:
    """One of 25 pairs of operations per image: policy v0, of the V1 recipes."""

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
        policy_seed, use_seed, draw_seed = random_numbers.split(seed, 3)
        num_places = _NUMBERS.shape[1]
        row = random_numbers.below(len(POLICY), random_numbers.uniform(policy_seed, ()))
        used = random_numbers.uniform(use_seed, (num_places,)) < tf.gather(
            _PROBABILITIES, row
        )
        numbers = tf.where(used, tf.gather(_NUMBERS, row), operations.NOTHING)
        magnitudes = tf.gather(_MAGNITUDES, row)
        draws = random_numbers.uniform(draw_seed, (num_places, operations.NUM_DRAWS))
        return _OPERATIONS.apply_in_turn(image, numbers, magnitudes, draws)
