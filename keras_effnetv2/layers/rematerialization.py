"""Layers whose intermediate results are computed again for the gradient, not kept."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_effnetv2.layers.batch_norm import BatchNorm


def rematerialize(
    function: Callable[[Any], Any], layers: Sequence[keras.layers.Layer], inputs: Any
) -> Any:
    """`function(inputs)` in training; of it, only `inputs` is kept for the gradient.

    The second computation would move batch-norm statistics a second time (and leak
    traced values on JAX), so the function runs without side effects: variables go in as
    arguments, their new values come out and are assigned here, once.

    Args:
        function: of a tensor.
        layers: all that it calls.
        inputs: a tensor.
    """
    weights = [weight for layer in layers for weight in layer.weights]
    norms = [x for x in layers if isinstance(x, BatchNorm) and x.trainable]
    updated = [v for x in norms for v in (x.moving_mean, x.moving_variance)]

    def pure(inputs: Any, *values: Any) -> list[Any]:
        mapping = list(zip(weights, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            outputs = function(inputs)
        return [outputs] + [
            ops.stop_gradient(scope.get_current_value(v)) for v in updated
        ]

    # PyTorch computes the second time with what went in, and by then it has moved the
    # statistics in their place.
    moved = {id(v) for v in updated}
    values = [
        ops.copy(v) if id(v) in moved else ops.convert_to_tensor(v) for v in weights
    ]
    outputs, *new_values = keras.remat(pure)(inputs, *values)
    for variable, value in zip(updated, new_values, strict=True):
        variable.assign(value)
    return outputs
