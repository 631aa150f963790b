"""The network that an experiment trains."""

import dataclasses
import fnmatch

import keras

from keras_effnetv2.errors import InputError
from keras_effnetv2.layers.nesting import inner_layers
from keras_effnetv2.models import create_model
from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.networks.functional import (
    EfficientNet,
    find_normalization,
    walk_layers,
)
from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.preprocessing import NUM_LABELS
from keras_effnetv2.training.experiments.configuration import Experiment, Model


def build_network(
    experiment: Experiment,
    weights: str | None,
    class_names: tuple[str, ...] | None = None,
) -> EfficientNet:
    """The network that an experiment trains; it gives scores before softmax or sigmoid.

    It has the experiment's precision, frozen layers and largest rates of dropout and
    stochastic depth, and carries the record of its preprocessing and classes.

    Args:
        experiment: its settings.
        weights: initial weights, as for `create_model`.
        class_names: class names of the data.

    Raises:
        ValueError: softmax over a single class, whose loss is always 0.
    """
    if experiment.data.num_classes == 1 and experiment.loss == "softmax":
        raise InputError(
            "The loss after softmax of a single class is always 0. Received: "
            "data.num_classes=1, loss=softmax. Set loss=sigmoid, or train on two "
            "classes."
        )
    settings, progressive = experiment.model, experiment.progressive
    dropout_rate, drop_path_rate = (
        None if ramp is None else max(ramp.first, ramp.last)
        for ramp in (progressive.dropout_rate, progressive.drop_path_rate)
    )
    network = create_model(
        trained_variant(settings),
        weights=weights,
        classes=experiment.data.num_classes,
        classifier_activation=None,
        bn_momentum=settings.bn_momentum,
        bn_synchronized={0: True, 1: False}.get(
            settings.bn_group_size, settings.bn_group_size
        ),
        remat=settings.remat,
        preprocessing=settings.preprocessing,
        dropout_rate=dropout_rate,
        drop_path_rate=drop_path_rate,
        dtype=settings.precision,
    )
    normalization = find_normalization(network)
    normalization.preprocessing = dataclasses.replace(
        normalization.preprocessing,
        image_size=experiment.eval_size,
        labels=_labels(experiment, class_names),
        activation=experiment.loss,
    )
    # Its images come from our own pipeline.
    normalization.first_look.is_over = True
    freeze_layers(network, settings.frozen)
    return network


def trained_variant(settings: Model) -> Variant:
    """The variant with the experiment's coefficients."""
    coefficients = {
        name: getattr(settings, name)
        for name in ("width_coefficient", "depth_coefficient")
        if getattr(settings, name) is not None
    }
    return dataclasses.replace(get_variant(settings.variant), **coefficients)


def freeze_layers(network: keras.Model, patterns: tuple[str, ...]) -> None:
    """Freezes the layers whose names match a pattern such as `block[123]*`.

    Layers inside blocks have names like `block2a/expand_bn`: `*bn` is all batch norms.
    Frozen batch norms keep their statistics, too.

    Raises:
        ValueError: a pattern that matches no layer with weights.
    """
    layers = [layer for layer in inner_layers(network) if layer.weights]
    for pattern in patterns:
        found = [x for x in layers if fnmatch.fnmatchcase(x.path, pattern)]
        if not found:
            names = ", ".join(layer.path for layer in layers if "/" not in layer.path)
            raise InputError(
                f"model.frozen: no layer is called {pattern!r}. Expected patterns of "
                f"these names: {names}; or of layers in blocks, such as "
                "'block*/project_bn'."
            )
        for layer in found:
            layer.trainable = False


def variable_depths(network: keras.Model) -> list[int]:
    """The number of blocks between each trainable variable and the classifier.

    The classifier has 0, the layers after the last block have 1, and the stem has most.
    """
    groups = []  # For every layer with weights, a name that its neighbours may share.
    for layer in walk_layers(network):
        if layer.weights:
            part = layer.name.partition("_")[0]
            group = part if part in ("stem", "top") else layer.name
            groups.append((layer, group))
    order = list(dict.fromkeys(group for _, group in groups))
    depths = {
        id(variable): len(order) - 1 - order.index(group)
        for layer, group in groups
        for variable in layer.trainable_variables
    }
    return [depths[id(variable)] for variable in network.trainable_variables]


def _labels(
    experiment: Experiment, class_names: tuple[str, ...] | None
) -> str | tuple[str, ...] | None:
    """The names of the classes, or the name of a known class list."""
    for name, number in NUM_LABELS.items():
        source = f"{name}_tfrecord"
        is_it = experiment.data.source == source or experiment.data.name.startswith(
            name
        )
        if is_it and experiment.data.num_classes == number:
            return name
    return class_names
