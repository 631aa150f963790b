"""Models by name, with weights: the package's front door.

The arguments are those of `keras.applications`, in the same order, and a few more.
"""

import dataclasses
import functools
import inspect
import os
import re
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

import keras

from keras_effnetv2 import preprocessing as records
from keras_effnetv2.errors import InputError
from keras_effnetv2.layers.activations import Activation
from keras_effnetv2.layers.inputs.symbolic_images import (
    is_positive_whole,
    symbolic_images,
)
from keras_effnetv2.networks.architecture import Variant
from keras_effnetv2.networks.assembly import BlockOptions, build
from keras_effnetv2.networks.functional import EfficientNet, named_variables
from keras_effnetv2.networks.published import PUBLISHED
from keras_effnetv2.networks.variants import VARIANTS, get_variant
from keras_effnetv2.preprocessing import Preprocessing
from keras_effnetv2.weights.hub import addresses

_DEFAULT_CLASSES = 1000
_Arguments = ParamSpec("_Arguments")


def create_model(
    variant: str | os.PathLike | Variant,
    include_top: bool = True,
    weights: str | os.PathLike | None = None,
    input_tensor: Any = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classes: int | None = None,
    classifier_activation: Activation = "auto",
    include_preprocessing: bool = True,
    name: str | None = None,
    *,
    dropout_rate: float | None = None,
    drop_path_rate: float | None = None,
    activation: Activation = "auto",
    bn_momentum: float = 0.9,
    bn_epsilon: float | None = None,
    bn_synchronized: bool | int = False,
    remat: bool = False,
    preprocessing: str | Preprocessing | None = None,
    dtype: Any = None,
) -> EfficientNet:
    """Builds a network and loads weights into it.

    The model takes images `(batch, height, width, channels)`, pixels 0..255, of any
    size, and gives float32 scores `(batch, classes)`; without top, features.

    Args:
        variant: a name of `list_variants()`, a `Variant` of your own, or the path of a
            `.json` file of one; or, with its weights, a repository of the Hugging Face
            Hub, `"hf://USER/REPO[@REVISION]"`, or a folder of its files.
        include_top: whether to end in pooling, dropout and classifier.
        weights: None (random), `"imagenet"`, `"imagenet21k"`, `"imagenet21k-ft1k"`, for
            V1 `"noisy-student"` or `"advprop"`, a local file or folder in any known
            format, an https URL, or a repository of the Hub in timm's layout, by its
            address or its folder.
        input_tensor: symbolic tensor to build on, instead of a new input.
        input_shape: `(height, width, channels)`; None for any size and 3 channels.
        pooling: without top: None for the last feature map, `"avg"` or `"max"`.
        classes: width of the classifier. None: as many as the weights have, or 1000. If
            the weights have another number, the classifier starts from scratch.
        classifier_activation: `"auto"` is what the weights were trained with: softmax,
            or sigmoid for ImageNet-21k; sigmoid for a single class. None gives logits.
        include_preprocessing: normalise pixels in the model. False: the caller does,
            with `preprocess_input(images, mode=model.preprocessing)`.
        name: name of the model.
        dropout_rate: rate of the dropout before the classifier. None: the variant's.
        drop_path_rate: rate of stochastic depth. None: the variant's.
        activation: activation of all blocks, e.g. `"relu6"` for integer hardware.
            `"auto"`: the variant's.
        bn_momentum: momentum of the moving statistics. 0.9 in the released code.
        bn_epsilon: value added to variances. None: the variant's.
        bn_synchronized: True shares batch statistics over all replicas of a
            `tf.distribute` strategy, a number n over groups of n consecutive replicas
            (8 in the released code's training on TPUs). JAX always shares all.
        remat: keep only the outputs of the blocks' convolutions for the gradient and
            compute what lies between them again.
        preprocessing: the record that the model is to carry, or the name of the dataset
            whose released weights have the same. None: that of the weights, from what
            their file says or else from its name or number of classes.
        dtype: dtype of the layers, as in Keras: a dtype such as `"bfloat16"`, or a
            policy such as `"mixed_bfloat16"`, with which pixels are normalised and
            scores computed in float32. None: `keras.config.dtype_policy()`.

    Raises:
        ValueError: an argument out of range, unknown weights, or weights that do not
            fit the network exactly.
        ConnectionError: the weights could not be downloaded.
        ImportError: the Hub's library is not installed.
    """
    _check(pooling, classes)
    images = symbolic_images(input_tensor, input_shape)
    network, found = _network(variant, weights)
    variant = _with_rates(network, dropout_rate, drop_path_rate)
    build_model = functools.partial(
        _build_with_policy,
        dtype,
        variant,
        images,
        include_top=include_top,
        classifier_activation=classifier_activation,
        include_preprocessing=include_preprocessing,
        pooling=pooling,
        name=name,
        options=BlockOptions(
            variant.activation if activation == "auto" else activation,
            bn_momentum,
            variant.bn_epsilon if bn_epsilon is None else bn_epsilon,
            bn_synchronized,
            remat,
            variant.padding,
            variant.attention,
        ),
    )
    if found is None:
        record = _untrained_record(variant, images.shape[-1], preprocessing)
        classes = classes or record.num_labels or _DEFAULT_CLASSES
        return build_model(record, classes=classes)
    from keras_effnetv2.weights.pretrained import open_pretrained  # Slow to import.

    with open_pretrained(
        found, variant, include_top, classes, preprocessing
    ) as pretrained:
        record = pretrained.preprocessing
        if record is not preprocessing:  # Inferred, not the user's own.
            record = record.for_channels(images.shape[-1])
        model = build_model(record, classes=pretrained.classes)
        pretrained.assign(named_variables(model), adapt_stem=not include_preprocessing)
    return model


