"""Keras models, on any backend."""

import functools
from collections.abc import Callable

import keras
import numpy as np

from keras_effnetv2.classification.engines.engine import sized
from keras_effnetv2.errors import InputError
from keras_effnetv2.inference import compile_for_inference
from keras_effnetv2.networks.functional import find_normalization
from keras_effnetv2.networks.heads import find_head
from keras_effnetv2.preprocessing import preprocess_input

_Function = Callable[[np.ndarray], np.ndarray]


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
        self._is_compiled = False
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
        """Images 0..255 for the model, normalised if it does not do so itself."""
        if self._normalization.enabled:
            return images
        return preprocess_input(images, mode=self.record)

    def compile(self) -> None:
        """Makes later calls faster, with the weights of the next call.

        Results agree except for rounding; later changes of the model have no effect.
        Quantized models are not folded.
        """
        self._is_compiled = True
        for name in ("_scores", "_features"):
            self.__dict__.pop(name, None)

    def scores(self, images: np.ndarray) -> np.ndarray:
        """The model's scores, `(batch, classes)`."""
        return self._scores(self.network_inputs(images))

    def features(self, images: np.ndarray) -> np.ndarray:
        """The input of the last layer, `(batch, channels)`.

        Raises:
            ValueError: the model does not end in a dense layer.
        """
        return self._features(self.network_inputs(images))

    @functools.cached_property
    def _scores(self) -> _Function:
        return self._function(self.model)

    @functools.cached_property
    def _features(self) -> _Function:
        body = keras.Model(self.model.inputs, find_head(self.model).features)
        return self._function(body)

    def _function(self, model: keras.Model) -> _Function:
        if self._is_compiled:
            return compile_for_inference(model)
        # `predict` of other models makes a dataset of every batch.
        return model.predict_on_batch
