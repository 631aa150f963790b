"""The files of a repository: weights under timm's names, configuration, model card."""

import dataclasses
import json
import os
import pathlib
from typing import Any

import keras
import numpy as np

from keras_effnetv2.errors import InputError
from keras_effnetv2.export import publishing
from keras_effnetv2.export.hf_hub.model_card import model_card
from keras_effnetv2.layers import PixelNormalization
from keras_effnetv2.models import create_model
from keras_effnetv2.networks import heads
from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.networks.functional import find_normalization, named_variables
from keras_effnetv2.preprocessing import ACTIVATIONS, Preprocessing, preprocess_input
from keras_effnetv2.weights import labels, names
from keras_effnetv2.weights.hub import timm_preprocessing
from keras_effnetv2.weights.hub.addresses import CONFIG
from keras_effnetv2.weights.hub.architectures import ARCHITECTURES, variant_of
from keras_effnetv2.weights.hub.configs import OWN_KEY
from keras_effnetv2.weights.matching import num_classes_of

WEIGHTS, CARD = "model.safetensors", "README.md"

_CLASSIFIER = "predictions"
# Maximum difference of features; equal weights differ only by the order of additions.
_MAX_DIFFERENCE = 1e-4
# The end of timm's tags tells the classes.
_TAGS = {"imagenet": "in1k", "imagenet21k": "in21k"}


@dataclasses.dataclass(frozen=True)
class _Network:
    """A network that timm knows.

    Attributes:
        architecture: timm's name.
        variant: our variant.
        variables: variables by our names.
        num_classes: classes of the classifier; 0 without one.
        channels: channels of the images.
        preprocessing: the model's record.
    """

    architecture: str
    variant: Variant
    variables: dict[str, Any]
    num_classes: int
    channels: int
    preprocessing: Preprocessing


def hugging_face(
    model: keras.Model, destination: str | os.PathLike, name: str | None = None
) -> pathlib.Path:
    """Writes the files of a repository that `create_model` and timm load.

    These are `model.safetensors` with timm's names, `config.json` with preprocessing
    and class names, and a model card. Before they take their place, they are read back,
    and the network in them reproduces the model's outputs.

    Args:
        model: from `create_model`, with a variant that timm has, with or without top.
        destination: a folder, new or empty.
        name: `USER/REPO` in the model card. None: the folder's name.

    Returns:
        The folder.

    Raises:
        ValueError: timm has no such network, or the folder is not empty.
    """
    target = publishing.check_target(destination)
    networks = _networks(model)
    with publishing.replaced_folder(target) as folder:
        network = _write_first_equal(model, networks, folder)
        card = model_card(
            name or target.name,
            network.variant.name,
            network.num_classes,
            network.preprocessing,
        )
        (folder / CARD).write_text(card, encoding="utf-8")
    return target


def _networks(model: keras.Model) -> list[_Network]:
    """Networks of timm's with the model's arrays, likeliest first."""
    normalization = find_normalization(model)
    variables = named_variables(model)
    shapes = {name: tuple(x.shape) for name, x in variables.items()}
    classes = num_classes_of(shapes)
    channels = normalization.output.shape[-1]
    found = []
    for architecture in ARCHITECTURES:
        variant = variant_of(architecture)
        if variant and shapes == names.canonical_shapes(variant, classes, channels):
            record = _record(model, normalization, classes)
            found.append(
                _Network(
                    architecture, variant, variables, classes or 0, channels, record
                )
            )
    if not found:
        raise InputError(
            f"timm has no network with the layers of {model.name!r}. Expected a model "
            f"of create_model, one of timm's {', '.join(ARCHITECTURES)}, without "
            "layers of your own or folded batch norms."
        )
    return sorted(found, key=lambda x: x.variant.name != model.name)


