"""The last layers of a classifier: its logits, and their activation.

Layers are called, and their kernels are not read: quantized layers and those with LoRA
multiply by more than a kernel.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_effnetv2.errors import InputError
from keras_effnetv2.preprocessing import ACTIVATIONS, Preprocessing
from keras_effnetv2.private_apis import producer

# Layers that may follow the classifier.
ACTIVATION_LAYERS = (keras.layers.Activation, keras.layers.Softmax)

# Losses with an argument `from_logits`, and the activation that it implies.
_LOSSES = {
    "softmax": (
        keras.losses.CategoricalCrossentropy,
        keras.losses.CategoricalFocalCrossentropy,
        keras.losses.SparseCategoricalCrossentropy,
    ),
    "sigmoid": (
        keras.losses.BinaryCrossentropy,
        keras.losses.BinaryFocalCrossentropy,
    ),
}


@dataclasses.dataclass(frozen=True)
class Head:
    """The end of a functional or sequential classifier.

    Attributes:
        features: the symbolic tensor `(batch, channels)` before the classifier.
        dense: the classifier.
        activations: functions and layers between the classifier's sums and the model's
            output, in order, without identities.
    """

    features: Any
    dense: keras.layers.Dense
    activations: tuple[Callable[[Any], Any], ...]


def find_head(model: keras.Model) -> Head:
    """The end of a model.

    Raises:
        ValueError: it is not a dense layer of features, followed only by activations.
    """
    if len(model.outputs) != 1:
        raise InputError(
            f"Exports need a classifier with one output. Received: {model.name!r} with "
            f"{len(model.outputs)}. Make a model of one: keras.Model(model.inputs, "
            "model.outputs[0])."
        )
    after: list[Callable[[Any], Any]] = []
    layer, inputs = producer(model.outputs[0])
    while isinstance(layer, ACTIVATION_LAYERS):
        after.insert(0, getattr(layer, "activation", layer))
        layer, inputs = producer(inputs[0])
    if isinstance(layer, keras.Model):
        raise InputError(
            f"The last layer of {model.name!r} is itself a model ({layer.name!r}). "
            f"Export that one: model.get_layer({layer.name!r})."
        )
    if not isinstance(layer, keras.layers.Dense) or len(model.output_shape) != 2:
        raise InputError(
            f"Exports need a classifier that ends in a Dense layer. Received: "
            f"{model.name!r}, which ends in {type(layer).__name__} {layer.name!r} of "
            f"shape {model.output_shape}. Build it with include_top=True, or with a "
            "Dense layer after the pooling, and only Activation or Softmax after that."
        )
    activations = [layer.activation or keras.activations.linear, *after]
    own = tuple(x for x in activations if x is not keras.activations.linear)
    return Head(inputs[0], layer, own)


def logits(dense: keras.layers.Dense, features: Any) -> Any:
    """The output of a dense layer before its activation, `(batch, classes)`."""
    activation, dense.activation = dense.activation, keras.activations.linear
    try:
        return dense(features)
    finally:
        dense.activation = activation


def gives_probabilities(activation: Callable[[Any], Any], classes: int) -> bool:
    """Whether the results of a function for any logits are in [0, 1]."""
    rising = np.linspace(-9, 9, classes, dtype="float32")
    tried = ops.convert_to_tensor([rising, -rising])
    found = ops.convert_to_numpy(activation(tried))
    return bool(np.all((found >= 0) & (found <= 1)))


def missing_activation(
    model: keras.Model, head: Head, record: Preprocessing, wanted: str
) -> str | None:
    """The activation that turns a model's logits into probabilities.

    Args:
        model: a classifier; if compiled, its loss tells.
        head: head of the model.
        record: preprocessing of the model; if it names its classes, it tells.
        wanted: `"softmax"` or `"sigmoid"` takes precedence; `"auto"` does not.

    Returns:
        Its name. None if unknown.

    Raises:
        ValueError: there is no such activation, or it is impossible.
    """
    name = None if wanted == "auto" else wanted
    name = name or loss_activation(getattr(model, "loss", None))
    name = name or _record_activation(record, head.dense.units)
    if name == "softmax" and head.dense.units == 1:
        raise InputError(
            f"{model.name!r} has one logit, whose softmax is always 1. Received: "
            "softmax, from the argument or the loss. Pass "
            "classifier_activation='sigmoid' (--classifier_activation sigmoid)."
        )
    return name


def check_activation(wanted: str) -> None:
    """Refuses activations that exports do not support.

    Raises:
        ValueError: it is not `"auto"`, `"softmax"` or `"sigmoid"`.
    """
    if wanted not in ("auto", *ACTIVATIONS):
        raise InputError(
            f"classifier_activation must be one of {('auto', *ACTIVATIONS)}. "
            f"Received: {wanted!r}."
        )


def loss_activation(loss: Any) -> str | None:
    """The activation in a loss of logits, as for `compile`; None for other losses."""
    if isinstance(loss, dict):
        loss = list(loss.values())
    if isinstance(loss, list | tuple):
        loss = loss[0] if len(loss) == 1 else None
    if not getattr(loss, "from_logits", False):
        return None
    fitting = (name for name, kinds in _LOSSES.items() if isinstance(loss, kinds))
    return next(fitting, None)


def _record_activation(record: Preprocessing, classes: int) -> str | None:
    if record.num_labels != classes:
        return None  # The record belongs to the pretrained body.
    # Softmax is the default of records, with any names.
    is_known = isinstance(record.labels, str) or record.activation != "softmax"
    return record.activation if is_known else None


def activation_name(activation: Callable[[Any], Any]) -> str:
    """`"softmax"`, `"sigmoid"`, or the name of any function or layer."""
    if isinstance(activation, keras.layers.Softmax):
        return "softmax"
    return getattr(activation, "__name__", type(activation).__name__)
