"""Transfer to other tasks: feature pyramids, freezing, class names."""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from keras_effnetv2.errors import InputError
from keras_effnetv2.layers import BatchNorm, FusedMBConv, MBConv
from keras_effnetv2.layers.nesting import inner_layers
from keras_effnetv2.networks.functional import EfficientNet, find_normalization
from keras_effnetv2.networks.heads import find_head


def feature_pyramid(
    model: keras.Model,
    levels: Sequence[int] = (1, 2, 3, 4, 5),
    include_top: bool = False,
) -> EfficientNet:
    """A model with the features of `model` at several resolutions.

    Level `i` has strides 2 ** i: it is the last block output before the next
    downsampling, like the official endpoints `reduction_1` ... `reduction_5`.

    Args:
        model: from `create_model`, with or without top.
        levels: levels to return, in this order.
        include_top: whether to return the classifier's scores `(batch, classes)` too:
            `logits` and `probabilities` for a model of logits
            (`classifier_activation=None`), `probabilities` for one with an activation.

    Returns:
        A model with the same images and weights whose outputs are a dict:
        `reduction_{level}` to features `(batch, height / 2 ** level, width / 2 **
        level, channels)`, and scores by their names.

    Raises:
        ValueError: `model` is not one of ours, or has no such level or no classifier.
    """
    ends = {}
    level = 1  # The stem has strides 2.
    for block in _blocks(model):
        level += block.strides == 2
        ends[level] = block.output
    missing = [level for level in levels if level not in ends]
    if missing or not levels:
        raise InputError(
            f"{model.name} has feature levels {sorted(ends)}. "
            f"Received: levels={tuple(levels)}."
        )
    outputs = {f"reduction_{level}": ends[level] for level in levels}
    if include_top:
        outputs |= _scores(model)
    return EfficientNet(model.input, outputs, name=f"{model.name}_pyramid")


def _scores(model: keras.Model) -> dict[str, Any]:
    """The outputs of a classifier, by kind."""
    if len(model.outputs) != 1 or len(model.output_shape) != 2:
        raise InputError(
            f"include_top=True needs a classifier. Received: {model.name}, with "
            f"outputs {model.output_shape}. Build it with include_top=True."
        )
    if find_head(model).activations:
        return {"probabilities": model.output}
    activation = find_normalization(model).preprocessing.activation
    softmax = keras.layers.Activation(activation, dtype="float32", name="probabilities")
    return {"logits": model.output, "probabilities": softmax(model.output)}


def freeze(
    model: keras.Model, until: str | None, batch_norm: str = "frozen"
) -> keras.Model:
    """Freezes the first part of a network for fine-tuning; the rest is trainable.

    Call it before `compile`, or compile again. Each call sets every layer of the model,
    whatever was frozen before, so training can continue with less frozen, even after
    `model.trainable = False`. If layers of your own are to stay frozen, freeze them
    after the call.

    Loops over `model.layers` do not reach the layers inside blocks, where most batch
    norms are; this function does, and so do loops over `inner_layers(model)`.

    Args:
        model: from `create_model`, or any built model that contains one.
        until: the last part to freeze: `"stem"`, `"stage1"`, `"stage2"`, ... or `"top"`
            for everything before the pooling. None: no part.
        batch_norm: `"frozen"`: all batch norms of the network keep their statistics,
            scales and offsets, as is best for small batches; `"trainable"`: they are
            trained wherever their convolutions are.

    Returns:
        The same model.

    Raises:
        ValueError: unknown part or batch-norm mode, or no network in `model`.
    """
    if batch_norm not in ("frozen", "trainable"):
        raise InputError(
            f"batch_norm must be 'frozen' or 'trainable'. Received: {batch_norm!r}."
        )
    parts = list(dict.fromkeys(part for _, part in _parts(model)))
    if not parts:
        raise _no_network(model)
    if until is not None and until not in parts:
        raise InputError(f"until must be None or one of {parts}. Received: {until!r}.")
    last = -1 if until is None else parts.index(until)
    # Keras's flag counts only if all enclosing layers have it, so set it from outside
    # in. It is not set again where it is set, since that would unfreeze weights that
    # LoRA has frozen.
    for layer in (model, *inner_layers(model)):
        if not layer.trainable:
            layer.trainable = True
    for layer, part in _parts(model):
        if parts.index(part) <= last:
            layer.trainable = False
    if batch_norm == "frozen":
        for layer in inner_layers(model):
            if isinstance(layer, BatchNorm):
                layer.trainable = False
    return model


def name_classes(model: keras.Model, names: Sequence[str]) -> keras.Model:
    """Gives a classifier the names of its classes, which files and exports keep.

    Args:
        model: a classifier from `create_model`, or a model that contains one.
        names: names of its classes, in order, each a line of text.

    Returns:
        The same model.

    Raises:
        ValueError: not one name per class, or no network in `model`.
    """
    normalization = find_normalization(model)
    num_classes = model.output_shape[-1]
    if len(names) != num_classes:
        raise InputError(
            f"{model.name} has {num_classes} classes and needs a name for each. "
            f"Received: {len(names)} names."
        )
    bad = [x for x in names if not isinstance(x, str) or len(x.splitlines()) != 1]
    if bad or isinstance(names, str):
        raise InputError(
            f"A class's name is a line of text. Received: {(bad or [names])[0]!r}."
        )
    normalization.preprocessing = dataclasses.replace(
        normalization.preprocessing, labels=tuple(names)
    )
    return model


def _blocks(model: keras.Model) -> list[MBConv | FusedMBConv]:
    blocks = [x for x in model.layers if isinstance(x, MBConv | FusedMBConv)]
    if not blocks:
        raise _no_network(model)
    return blocks


def _no_network(model: keras.Model) -> ValueError:
    return InputError(
        f"Expected a model from create_model. Received: {model.name}, which has no "
        "MBConv or FusedMBConv layers."
    )


def _parts(model: keras.Model) -> Iterator[tuple[keras.layers.Layer, str]]:
    """Layers with weights before the pooling, each with the name of its part."""
    for layer in inner_layers(model):
        match = re.match(r"block(\d+)", layer.name)
        if match and isinstance(layer, MBConv | FusedMBConv):
            yield layer, f"stage{match[1]}"
        elif layer.name in ("stem_conv", "stem_bn", "top_conv", "top_bn"):
            yield layer, layer.name.partition("_")[0]
