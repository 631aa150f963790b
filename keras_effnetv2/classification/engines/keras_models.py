"""Keras models, on any backend."""

import contextlib
import functools

import keras
import numpy as np

from keras_effnetv2.classification.engines.engine import sized
from keras_effnetv2.errors import InputError
from keras_effnetv2.export.folding import computes_in_float32, fold_batch_norm
from keras_effnetv2.networks.functional import find_normalization
from keras_effnetv2.networks.heads import find_head
from keras_effnetv2.preprocessing import preprocess_input


class KerasEngine:
    """A classifier of RGB images with the pixel layer of this package.

    Args:
        model: the classifier.
        image_size: side of the images, pixels; None: the model's evaluation size.

    Raises:
        ValueError: another kind of model, or one that takes images of another size.
    """

    def __init__(self, model: keras.Model, image_size: int | None = None) -> None:
        self.model, self.name = model, model.name
        self.running = model
        self._normalization = find_normalization(model)
        input_shape = getattr(model, "input_shape", None)
        output_shape = getattr(model, "output_shape", None)
        if (
            not isinstance(input_shape, tuple)
            or not isinstance(output_shape, tuple)
            or (len(input_shape), len(output_shape)) != (4, 2)
            or input_shape[3] != 3
        ):
            raise InputError(
                "Expected a classifier of RGB images: input (batch, height, width, 3) "
                f"and output (batch, classes). Received: {input_shape}, {output_shape}."
            )
        self.num_classes = output_shape[1]
        record = self._normalization.preprocessing
        self.record = sized(record, input_shape[1:3], image_size)

    def network_inputs(self, images: np.ndarray) -> np.ndarray:
        """Images 0..255 for the model: normalised, if it does not do that itself."""
        if self._normalization.enabled:
            return images
        return preprocess_input(images, mode=self.record)

    def fold(self) -> None:
        """Uses a copy of the model without batch norms from now on, which is faster.

        Results agree except for rounding. Models of lower precision, quantized ones and
        those without batch norms stay as they are.
        """
        if computes_in_float32(self.model):
            with contextlib.suppress(ValueError):  # Keras copies no subclassed models.
                self.running = fold_batch_norm(self.model)
                self.__dict__.pop("_body", None)

    def scores(self, images: np.ndarray) -> np.ndarray:
        """The model's scores, `(batch, classes)`."""
        # `predict` would make a dataset of every batch.
        return self.running.predict_on_batch(self.network_inputs(images))

    def features(self, images: np.ndarray) -> np.ndarray:
        """The input of the last layer, `(batch, channels)`.

        Raises:
            ValueError: the model does not end in a dense layer.
        """
        return self._body.predict_on_batch(self.network_inputs(images))

    @functools.cached_property
    def _body(self) -> keras.Model:
        return keras.Model(self.running.inputs, find_head(self.running).features)
