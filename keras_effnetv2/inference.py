"""Models compiled for inference in Python, without an export."""

import contextlib
from typing import Any

import keras
import numpy as np

from keras_effnetv2.errors import InputError
from keras_effnetv2.export.folding import computes_in_float32, fold_batch_norm
from keras_effnetv2.networks import constants
from keras_effnetv2.networks.functional import find_normalization, watched


class CompiledModel:
    """A function of images with fixed weights, made by `compile_for_inference`.

    Attributes:
        model: the model that runs: a copy without batch norms, or the original if it
            cannot be folded.
    """

    def __init__(self, model: keras.Model) -> None:
        find_normalization(model)
        self.model = _folded(model)
        self._compute = _traced(self.model)

    def __call__(self, images: Any) -> Any:
        """The model's outputs for a batch, as NumPy arrays.

        Args:
            images: array or tensor `(batch, height, width, channels)`, pixels 0..255
                unless the model was built with `include_preprocessing=False`.
        """
        images = watched(self.model, images)
        return keras.tree.map_structure(np.asarray, self._compute(images))


def compile_for_inference(model: keras.Model) -> CompiledModel:
    """Makes a model as fast as its export, for one image or a small batch.

    Batch norms are folded into convolutions, and the weights become constants of a
    graph. Outputs agree with the model's except for rounding; later changes of the
    model have no effect.

        fast = keras_effnetv2.compile_for_inference(model)
        probabilities = fast(images)

    Compiling takes a second or more, and so does the first call with each of the first
    two shapes of images. Quantized models and those in lower precision are not folded.
    On backends other than TensorFlow, Keras compiles the folded model.

    Args:
        model: model from `create_model`, or a functional model that contains one.

    Raises:
        ValueError: no network of this package in `model`.
    """
    # Subclassed models have no inputs, nor have sequential ones before they are built.
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise InputError(
            "compile_for_inference needs a functional model of this package, or one "
            f"built on it. Received: {type(model).__name__}."
        )
    return CompiledModel(model)


def _folded(model: keras.Model) -> keras.Model:
    """The model without batch norms, where possible."""
    if computes_in_float32(model):
        with contextlib.suppress(ValueError):  # Keras cannot copy subclassed models.
            return fold_batch_norm(model)
    return model


def _traced(model: keras.Model) -> Any:
    """The model as a compiled function of a batch."""
    if keras.backend.backend() != "tensorflow":
        return model.predict_on_batch
    values = constants.values_of(model.variables)
    if not constants.fit_in_a_graph(values):
        return model.predict_on_batch
    import tensorflow as tf

    def compute(images: Any) -> Any:
        with constants.as_constants(values):
            return model(images, training=False)

    function = tf.function(compute, autograph=False, reduce_retracing=True)
    return lambda images: function(tf.convert_to_tensor(images))
