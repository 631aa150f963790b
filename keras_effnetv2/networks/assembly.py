"""Builds networks: a `Variant` becomes a functional Keras model, one layer per block.

Reference: Tan and Le 2021, https://arxiv.org/abs/2104.00298.
"""

import dataclasses
from typing import Any, NamedTuple

import keras

from keras_effnetv2.errors import InputError
from keras_effnetv2.layers import BatchNorm, FusedMBConv, MBConv, PixelNormalization
from keras_effnetv2.layers.activations import Activation, FastActivation
from keras_effnetv2.layers.convolutions import Conv2D
from keras_effnetv2.layers.squeeze_excite import CONV_INITIALIZER
from keras_effnetv2.networks.architecture import MBCONV, Variant
from keras_effnetv2.networks.block_list import Block, layout
from keras_effnetv2.networks.functional import EfficientNet
from keras_effnetv2.preprocessing import Preprocessing

# Uniform within 1 / sqrt(classes) of 0, as in the released code.
_DENSE_INITIALIZER = {
    "class_name": "VarianceScaling",
    "config": {"scale": 1 / 3, "mode": "fan_out", "distribution": "uniform"},
}


class BlockOptions(NamedTuple):
    """Arguments that every block of a network shares."""

    activation: Activation
    bn_momentum: float
    bn_epsilon: float
    bn_synchronized: bool | int
    remat: bool
    padding: str
    attention: str


def build(
    variant: Variant,
    images: Any,
    preprocessing: Preprocessing,
    *,
    include_top: bool,
    include_preprocessing: bool,
    classes: int,
    classifier_activation: Activation,
    pooling: str | None,
    name: str | None,
    options: BlockOptions,
) -> EfficientNet:
    """The network of `variant` on the symbolic `images`, with random weights.

    Args:
        variant: rows and coefficients.
        images: symbolic tensor `(batch, height, width, channels)`; the model's inputs
            are those it is computed from.
        preprocessing: the record that the model carries.
        include_top: whether to end in pooling, dropout and classifier.
        include_preprocessing: whether the model takes pixels 0..255.
        classes: width of the classifier.
        classifier_activation: activation of the classifier; `"auto"` is the record's.
        pooling: without classifier: None, `"avg"` or `"max"`.
        name: name of the model.
        options: arguments shared by the blocks.
    """
    if include_top and classes == 1:
        _refuse_constant(classifier_activation)
        preprocessing = dataclasses.replace(preprocessing, activation="sigmoid")
    x = PixelNormalization(
        preprocessing,
        enabled=include_preprocessing,
        dtype=_full_precision(),
        name="preprocessing",
    )(images)
    x = _conv_bn_activation(x, variant.scaled_stem_filters, 3, 2, "stem", options)
    for block in layout(variant):
        x = _block(block, options)(x)
    x = _conv_bn_activation(x, variant.scaled_top_filters, 1, 1, "top", options)
    if include_top:
        if classifier_activation == "auto":
            classifier_activation = preprocessing.activation
        if preprocessing.num_labels not in (None, classes):
            raise InputError(
                f"The preprocessing names {preprocessing.num_labels} labels. "
                f"Received: classes={classes}."
            )
        x = _classifier(x, variant.dropout_rate, classes, classifier_activation)
    elif pooling:
        x = _pool(x, pooling)
    sources = keras.utils.get_source_inputs(images)
    inputs = sources[0] if len(sources) == 1 else sources
    return EfficientNet(inputs, x, name=name or variant.name)


def _refuse_constant(activation: Activation) -> None:
    if activation == "auto":
        return
    function = keras.activations.get(activation)
    name = getattr(function, "__name__", type(function).__name__.lower())
    if name.endswith(("softmax", "sparsemax")):
        raise InputError(
            f"{name} of a single class is the same for every image. Received: "
            f"classes=1, classifier_activation={activation!r}. Pass 'sigmoid' or None "
            "(logits), or classes=2."
        )


def _classifier(
    x: Any, dropout_rate: float, classes: int, activation: Activation
) -> Any:
    dtype = _full_precision()
    x = keras.layers.Dropout(dropout_rate, dtype=dtype, name="top_dropout")(
        _pool(x, "avg")
    )
    return keras.layers.Dense(
        int(classes),  # Keras refuses NumPy integers.
        activation=activation,
        kernel_initializer=_DENSE_INITIALIZER,
        dtype=dtype,
        name="predictions",
    )(x)


def _pool(x: Any, kind: str) -> Any:
    layers = keras.layers
    pools = {"avg": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}
    return pools[kind](
        data_format="channels_last", dtype=_full_precision(), name=f"{kind}_pool"
    )(x)


def _full_precision() -> str | None:
    """float32 under mixed precision, since scores would otherwise lose digits."""
    policy = keras.config.dtype_policy()
    return "float32" if policy.compute_dtype != policy.variable_dtype else None


def _conv_bn_activation(
    x: Any,
    filters: int,
    kernel_size: int,
    strides: int,
    name: str,
    options: BlockOptions,
) -> Any:
    x = Conv2D(
        filters,
        kernel_size,
        strides,
        padding=options.padding,
        use_bias=False,
        data_format="channels_last",
        kernel_initializer=CONV_INITIALIZER,
        name=f"{name}_conv",
    )(x)
    x = BatchNorm(
        momentum=options.bn_momentum,
        epsilon=options.bn_epsilon,
        synchronized=options.bn_synchronized,
        name=f"{name}_bn",
    )(x)
    return FastActivation(options.activation, name=f"{name}_activation")(x)


def _block(block: Block, options: BlockOptions) -> keras.layers.Layer:
    layer = MBConv if block.operator == MBCONV else FusedMBConv
    return layer(
        filters=block.filters,
        kernel_size=block.kernel_size,
        strides=block.strides,
        expand_ratio=block.expand_ratio,
        se_ratio=block.se_ratio,
        drop_path_rate=block.drop_path_rate,
        always_expand=block.always_expand,
        name=block.name,
        **options._asdict(),
    )
