"""A Keras classifier taken apart, as exports need it."""

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_effnetv2.backends import require_backend
from keras_effnetv2.errors import InputError
from keras_effnetv2.export.folding import fold_batch_norm, in_float32
from keras_effnetv2.networks import find_normalization
from keras_effnetv2.preprocessing import NUM_LABELS, Preprocessing
from keras_effnetv2.transfer import feature_pyramid
from keras_effnetv2.weights.labels import class_names


@dataclasses.dataclass(frozen=True)
class Classifier:
    """An image classifier from pixels to probabilities, in float32.

    Attributes:
        model: what was given, in float32.
        network: of the same images: a dict of `features` `(batch, channels)`, what the
            last layer takes, and, where the model has blocks at its top level, the
            feature pyramid as `reduction_1` ... `reduction_5`.
        head: the last layer.
        preprocessing: of the model.
        labels: a name for each class, or None.
    """

    model: keras.Model
    network: keras.Model
    head: keras.layers.Dense
    preprocessing: Preprocessing
    labels: tuple[str, ...] | None

    @classmethod
    def open(cls, model: keras.Model, fold: bool) -> "Classifier":
        """Takes a model apart; with `fold`, its copy without batch norms.

        Raises:
            ValueError: it is no classifier of pixels by a last dense layer.
        """
        record = _check(model)
        exact = in_float32(model)
        model = fold_batch_norm(model) if fold else exact
        head = _head(model)
        outputs = {"features": head.input}
        # Without it, if the network is a model within the model.
        with contextlib.suppress(ValueError):
            outputs |= feature_pyramid(model).output
        network = keras.Model(model.inputs[0], outputs, name=model.name)
        return cls(exact, network, head, record, _labels(model, record))

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """`(height, width, channels)`; None for a side of any size."""
        return tuple(self.network.input_shape[1:])

    @property
    def evaluation(self) -> Preprocessing:
        """The preprocessing, at the only size that the model takes, if there is one.

        Raises:
            ValueError: the model takes images that are not square.
        """
        height, width, _ = self.input_shape
        if height != width:
            raise InputError(
                "Evaluation needs square images. Received: a model of "
                f"{height}x{width} pixels. Build it with input_shape=(None, None, 3)."
            )
        size = height or self.preprocessing.image_size
        return dataclasses.replace(self.preprocessing, image_size=size)

    @property
    def num_classes(self) -> int:
        """Columns of logits and probabilities."""
        return self.head.units

    @property
    def activation(self) -> Callable[[Any], Any]:
        """What makes probabilities of logits."""
        own = self.head.activation
        if own is keras.activations.linear:
            return keras.activations.get(self.preprocessing.activation)
        return own

    def logits(self, features: Any) -> Any:
        """`(batch, classes)` before softmax or sigmoid, of features."""
        x = ops.matmul(features, self.head.kernel)
        return x if self.head.bias is None else x + self.head.bias

    def scores(self, images: Any) -> dict[str, Any]:
        """`logits` and `probabilities`, `(batch, classes)`, of pixels 0..255."""
        images = ops.cast(images, "float32")
        logits = self.logits(self.network(images, training=False)["features"])
        return {"logits": logits, "probabilities": self.activation(logits)}


def _check(model: keras.Model) -> Preprocessing:
    require_backend("Exports need", "tensorflow")
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[-1] not in (1, 3):
        raise InputError(
            "Exports need a model of images: one input (batch, height, width, 3 or 1). "
            f"Received: a model {model.name!r} of input {shape}."
        )
    normalization = find_normalization(model)
    if not normalization.enabled:
        raise InputError(
            f"The model {model.name!r} takes images that are normalised already, and "
            "exports take pixels 0..255. Build it with include_preprocessing=True and "
            "the same weights."
        )
    return normalization.preprocessing


def _head(model: keras.Model) -> keras.layers.Dense:
    """The layer that makes the output.

    Raises:
        ValueError: it is not a dense layer of features.
    """
    last = model.layers[-1]
    if isinstance(last, keras.Model):
        raise InputError(
            f"The last layer of {model.name!r} is a model itself ({last.name!r}). "
            f"Export that one: model.get_layer({last.name!r})."
        )
    outputs = model.outputs
    is_head = isinstance(last, keras.layers.Dense) and len(outputs) == 1
    if not is_head or len(model.output_shape) != 2:
        raise InputError(
            f"Exports need a classifier that ends in a Dense layer. Received: "
            f"{model.name!r}, which ends in {type(last).__name__} {last.name!r} of "
            f"shape {model.output_shape}. Build it with include_top=True, or with a "
            "Dense layer after the pooling."
        )
    return last


def _labels(model: keras.Model, record: Preprocessing) -> tuple[str, ...] | None:
    num_classes = model.output_shape[-1]
    if record.labels is None or record.num_labels != num_classes:
        return None  # The record is that of the pretrained body.
    if record.labels in NUM_LABELS:
        return tuple(name for _, name in class_names(record.labels))
    return record.labels
