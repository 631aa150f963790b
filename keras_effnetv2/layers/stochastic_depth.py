"""Stochastic depth: drops residual branches."""

from typing import Any

import keras
from keras import ops

from keras_effnetv2.errors import InputError


@keras.saving.register_keras_serializable("keras_effnetv2")
class StochasticDepth(keras.layers.Layer):
    """In training, drops a whole residual branch for a share of the examples.

    Input and output have any shape `(batch, ...)`. Kept branches are scaled by
    1 / (1 - rate), so inference needs no change.

    Reference: Huang et al. 2016, https://arxiv.org/abs/1603.09382.

    Args:
        rate: probability of *dropping*, in [0, 1). It may be changed later; a compiled
            function sees the change when it is traced again.
        seed: seed of the random choice.

    Raises:
        ValueError: `rate` outside [0, 1).
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise InputError(f"rate must be in [0, 1). Received: rate={rate!r}.")
        self.rate = rate
        self.seed = seed
        # Created even for rate 0, which may be raised later.
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape: tuple) -> None:
        """Creates nothing."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Zeroes or scales each example of `inputs` when `training`."""
        if not training or self.rate == 0:
            return inputs
        shape = (ops.shape(inputs)[0],) + (1,) * (len(inputs.shape) - 1)
        uniform = keras.random.uniform(shape, seed=self.seed_generator)
        kept = ops.cast(uniform >= self.rate, inputs.dtype)
        return inputs * (kept / (1 - self.rate))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
