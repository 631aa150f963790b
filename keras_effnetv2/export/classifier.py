"""A Keras classifier split into parts, as exports need it."""

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import keras

from keras_effnetv2.backends import require_backend
from keras_effnetv2.errors import InputError
from keras_effnetv2.export.folding import fold_batch_norm, in_float32
from keras_effnetv2.networks import heads
from keras_effnetv2.networks.functional import find_normalization
from keras_effnetv2.networks.transfer import feature_pyramid
from keras_effnetv2.preprocessing import Preprocessing
from keras_effnetv2.weights.labels import class_names


@dataclasses.dataclass(frozen=True)
class Classifier:
    """An image classifier from pixels to probabilities, in float32.

    Attributes:
        model: the given model, in float32.
        network: from the same images to a dict of `features` `(batch, channels)`, the
            input of the last layer, and, if the model has blocks at its top level, the
            feature pyramid as `reduction_1` ... `reduction_5`.
        head: the last layer other than activations.
        before: functions from the head's output without activation to logits.
        activation: turns logits into probabilities; None if unknown.
        is_added: whether the model itself returns logits, without that activation.
        preprocessing: the model's record.
        labels: a name for each class, or None.
    """

    model: keras.Model
    network: keras.Model
    head: keras.layers.Dense
    before: tuple[Callable[[Any], Any], ...]
    activation: Callable[[Any], Any] | None
    is_added: bool
    preprocessing: Preprocessing
    labels: tuple[str, ...] | None

    @classmethod
    def open(
        cls,
        model: keras.Model,
        fold: bool,
        activation: str = "auto",
        needs_probabilities: bool = True,
    ) -> "Classifier":
        """Splits a model, or with `fold` a copy without batch norms.

        Args:
            model: a classifier.
            fold: whether to fold batch norms into convolutions.
            activation: turns logits of a model into probabilities: `"softmax"`,
                `"sigmoid"`, or `"auto"`: that of the loss that it is compiled with, or
                of the released weights.
            needs_probabilities: whether to refuse logits without a known activation.

        Raises:
            ValueError: it is not a classifier of pixels with a last dense layer, or it
                returns logits and their activation is unknown.
        """
        record = _check(model)
        heads.check_activation(activation)
        added = _added_activation(model, record, activation)
        if added == (None,) and needs_probabilities:
            raise _unknown_activation(model)
        exact = in_float32(model)
        model = fold_batch_norm(model) if fold else exact
        head = heads.find_head(model)
        before = head.activations if added else head.activations[:-1]
        (last,) = added or head.activations[-1:]
        outputs = {"features": head.features}
        # Without the pyramid, if the network is nested in the model.
        with contextlib.suppress(ValueError):
            outputs |= feature_pyramid(model).output
        network = keras.Model(model.inputs[0], outputs, name=model.name)
        return cls(
            exact,
            network,
            head.dense,
            before,
            last,
            bool(added),
            record,
            _labels(model, record),
        )

    @property
    def input_shape(self) -> tuple[int | None, int | None, int]:
        """`(height, width, channels)`; None for a side of any size."""
        _, height, width, channels = self.network.input_shape
        return height, width, channels

    @property
    def variables(self) -> list[keras.Variable]:
        """Variables of network and head."""
        return [*self.network.variables, *self.head.variables]

    @property
    def evaluation(self) -> Preprocessing:
        """The preprocessing, with the model's own size if it takes only one.

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

    def logits(self, features: Any) -> Any:
        """`(batch, classes)` before softmax or sigmoid, from features."""
        x = heads.logits(self.head, features)
        for function in self.before:
            x = function(x)
        return x

    def probabilities(self, outputs: Any) -> Any:
        """`(batch, classes)`, from the outputs of `model`."""
        return self.activated(outputs) if self.is_added else outputs

    def activated(self, logits: Any) -> Any:
        """Probabilities `(batch, classes)` from logits.

        Raises:
            ValueError: their activation is unknown.
        """
        if self.activation is None:
            raise _unknown_activation(self.model)
        return self.activation(logits)

    def outputs(self, images: Any) -> dict[str, Any]:
        """Outputs of `network` for float32 pixels, `logits` and `probabilities`."""
        outputs = self.network(images, training=False)
        logits = self.logits(outputs["features"])
        probabilities = self.activated(logits)
        return {**outputs, "logits": logits, "probabilities": probabilities}


def _check(model: keras.Model) -> Preprocessing:
    require_backend("Exports need", "tensorflow")
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[-1] not in (1, 3):
        raise InputError(
            "Exports need a model of images: one input (batch, height, width, 3 or "
            f"1). Received: a model {model.name!r} with input {shape}."
        )
    normalization = find_normalization(model)
    if not normalization.enabled:
        raise InputError(
            f"The model {model.name!r} takes normalised images, but exports take "
            "pixels 0..255. Build it with include_preprocessing=True and the same "
            "weights."
        )
    return normalization.preprocessing


def _added_activation(
    model: keras.Model, record: Preprocessing, wanted: str
) -> tuple[Callable[[Any], Any] | None, ...]:
    """The activation to add to the model's own; nothing if they are complete."""
    head = heads.find_head(model)
    last = head.activations[-1:]
    if last and heads.gives_probabilities(last[0], head.dense.units):
        own = heads.activation_name(last[0])
        if wanted not in ("auto", own):
            raise InputError(
                f"{model.name!r} already returns probabilities, by {own}. Received: "
                f"classifier_activation={wanted!r}. Leave it out."
            )
        return ()
    name = heads.missing_activation(model, head, record, wanted)
    return (keras.activations.get(name) if name else None,)


def _unknown_activation(model: keras.Model) -> InputError:
    return InputError(
        f"{model.name!r} returns logits, and their activation is unknown. Pass "
        "classifier_activation='softmax' if an image has one class, or 'sigmoid' if "
        "each class is a yes or no (on the command line --classifier_activation); or "
        "compile the model with the loss that it was trained with, if that has "
        "from_logits=True."
    )


def _labels(model: keras.Model, record: Preprocessing) -> tuple[str, ...] | None:
    num_classes = model.output_shape[-1]
    if record.labels is None or record.num_labels != num_classes:
        return None  # The record belongs to the pretrained body.
    if isinstance(record.labels, str):
        return tuple(name for _, name in class_names(record.labels))
    return record.labels
