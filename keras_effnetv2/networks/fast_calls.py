"""Fast calls of a network: eager calls as a graph, `predict` without a dataset.

An eager call runs operation by operation and takes ten times as long as a graph.
`predict` makes a dataset of its input, which takes three times as long as the network
on one image. Measured with B0 at 224 pixels on two cores.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_effnetv2.private_apis import all_layers, is_inside_a_call

# A trace takes as long as several eager calls, so it does not pay for one or two.
_NUM_EAGER_CALLS = 2
# Attributes of a built layer that users change, and that a traced graph includes.
_SETTINGS = ("activation", "dtype_policy", "epsilon", "lora_enabled")


class EagerCalls:
    """Runs eager calls of a network, from the third on as a graph.

    Args:
        model: the network.
    """

    def __init__(self, model: keras.Model) -> None:
        self._layers = all_layers(model)
        self._num = 0
        self._settings: list[Any] = []
        self._function: Callable[[Any], Any] | None = None

    def run(self, call: Callable[[Any], Any], inputs: Any) -> Any:
        """Runs `call` on eager inputs.

        The graph reads the variables, and is traced again when a setting changes.
        """
        self._num += 1
        if self._num <= _NUM_EAGER_CALLS:
            return call(inputs)
        import tensorflow as tf

        settings = [getattr(x, name, None) for x in self._layers for name in _SETTINGS]
        function = self._function
        if function is None or settings != self._settings:
            function = tf.function(call, autograph=False, reduce_retracing=True)
            self._function, self._settings = function, settings
        return function(tf.convert_to_tensor(inputs))


def is_eager_inference(inputs: Any, args: Sequence[Any], kwargs: dict) -> bool:
    """Whether a user's own code makes this call, for inference."""
    if keras.backend.backend() != "tensorflow" or args or set(kwargs) - {"training"}:
        return False
    import tensorflow as tf

    return (
        isinstance(inputs, np.ndarray | tf.Tensor)
        and not kwargs.get("training")
        and tf.executing_eagerly()
        and not tf.config.functions_run_eagerly()
        and not tf.distribute.has_strategy()
        and not is_inside_a_call()
    )


def is_one_batch(
    model: keras.Model, x: Any, batch_size: int | None, steps: int | None
) -> bool:
    """Whether `predict` would run `x` as one batch, on one device."""
    if keras.backend.backend() != "tensorflow" or steps is not None:
        return False
    import tensorflow as tf

    return (
        isinstance(x, np.ndarray | tf.Tensor)
        and 0 < len(x) <= (batch_size or 32)
        and model.steps_per_execution == 1
        and not model.run_eagerly
        and model.distribute_strategy.num_replicas_in_sync == 1
    )


def predict_one_batch(
    model: keras.Model, x: Any, verbose: str | int, callbacks: Any
) -> Any:
    """Like `predict`, with its progress bar and callbacks, but without a dataset."""
    if not isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks = keras.callbacks.CallbackList(
            callbacks,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=1,
            steps=1,
            model=model,
        )
    model.stop_predicting = False
    callbacks.on_predict_begin()
    callbacks.on_predict_batch_begin(0)
    outputs = model.predict_on_batch(x)
    callbacks.on_predict_batch_end(0, {"outputs": outputs})
    callbacks.on_predict_end()
    return outputs