def _record(
    model: keras.Model, normalization: PixelNormalization, classes: int | None
) -> Preprocessing:
    record = normalization.preprocessing
    if classes is None or record.num_labels != classes:
        record = dataclasses.replace(record, labels=None)
    if classes:
        activation = model.get_layer(_CLASSIFIER).activation
        activation = heads.activation_name(activation)
        if activation in ACTIVATIONS:
            record = dataclasses.replace(record, activation=activation)
    return record


def _write_first_equal(
    model: keras.Model, networks: list[_Network], folder: pathlib.Path
) -> _Network:
    """Writes the first network that, read back, reproduces the model's features."""
    difference = np.inf
    for network in networks:
        _write_weights(network, folder / WEIGHTS)
        text = json.dumps(_config(network), indent=2, ensure_ascii=False)
        (folder / CONFIG).write_text(f"{text}\n", encoding="utf-8")
        difference = _difference(model, network, folder)
        if difference <= _MAX_DIFFERENCE:
            return network
    raise InputError(
        f"{model.name!r} has the arrays of timm's {networks[0].architecture}, but its "
        f"features differ by {difference:.3g} of the largest. Expected that network's "
        "activations, batch-norm epsilon and padding."
    )


def _write_weights(network: _Network, path: pathlib.Path) -> None:
    from safetensors.numpy import save_file

    file_names = names.file_names(network.variant, names.TIMM)
    file_axes = names.file_axes(network.variant, names.TIMM)
    arrays = {}
    for name, variable in network.variables.items():
        array = keras.ops.convert_to_numpy(variable).astype(np.float32)
        if name in file_axes:
            array = array.transpose(np.argsort(file_axes[name]))
        arrays[file_names[name]] = np.ascontiguousarray(array)
    save_file(arrays, path, metadata={"format": "pt"})


def _config(network: _Network) -> dict[str, Any]:
    """The configuration in timm's format, with our own record added."""
    record, channels = network.preprocessing, network.channels
    config: dict[str, Any] = {
        "architecture": network.architecture,
        "num_classes": network.num_classes,
        "num_features": network.variant.scaled_top_filters,
        "global_pool": "avg",
        **_label_fields(record),
        "pretrained_cfg": {
            "tag": _TAGS.get(str(record.labels), ""),
            "custom_load": False,
            **timm_preprocessing.to_fields(record, channels),
            "fixed_input_size": False,
            "num_classes": network.num_classes,
            "first_conv": "conv_stem",
            "classifier": "classifier",
        },
        OWN_KEY: {"preprocessing": timm_preprocessing.without_labels(record)},
    }
    if channels != 3:
        config["model_args"] = {"in_chans": channels}
    return config


def _label_fields(record: Preprocessing) -> dict[str, Any]:
    if record.labels is None:
        return {}
    if isinstance(record.labels, tuple):
        return {"label_names": list(record.labels)}
    rows = labels.class_names(record.labels)
    return {"label_names": [x for x, _ in rows], "label_descriptions": dict(rows)}


def _difference(model: keras.Model, network: _Network, folder: pathlib.Path) -> float:
    """Largest difference of features of model and files, relative to the largest."""
    normalises = find_normalization(model).enabled
    copy = create_model(
        folder,
        include_top=network.num_classes > 0,
        input_shape=model.input_shape[1:],
        include_preprocessing=normalises,
    )
    sides = (side or 64 for side in model.input_shape[1:3])
    random = np.random.default_rng(0)
    images = random.uniform(0, 255, (1, *sides, network.channels)).astype("float32")
    if not normalises:
        record = network.preprocessing.for_channels(network.channels)
        images = preprocess_input(images, mode=record)
    ours, theirs = (
        keras.ops.convert_to_numpy(_features(x)(images, training=False))
        for x in (model, copy)
    )
    return float(np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs)))


def _features(model: keras.Model) -> keras.Model:
    """The model without its classifier, if it has one."""
    layers = [layer for layer in model.layers if layer.name == _CLASSIFIER]
    outputs = layers[0].input if layers else model.output
    return keras.Model(model.input, outputs)
