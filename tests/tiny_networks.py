"""Small networks and weight transfer that several tests share."""

import dataclasses
import pathlib
from collections.abc import Iterator

import keras
import numpy as np
import pytest

from keras_effnetv2.networks.architecture import BlockSpec, Variant
from keras_effnetv2.networks.functional import named_variables
from keras_effnetv2.networks.variants import get_variant

# Reference networks: the official code with scaled coefficients.
TINY = {
    "tiny-s": ("efficientnetv2-s", 0.25, 0.2),
    "tiny-b0": ("efficientnetv2-b0", 0.25, 0.5),
    "tiny-xl": ("efficientnetv2-xl", 0.125, 0.1),
    "tiny-v1b0": ("efficientnet-b0", 0.25, 0.5),
}

# The smallest with every kind of block and of connection between blocks.
NANO_FILE = pathlib.Path(__file__).with_name("nano.json")
NANO = get_variant(NANO_FILE)
# Without scaling, of few blocks.
SMALL = Variant(
    "small",
    (
        BlockSpec("fused_mbconv", 3, 1, 1, 8, 1),
        BlockSpec("fused_mbconv", 3, 2, 4, 16, 2),
        BlockSpec("mbconv", 5, 2, 6, 24, 2, 0.25),
    ),
    stem_filters=8,
    train_size=32,
    eval_size=32,
    dropout_rate=0.1,
    top_filters=32,
)
# With all that networks of PyTorch have of their own.
PADDED = dataclasses.replace(
    NANO,
    name="padded",
    blocks=(
        dataclasses.replace(NANO.blocks[0], always_expand=True),
        *NANO.blocks[1:],
    ),
    activation="relu6",
    padding="symmetric",
    attention="global_context",
    bn_epsilon=1e-5,
)
# Of an experiment that trains it.
NANO_SETTINGS = (
    f"model.variant={NANO_FILE}",
    "model.width_coefficient=1",
    "model.depth_coefficient=1",
)


def pixels(
    height: int = 40, width: int = 40, batch: int = 2, channels: int = 3
) -> np.ndarray:
    """Random images, float32 `(batch, height, width, channels)`."""
    random = np.random.default_rng(0)
    return random.integers(0, 256, (batch, height, width, channels)).astype("float32")


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


def spread_weights(model: keras.Model, images: np.ndarray) -> None:
    """Uneven scales and offsets, and the moving statistics that follow from them.

    Fresh networks give all images almost equal outputs, whatever is wrong with them;
    statistics that do not follow from the weights would magnify rounding errors, as
    some kernels do: they are the same in every run, whatever the network came with.
    """
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        *inputs, outputs = variable.shape
        if inputs:
            scale = np.prod(inputs) ** -0.5
            variable.assign(random.normal(0, scale, (*inputs, outputs)))
    norms = list(_batch_norms(model))
    for norm in norms:
        norm.gamma.assign(random.uniform(0.6, 1.2, norm.gamma.shape))
        norm.beta.assign(random.normal(0, 0.2, norm.beta.shape))
        norm.momentum = 0.0
    without_drops(model)(images, training=True)
    for norm in norms:
        norm.momentum = 0.9


def _batch_norms(model: keras.Model) -> Iterator[keras.layers.BatchNormalization]:
    for layer in model.layers:
        for part in (layer, *vars(layer).values()):
            if isinstance(part, keras.layers.BatchNormalization):
                yield part


def require_quantization(mode: str) -> None:
    """Skips a test of a mode that this version of Keras has not."""
    dense = keras.layers.Dense(2)
    dense.build((None, 2))
    try:
        dense.quantize(mode)
    except ValueError as error:
        pytest.skip(str(error))
