"""Copies of models for inference: in float32, with or without batch norms.

In inference a batch norm scales and shifts each channel, which the preceding
convolution can do. Source: Jacob et al. 2018, https://arxiv.org/abs/1712.05877, Section
3.2.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from keras_effnetv2.errors import InputError
from keras_effnetv2.layers import FusedMBConv, MBConv
from keras_effnetv2.private_apis import all_layers

# Layers outside blocks: convolution -> the batch norm after it.
_NORMS = {"stem_conv": "stem_bn", "top_conv": "top_bn"}

_Layer = keras.layers.Layer
_Blocks = MBConv | FusedMBConv


@keras.saving.register_keras_serializable("keras_effnetv2")
class FoldedBatchNorm(keras.layers.Layer):
    """The identity, in place of a batch norm that was folded into its convolution."""

    # Keras's Identity does not accept the arguments that batch norms are called with.
    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """The inputs."""
        return inputs


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """An equivalent model for inference without batch norms, in float32.

    The batch norms of a network of `create_model` are folded into its convolutions,
    which get biases; other layers stay. Outputs agree except for rounding. `model` is
    not changed.

    Args:
        model: from `create_model`, or a functional model that contains one.

    Raises:
        ValueError: no network in `model`, or one that is already folded or quantized.
    """
    _refuse_quantized(model)
    folded, copies = _copy(model, _folded_copy)
    norms = _conv_norms([layer for layer, _ in copies])
    if not norms:
        raise InputError(
            f"{model.name} has no batch norms to fold. Expected a model of "
            "create_model, or one built on it, that is not folded yet. Export it "
            "with fold=False (--no-fold)."
        )
    for original, copy in copies:
        for source, target in _parts(original, copy):
            if id(source) in norms:
                target.set_weights(_fold(source, norms[id(source)]))
            elif target.weights:  # A folded batch norm has none left.
                target.set_weights(_merged_weights(source))
    return folded


def in_float32(model: keras.Model) -> keras.Model:
    """The model, or a copy in float32 if a layer computes in any other type.

    The copy's variables have the model's regularizers, and LoRA is merged.

    Raises:
        ValueError: a layer is quantized.
    """
    _refuse_quantized(model)
    if computes_in_float32(model):
        return model
    copy, copies = _copy(model, _float32_copy)
    for source, target in (pair for layers in copies for pair in _parts(*layers)):
        target.set_weights(_merged_weights(source))
        for variable, original in zip(target.weights, _own(source), strict=True):
            variable.regularizer = original.regularizer
    return copy


def computes_in_float32(model: keras.Model) -> bool:
    """Whether all layers compute in float32."""
    dtypes = {
        layer.compute_dtype
        for layer in all_layers(model)
        if not isinstance(layer, keras.Model | keras.layers.InputLayer)
    }
    return dtypes == {"float32"}


def _refuse_quantized(model: keras.Model) -> None:
    for layer in all_layers(model):
        mode = getattr(layer, "quantization_mode", None)
        if mode is not None:
            raise InputError(
                f"The layer {layer.name!r} of {model.name!r} is quantized by Keras "
                f"({mode}), but exports need float weights. Export the model "
                "as it was before quantize(): export.litert (export litert) makes int8 "
                "of it."
            )


def _copy(
    model: keras.Model, copy_layer: Callable[[_Layer], _Layer]
) -> tuple[keras.Model, list[tuple[_Layer, _Layer]]]:
    """A copy with fresh weights, made by `copy_layer`, and pairs of layer and copy."""
    pairs = []

    def clone(layer: _Layer) -> _Layer:
        if not isinstance(layer, _Layer):  # An operation such as ops.add.
            return layer
        pairs.append((layer, copy_layer(layer)))
        return pairs[-1][1]

    copy = keras.models.clone_model(model, clone_function=clone, recursive=True)
    return copy, pairs


def _float32_copy(layer: _Layer, **changes: Any) -> _Layer:
    config = {**layer.get_config(), "dtype": "float32", **changes}
    merged = ("lora_rank", "lora_alpha")
    return type(layer).from_config({x: config[x] for x in config if x not in merged})


def _own(layer: _Layer) -> list[keras.Variable]:
    """The variables of a layer except those of LoRA."""
    return [x for x in layer.weights if not x.name.startswith("lora_")]


def _merged_weights(layer: _Layer) -> list[np.ndarray]:
    """The weights of a layer, including those added by LoRA."""
    if not getattr(layer, "lora_enabled", False):
        return layer.get_weights()
    # The attribute `kernel` is the sum; the variable of that name is not.
    merged = (getattr(layer, variable.name) for variable in _own(layer))
    return [keras.ops.convert_to_numpy(x) for x in merged]


def _folded_copy(layer: _Layer) -> _Layer:
    if isinstance(layer, _Blocks):
        return _float32_copy(layer, use_batch_norm=False)
    if layer.name in _NORMS:
        return _float32_copy(layer, use_bias=True)
    if layer.name in _NORMS.values():
        return FoldedBatchNorm(dtype="float32", name=layer.name)
    return _float32_copy(layer)


def _conv_norms(layers: list[Any]) -> dict[int, keras.layers.BatchNormalization]:
    """Batch norms by the `id` of the convolution before them."""
    norms = {}
    for layer in layers:
        if isinstance(layer, _Blocks) and layer.use_batch_norm:
            norms |= {id(conv): norm for conv, norm in layer.conv_norm_pairs()}
    # Several networks in a model have layers with the same names, in the same order.
    for conv_name, norm_name in _NORMS.items():
        convs, found = (
            [x for x in layers if x.name == name] for name in (conv_name, norm_name)
        )
        for conv, norm in zip(convs, found, strict=True):
            if not conv.use_bias:
                norms[id(conv)] = norm
    return norms


def _parts(original: _Layer, copy: Any) -> Iterator[tuple[_Layer, _Layer]]:
    """A layer and its copy; for a block, the layers inside and their copies."""
    if not isinstance(original, _Blocks):
        yield original, copy
        return
    copies = {layer.name: layer for layer in copy.sublayers()}
    for layer in original.sublayers():
        yield layer, copies[layer.name]


def _fold(conv: _Layer, norm: keras.layers.BatchNormalization) -> list[np.ndarray]:
    """Kernel and bias of a convolution that includes its batch norm."""
    (kernel,) = _merged_weights(conv)
    gamma, beta, mean, variance = (
        np.asarray(keras.ops.convert_to_numpy(x), "float64")
        for x in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    )
    with np.errstate(invalid="ignore"):  # As Keras, which says nothing either.
        scale = gamma / np.sqrt(variance + norm.epsilon)
    # In a depthwise kernel the last two axes, inputs and multiplier, are the outputs.
    shape = kernel.shape[2:] if isinstance(conv, keras.layers.DepthwiseConv2D) else -1
    return [kernel * scale.reshape(shape), beta - mean * scale]
