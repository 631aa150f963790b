"""Using a network for other tasks: feature pyramids, freezing, class names."""

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
    downsampling, as the official endpoints `reduction_1` ... `reduction_5` are.

    Args:
        model: from `create_model`, with or without top.
        levels: which levels, in the order wanted.
        include_top: give the classifier's scores `(batch, classes)` too: `logits` and
            `probabilities` of a model of logits (`classifier_activation=None`),
            `probabilities` of one that has an activation.

    Returns:
        A model of the same images and weights whose outputs are a dict:
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
    """The outputs of a classifier, by what they are."""
    if len(model.outputs) != 1 or len(model.output_shape) != 2:
        raise InputError(
            f"include_top=True needs a classifier. Received: {model.name}, which gives "
            f"{model.output_shape}. Build it with include_top=True."
        )
    if find_head(model).activations:
        return {"probabilities": model.output}
    activation = find_normalization(model).preprocessing.activation
    softmax = keras.layers.Activation(activation, dtype="float32", name="probabilities")
    return {"logits": model.output, "probabilities": softmax(model.output)}


def freeze(
    model: keras.Model, until: str | None, batch_norm: str = "frozen"
) -> keras.Model:
    """Fixes the first part of a network for fine-tuning, and lets the rest learn.

    Call it before `compile`, or compile again. Each call sets the whole model anew,
    whatever was frozen before, so training can continue with less frozen: also after
    `model.trainable = False`. Layers of your own that are to stay frozen are frozen
    after it.

    Loops over `model.layers` do not reach what is inside blocks, which is most batch
    norms; this does, and so do loops over `inner_layers(model)`.

    Args:
        model: from `create_model`, or any built model that contains one.
        until: the last part to freeze: `"stem"`, `"stage1"`, `"stage2"`, ... or `"top"`
            for everything before the pooling. None: no part.
        batch_norm: `"frozen"`: batch norms of the network keep their statistics,
            scales and offsets everywhere, as is best for small batches;
            `"trainable"`: they learn wherever their convolutions do.

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
    # Keras's flag counts only where all that holds a layer has it: from outside in. It
    # is not set where it is, since that would also free weights that LoRA has fixed.
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
        names: of its classes, in their order, each a line of text.

    Returns:
        The same model.

    Raises:
        ValueError: not a name for each class, or no network in `model`.
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
