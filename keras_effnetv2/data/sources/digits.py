"""scikit-learn's 1,797 digits of 8x8 pixels, which need no download."""

from typing import Any

import numpy as np

from keras_effnetv2.data import source
from keras_effnetv2.errors import require_modules

_NUM_CLASSES = 10


def open_digits(split: str, num_classes: int | None) -> source.Source:
    """Opens the digits, white on black; every fifth is in the split `"test"`.

    Args:
        split: `"train"` or `"test"`, or a part such as `"train[:100]"`.
        num_classes: 10, or None.

    Raises:
        ValueError: unknown split, or another number of classes.
        ImportError: scikit-learn is not installed.
    """
    name, subset = source.parse_split(split, ("train", "test"))
    source.check_num_classes(num_classes, _NUM_CLASSES, "The digits dataset")
    require_modules("The digits need", "train", "sklearn")
    import sklearn.datasets

    digits: Any = sklearn.datasets.load_digits()
    chosen = (np.arange(len(digits.target)) % 5 == 0) == (name == "test")
    images = (digits.images[chosen] * 255 / 16).round().astype("uint8")
    return source.from_arrays(
        images,
        digits.target[chosen],
        subset,
        _NUM_CLASSES,
        f"digits {name}",
        tuple("0123456789"),
    )
