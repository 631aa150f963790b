"""Batch norm with its neighbours in a block, which share one gradient on JAX.

See `jax_batch_norm`. On other backends, and in inference, each layer runs by itself.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_effnetv2.layers.activations import activate
from keras_effnetv2.layers.convolutions import Conv2D
from keras_effnetv2.layers.normalization.batch_norm import BatchNorm


def expanded(
    x: Any,
    conv: Conv2D,
    norm: Any,
    activation: Callable[[Any], Any],
    training: bool | None,
) -> Any:
    """`x` through a convolution, its batch norm and the activation."""
    if (
        conv.is_product()
        and not conv.use_bias
        and conv.filters > x.shape[-1]
        and _is_written(x, norm, activation, training)
    ):
        from keras_effnetv2.layers.normalization.jax_batch_norm import expand

        return norm.trained(expand, x, ops.cast(conv.kernel, x.dtype))
    return activated(conv(x), norm, activation, training)


def activated(
    x: Any, norm: Any, activation: Callable[[Any], Any], training: bool | None
) -> Any:
    """`x` through batch norm and the activation."""
    if _is_written(x, norm, activation, training):
        from keras_effnetv2.layers.normalization.jax_batch_norm import normalize

        return norm.trained(normalize, x, is_activated=True)
    return activate(norm(x, training=training), activation)


def gated(
    x: Any,
    norm: Any,
    gates: Any,
    activation: Callable[[Any], Any],
    training: bool | None,
) -> Any:
    """`x` through batch norm, the activation and squeeze-excite."""
    if not _is_written(x, norm, activation, training):
        return gates(activated(x, norm, activation, training))
    from keras_effnetv2.layers.normalization.jax_batch_norm import normalize_and_gate

    def gates_of(means: Any, values: Any) -> Any:
        mapping = list(zip(gates.variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return gates.gates(means)

    weights = [ops.convert_to_tensor(variable) for variable in gates.variables]
    return norm.trained(normalize_and_gate, x, weights=weights, gates_of=gates_of)


def _is_written(
    x: Any, norm: Any, activation: Callable[[Any], Any], training: bool | None
) -> bool:
    return bool(
        training
        and activation is keras.activations.silu
        and isinstance(norm, BatchNorm)
        and norm.has_written_gradient(x)
    )
