"""A look at the first batch: are its values what the network was trained on?

Wrongly scaled pixels cost accuracy without an error; this is what users of EfficientNet
packages ask about most.
"""

from collections.abc import Callable
from typing import Any

import keras
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


def watch(
    data: Any, inspect: Callable[[float, float], None], is_distributed: bool
) -> Any:
    """Calls `inspect(minimum, maximum)` on the first batch of `data`; returns `data`.

    Arrays and eager tensors, also as the only one in a dict or list, are inspected at
    once. A `tf.data.Dataset` comes back with the inspection in it, done when its first
    batch passes, unless it `is_distributed`: workers elsewhere could not call back into
    this process. Other inputs (symbolic tensors, generators, `PyDataset`) are left
    alone.
    """
    if hasattr(data, "element_spec"):
        return data if is_distributed else _watch_dataset(data, inspect)
    images = _only_leaf(data)
    # Only of arrays is it known that taking a slice has no effects.
    if not hasattr(images, "__array__") or keras.backend.is_keras_tensor(images):
        return data
    try:
        sample = np.asarray(images[:_SAMPLE_SIZE])
    except (TypeError, NotImplementedError, IndexError, RuntimeError):
        return data  # Symbolic in TensorFlow, JAX or OpenVINO, or a scalar.
    if sample.size and np.issubdtype(sample.dtype, np.number):
        inspect(float(sample.min()), float(sample.max()))
    return data


def _only_leaf(structure: Any) -> Any:
    """What a structure holds if that is one thing, else None."""
    leaves = keras.tree.flatten(structure)
    return leaves[0] if len(leaves) == 1 else None


def _watch_dataset(dataset: Any, inspect: Callable[[float, float], None]) -> Any:
    import tensorflow as tf

    def images_of(element: Any) -> Any:
        return _only_leaf(element[0] if isinstance(element, tuple) else element)

    spec = images_of(dataset.element_spec)
    is_numeric = isinstance(spec, tf.TensorSpec) and (
        spec.dtype.is_floating or spec.dtype.is_integer
    )
    if not is_numeric or not isinstance(dataset, tf.data.Dataset):
        return dataset

    def look(images: tf.Tensor) -> tf.Tensor:
        extremes = [tf.reduce_min(images), tf.reduce_max(images)]
        with tf.control_dependencies([tf.py_function(_eager(inspect), extremes, [])]):
            return tf.constant(True)

    def pass_through(index: tf.Tensor, element: Any) -> Any:
        looked = tf.cond(
            tf.equal(index, 0), lambda: look(images_of(element)), lambda: True
        )
        with tf.control_dependencies([looked]):
            return tf.nest.map_structure(tf.identity, element, expand_composites=True)

    return dataset.enumerate().map(pass_through)


def _eager(inspect: Callable[[float, float], None]) -> Callable[[Any, Any], None]:
    return lambda minimum, maximum: inspect(float(minimum), float(maximum))
