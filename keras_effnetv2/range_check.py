"""A look at the first batch: are its values what the network was trained on?

Wrongly scaled pixels cost accuracy without an error; this is what users of EfficientNet
packages ask about most.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

_SAMPLE_SIZE = 32


def range_problem(minimum: float, maximum: float, expects_pixels: bool) -> str | None:
    """What contradicts the contract in a batch's range, or None.

    Args:
        minimum: smallest value of the batch.
        maximum: largest value of the batch.
        expects_pixels: the model takes 0..255; otherwise it takes normalised images.
    """
    found = f"values from {minimum:.4g} to {maximum:.4g}"
    if expects_pixels and (minimum < 0 < maximum <= 10 or 0 <= minimum < maximum <= 1):
        return (
            f"This model takes pixels from 0 to 255 and normalises them itself. "
            f"Received {found}, which look normalised already: do not rescale the "
            "images, or build the model with include_preprocessing=False."
        )
    if expects_pixels and maximum > 1000:
        return (
            f"This model takes pixels from 0 to 255. Received {found}: scale 16-bit "
            "images down to 8 bits."
        )
    if not expects_pixels and maximum > 10:
        return (
            "This model was built with include_preprocessing=False and takes "
            f"normalised images. Received {found}: normalise them with "
            "preprocess_input(images, mode=model.preprocessing)."
        )
    return None


def watch(data: Any, inspect: Callable[[float, float], None]) -> Any:
    """Calls `inspect(minimum, maximum)` on the first batch of `data`; returns `data`.

    Arrays and eager tensors are inspected at once. A `tf.data.Dataset` comes back with
    the inspection in it, done when its first batch passes. Other inputs (symbolic
    tensors, generators, datasets under a distribution strategy) are left alone.
    """
    if hasattr(data, "element_spec"):
        return _watch_dataset(data, inspect)
    try:
        sample = np.asarray(data[:_SAMPLE_SIZE])
    except (TypeError, ValueError, NotImplementedError, AttributeError, KeyError):
        return data  # Symbolic, or no array.
    if sample.size and np.issubdtype(sample.dtype, np.number):
        inspect(float(sample.min()), float(sample.max()))
    return data


def _watch_dataset(dataset: Any, inspect: Callable[[float, float], None]) -> Any:
    import tensorflow as tf

    spec = dataset.element_spec
    images = spec[0] if isinstance(spec, tuple) else spec
    unsuited = not isinstance(images, tf.TensorSpec) or not images.dtype.is_floating
    # Workers elsewhere could not call back into this process.
    if (
        unsuited
        or tf.distribute.has_strategy()
        or not isinstance(dataset, tf.data.Dataset)
    ):
        return dataset

    def look(images: tf.Tensor) -> tf.Tensor:
        extremes = [tf.reduce_min(images), tf.reduce_max(images)]
        with tf.control_dependencies([tf.py_function(_eager(inspect), extremes, [])]):
            return tf.constant(True)

    def pass_through(index: tf.Tensor, element: Any) -> Any:
        images = element[0] if isinstance(element, tuple) else element
        looked = tf.cond(tf.equal(index, 0), lambda: look(images), lambda: True)
        with tf.control_dependencies([looked]):
            return tf.nest.map_structure(tf.identity, element, expand_composites=True)

    return dataset.enumerate().map(pass_through)


def _eager(inspect: Callable[[float, float], None]) -> Callable[[Any, Any], None]:
    return lambda minimum, maximum: inspect(float(minimum), float(maximum))
