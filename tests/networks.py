"""Small networks and weight transfer that several tests share."""

import dataclasses

import keras

from keras_effnetv2.architecture import Variant
from keras_effnetv2.networks import named_variables
from keras_effnetv2.variants import get_variant

# Reference networks: the official code with scaled coefficients.
TINY = {
    "tiny-s": ("efficientnetv2-s", 0.25, 0.2),
    "tiny-b0": ("efficientnetv2-b0", 0.25, 0.5),
    "tiny-xl": ("efficientnetv2-xl", 0.125, 0.1),
    "tiny-v1b0": ("efficientnet-b0", 0.25, 0.5),
}


def tiny(name: str) -> Variant:
    base, width, depth = TINY[name]
    return dataclasses.replace(
        get_variant(base),
        name=name,
        width_coefficient=width,
        depth_coefficient=depth,
        min_filter_share=0.0,
    )


def copy_from_applications(theirs: keras.Model, ours: keras.Model) -> None:
    """Gives our model the weights of a model of keras.applications, by name."""
    source = {
        f"{layer.name}/{weight.name}": weight
        for layer in theirs.layers
        for weight in layer.weights
    }
    for name, variable in named_variables(ours).items():
        layer, _, weight = name.rpartition("/")
        variable.assign(source[f"{layer.replace('/', '_')}/{weight}"])


def without_drops(model: keras.Model) -> keras.Model:
    """The model with dropout and stochastic depth switched off."""
    for layer in model.layers:
        layer = getattr(layer, "stochastic_depth", layer)
        if hasattr(layer, "rate"):
            layer.rate = 0.0
    return model