def _build_with_policy(dtype: Any, *args: Any, **kwargs: Any) -> EfficientNet:
    """The network, whose layers have Keras's policy of `dtype`."""
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(before if dtype is None else dtype)
        return build(*args, **kwargs)
    finally:
        keras.config.set_dtype_policy(before)


def _network(variant: str | os.PathLike | Variant, weights: Any) -> tuple[Variant, Any]:
    """The network and its weights; both from a repository, if `variant` names one."""
    if not isinstance(variant, str | os.PathLike) or variant in VARIANTS:
        return get_variant(variant), weights
    if not addresses.is_repository(variant):
        return get_variant(variant), weights
    if weights is not None:
        raise InputError(
            f"{os.fspath(variant)} has weights of its own. Received: "
            f"weights={os.fspath(weights)!r} too. Leave them out, or name the variant."
        )
    from keras_effnetv2.weights.hub.repositories import Repository  # Slow to import.

    repository = Repository(variant)
    return repository.config.variant, repository


def _with_rates(
    variant: Variant, dropout_rate: float | None, drop_path_rate: float | None
) -> Variant:
    rates = {"dropout_rate": dropout_rate, "drop_path_rate": drop_path_rate}
    given = {name: rate for name, rate in rates.items() if rate is not None}
    return dataclasses.replace(variant, **given)


def _check(pooling: str | None, classes: int | None) -> None:
    if pooling not in (None, "avg", "max"):
        raise InputError(
            f"pooling must be None, 'avg' or 'max'. Received: {pooling!r}."
        )
    if classes is not None and not is_positive_whole(classes):
        raise InputError(
            f"classes must be a positive whole number or None. Received: {classes!r}."
        )


def _untrained_record(
    variant: Variant, channels: int, preprocessing: str | Preprocessing | None
) -> Preprocessing:
    """The record of a network with random weights: the official one, unlabelled."""
    if isinstance(preprocessing, Preprocessing):
        return preprocessing
    dataset = preprocessing or "imagenet"
    record = records.record(variant.name, dataset, variant.eval_size)
    return record.unlabelled().for_channels(channels)


def _constructor(
    build_model: Callable[Concatenate[Any, _Arguments], EfficientNet],
    variant_name: str,
    default_weights: str = "imagenet",
) -> Callable[_Arguments, EfficientNet]:
    """The function that `keras.applications` has, or would have, for a variant.

    Its signature is that of `create_model` without the variant, for people, editors and
    type checkers; only the default of `weights` may differ.
    """
    _, *parameters = inspect.signature(build_model).parameters.values()
    defaults = {"weights": default_weights}
    signature = inspect.Signature(
        [x.replace(default=defaults.get(x.name, x.default)) for x in parameters],
        return_annotation=EfficientNet,
    )

    def construct(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> EfficientNet:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return build_model(variant_name, *bound.args, **bound.kwargs)

    suffix = variant_name.removeprefix("efficientnetv2-").upper()
    construct.__name__ = construct.__qualname__ = f"EfficientNetV2{suffix}"
    construct.__signature__ = signature  # pyright: ignore[reportFunctionMemberAccess]
    construct.__doc__ = _describe(get_variant(variant_name), build_model.__doc__ or "")
    return construct


def _describe(variant: Variant, documentation: str) -> str:
    """The docstring of `create_model`, adapted to one variant, with its figures."""
    published = PUBLISHED[variant.name]
    size = published.code or published.paper
    figures = f"{size.params:g}M parameters, {size.flops:g}B FLOPs, " if size else ""
    summary = (
        f"{variant.name}: {figures}{published.top1:g}% on ImageNet-1k.\n\n    Trained "
        f"at {variant.train_size} pixels, evaluated at {variant.eval_size}."
    )
    text = documentation.replace("Builds a network and loads weights into it.", summary)
    return re.sub(
        r"\n        variant: .*?(?=\n        include_top: )", "", text, flags=re.S
    )


EfficientNetV2B0 = _constructor(create_model, "efficientnetv2-b0")
"""`create_model("efficientnetv2-b0")`, and its other arguments."""
EfficientNetV2B1 = _constructor(create_model, "efficientnetv2-b1")
"""`create_model("efficientnetv2-b1")`, and its other arguments."""
EfficientNetV2B2 = _constructor(create_model, "efficientnetv2-b2")
"""`create_model("efficientnetv2-b2")`, and its other arguments."""
EfficientNetV2B3 = _constructor(create_model, "efficientnetv2-b3")
"""`create_model("efficientnetv2-b3")`, and its other arguments."""
EfficientNetV2S = _constructor(create_model, "efficientnetv2-s")
"""`create_model("efficientnetv2-s")`, and its other arguments."""
EfficientNetV2M = _constructor(create_model, "efficientnetv2-m")
"""`create_model("efficientnetv2-m")`, and its other arguments."""
EfficientNetV2L = _constructor(create_model, "efficientnetv2-l")
"""`create_model("efficientnetv2-l")`, and its other arguments."""
# XL was never trained on ImageNet-1k alone.
EfficientNetV2XL = _constructor(create_model, "efficientnetv2-xl", "imagenet21k-ft1k")
"""`create_model("efficientnetv2-xl")`, and its other arguments."""
