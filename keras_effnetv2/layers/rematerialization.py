"""Recomputes layers' intermediate results for the gradient instead of keeping them."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_effnetv2.layers.normalization.batch_norm import BatchNorm


def rematerialize(
    function: Callable[[Any], Any], layers: Sequence[keras.layers.Layer], inputs: Any
) -> Any:
    """`function(inputs)` in training; only `inputs` is kept for the gradient.

    The recomputation would update batch-norm statistics a second time (and leak traced
    values on JAX), so the function runs without side effects: variables are passed as
    arguments, and their new values are returned and assigned here, once.

    Args:
        function: function of one tensor.
        layers: all layers that it calls.
        inputs: its argument.
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

    # PyTorch recomputes with the same input tensors, and by then the statistics have
    # been updated in place.
    moved = {id(v) for v in updated}
    values = [
        ops.copy(v) if id(v) in moved else ops.convert_to_tensor(v) for v in weights
    ]
    outputs, *new_values = keras.remat(pure)(inputs, *values)
    for variable, value in zip(updated, new_values, strict=True):
        variable.assign(value)
    return outputs
