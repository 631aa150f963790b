"""Checks that the first batch has values like those the network was trained on.

Wrongly scaled pixels cost accuracy without an error, and are what users of EfficientNet
packages ask about most.
"""

import inspect
import os
import pathlib
import sys
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_effnetv2.private_apis import traced_model

_SAMPLE_SIZE = 32
# Packages whose code lies between a user's call and the check.
_PACKAGES = (str(pathlib.Path(__file__).parents[2]), os.path.dirname(keras.__file__))
# Look -> TensorFlow's variable that is True once it is over. Not an attribute, so that
# it is not part of a model.
_ENDS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


class FirstLook:
    """Warns once if a network's first images have the wrong range of values.

    Constant images, such as zeros to try a model with, tell nothing: the check waits
    for the first others. After that it costs nothing.

    Args:
        expects_pixels: whether the network takes 0..255; otherwise it takes normalised
            images.

    Attributes:
        is_over: whether nothing is checked any more.
    """

    def __init__(self, expects_pixels: bool) -> None:
        self.expects_pixels = expects_pixels
        self.is_over = False
        self._has_warned = False

    def take(self, minimum: float, maximum: float) -> bool:
        """Checks the range of a batch, unless the check is over.

        Returns:
            Whether the check is over now.
        """
        if not self.is_over and minimum < maximum:
            self.is_over = True
            self.report(minimum, maximum)
        return self.is_over

    def report(self, minimum: float, maximum: float) -> None:
        """Warns, once, of a range that contradicts what the network takes."""
        problem = range_problem(minimum, maximum, self.expects_pixels)
        if problem and not self._has_warned:
            self._has_warned = True
            warnings.warn(problem, UserWarning, stacklevel=_depth_of_user())

    def at(self, images: Any) -> Any:
        """Returns the images, checked now or by the Keras step that is being traced.

        Nothing is added to functions other than Keras's own steps, such as exported
        ones, nor to steps that XLA compiles or that several devices run.
        """
        if self.is_over or keras.backend.is_keras_tensor(images):
            return images
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            if not tf.executing_eagerly():
                is_ready = self in _ENDS and _is_traced_by_keras()
                return self._in_step(images) if is_ready else images
        extremes = _range_of(images)
        if extremes is not None:
            self.take(*extremes)
        return images

    def prepare(self) -> None:
        """Creates the variable for checks in traced steps, which cannot create any."""
        if keras.backend.backend() != "tensorflow":
            return
        import tensorflow as tf

        if tf.executing_eagerly() and not tf.distribute.has_strategy():
            _ENDS[self] = tf.Variable(False, trainable=False)

    def _in_step(self, images: Any) -> Any:
        import tensorflow as tf

        is_over = _ENDS[self]

        def look() -> Any:
            extremes = [tf.reduce_min(images), tf.reduce_max(images)]
            taken = tf.py_function(_eager(self.take), extremes, tf.bool)
            taken.set_shape(())
            with tf.control_dependencies([is_over.assign(taken)]):
                return tf.identity(taken)

        looked = tf.cond(is_over, lambda: tf.constant(True), look)
        with tf.control_dependencies([looked]):
            return tf.identity(images)


def _is_traced_by_keras() -> bool:
    """Whether Keras is tracing a `fit`, `evaluate` or `predict` step on one device."""
    import tensorflow as tf

    if tf.distribute.has_strategy():
        return False
    model = traced_model()
    return model is not None and not model.jit_compile


def _depth_of_user() -> int:
    """How many calls above the caller the user's code is, for `warnings.warn`."""
    depth, frame = 0, inspect.currentframe()
    while frame is not None and _is_ours(frame.f_code.co_filename):
        depth, frame = depth + 1, frame.f_back
    return depth


def _is_ours(path: str) -> bool:
    tensorflow = sys.modules.get("tensorflow")
    packages = _PACKAGES if tensorflow is None else (*_PACKAGES, *tensorflow.__path__)
    return path.startswith(tuple(f"{package}{os.sep}" for package in packages))


def _range_of(images: Any) -> tuple[float, float] | None:
    """Smallest and largest value of the first images; None unless a numeric array."""
    # Slicing is known to have no side effects only for arrays.
    if not hasattr(images, "__array__"):
        return None
    try:
        sample = np.asarray(images[:_SAMPLE_SIZE])
    except Exception:  # Symbolic, elsewhere, or a scalar; each backend has its own.
        return None
    if not sample.size or not np.issubdtype(sample.dtype, np.number):
        return None
    return float(sample.min()), float(sample.max())


def range_problem(minimum: float, maximum: float, expects_pixels: bool) -> str | None:
    """A warning if a batch's range contradicts what the model takes, or None.

    Args:
        minimum: smallest value of the batch.
        maximum: largest value of the batch.
        expects_pixels: whether the model takes 0..255; otherwise it takes normalised
            images.
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


def watch(data: Any, look: FirstLook, is_distributed: bool) -> Any:
    """Lets `look` check the first batch of `data`, as `fit` takes it; returns `data`.

    Arrays and eager tensors, also as the only one in a dict or list, are checked at
    once. A `tf.data.Dataset` is returned with the check added, which runs when the
    first batch passes, unless `is_distributed`: workers elsewhere could not call back
    into this process. Other inputs (symbolic tensors, generators, `PyDataset`) are left
    alone.
    """
    if look.is_over:
        return data
    if hasattr(data, "element_spec"):
        return data if is_distributed else _watch_dataset(data, look)
    images = _only_leaf(data)
    if not keras.backend.is_keras_tensor(images):
        extremes = _range_of(images)
        if extremes is not None:
            look.take(*extremes)
    return data


def _only_leaf(structure: Any) -> Any:
    """The only leaf of a structure, or None if there is not exactly one."""
    leaves = keras.tree.flatten(structure)
    return leaves[0] if len(leaves) == 1 else None


def _watch_dataset(dataset: Any, look: FirstLook) -> Any:
    import tensorflow as tf

    def images_of(element: Any) -> Any:
        return _only_leaf(element[0] if isinstance(element, tuple) else element)

    spec = images_of(dataset.element_spec)
    is_numeric = isinstance(spec, tf.TensorSpec) and (
        spec.dtype.is_floating or spec.dtype.is_integer
    )
    if not is_numeric or not isinstance(dataset, tf.data.Dataset):
        return dataset

    look.is_over = True  # From here on the dataset runs the check.

    def inspect(images: tf.Tensor) -> tf.Tensor:
        extremes = [tf.reduce_min(images), tf.reduce_max(images)]
        with tf.control_dependencies(
            [tf.py_function(_eager(look.report), extremes, [])]
        ):
            return tf.constant(True)

    def pass_through(index: tf.Tensor, element: Any) -> Any:
        looked = tf.cond(
            tf.equal(index, 0), lambda: inspect(images_of(element)), lambda: True
        )
        with tf.control_dependencies([looked]):
            return tf.nest.map_structure(tf.identity, element, expand_composites=True)

    return dataset.enumerate().map(pass_through)


def _eager(function: Callable[[float, float], Any]) -> Callable[[Any, Any], Any]:
    return lambda minimum, maximum: function(float(minimum), float(maximum))
