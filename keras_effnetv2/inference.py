"""Models made ready for inference where people call them, without an export."""

import contextlib
from typing import Any

import keras
import numpy as np

from keras_effnetv2.errors import InputError
from keras_effnetv2.export.folding import computes_in_float32, fold_batch_norm
from keras_effnetv2.networks import constants
from keras_effnetv2.networks.functional import find_normalization, watched


class CompiledModel:
    """A model as a function of images, with the weights that it had.

    Made by `compile_for_inference`.

    Attributes:
        model: what computes: a copy without batch norms, or the model itself where it
            cannot be folded.
    """

    def __init__(self, model: keras.Model) -> None:
        find_normalization(model)
        self.model = _folded(model)
        self._compute = _traced(self.model)

    def __call__(self, images: Any) -> Any:
        """What the model gives for a batch, as NumPy arrays.

        Args:
            images: `(batch, height, width, channels)`, an array or tensor, as the model
                takes them: pixels 0..255 unless it was built otherwise.
        """
        images = watched(self.model, images)
        return keras.tree.map_structure(np.asarray, self._compute(images))


def compile_for_inference(model: keras.Model) -> CompiledModel:
    """Makes a model fast for a few images at a time, as an export would be.

    Batch norms are folded into convolutions, weights become constants of a graph, and
    the graph is kept, one for each shape of a batch. Outputs agree with the model's but
    for rounding. What is changed in the model later does not count.

        fast = keras_effnetv2.compile_for_inference(model)
        probabilities = fast(images)

    Making it takes a second or more, and so does the first call with images of another
    shape. Models of lower precision are not folded. Elsewhere than on TensorFlow, Keras
    compiles the folded model.

    Args:
        model: of `create_model`, or a functional model that contains one.

    Raises:
        ValueError: no network of this package in `model`, or a quantized one.
    """
    if not isinstance(model, keras.Model) or not model.inputs:
        raise InputError(
            "compile_for_inference needs a functional model of this package, or one "
            f"built on it. Received: {type(model).__name__}."
        )
    return CompiledModel(model)


def _folded(model: keras.Model) -> keras.Model:
    """The model without batch norms, if it can be."""
    if computes_in_float32(model):
        with contextlib.suppress(ValueError):  # Keras copies no subclassed models.
            return fold_batch_norm(model)
    return model


def _traced(model: keras.Model) -> Any:
    """The model as a function of batches."""
    values = constants.values_of(model.variables)
    if keras.backend.backend() != "tensorflow" or not constants.fit_in_a_graph(values):
        return model.predict_on_batch
    import tensorflow as tf

    def compute(images: Any) -> Any:
        with constants.as_constants(values):
            return model(images, training=False)

    function = tf.function(compute, autograph=False, reduce_retracing=True)
    return lambda images: function(tf.convert_to_tensor(images))
