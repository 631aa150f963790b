"""Keras's optimizers with updates of one TensorFlow operation a variable.

    model.compile(keras_effnetv2.optimizers.Adam(1e-3), ...)

Keras composes an update of about ten operations, each of which reads and writes all of
a variable, and is traced. Where batches are small or networks large, that is a good
part of a step, and half of the first one. On other backends, and where an optimizer is
asked for more than TensorFlow's operation knows, the update is Keras's.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import keras


@keras.saving.register_keras_serializable("keras_effnetv2")
class RMSpropOfTensorFlow1(keras.optimizers.RMSprop):
    """RMSprop whose mean squares start at 1, as TensorFlow 1's, which the paper used.

    From 0, where Keras starts, the first steps are several times larger.
    """

    def build(self, variables: Sequence[Any]) -> None:
        """Makes the slots."""
        built = self.built
        super().build(variables)
        if not built:
            for velocity in self._velocities:
                velocity.assign(keras.ops.ones(velocity.shape, velocity.dtype))

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves `variable` and its slots."""
        if not _is_tensorflow() or not self.momentum or self.centered:
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        place = self._get_variable_index(variable)
        var, ms, mom = _handles(
            variable, self._velocities[place], self._momentums[place]
        )
        lr, rho, momentum, epsilon = _cast(
            variable.dtype, learning_rate, self.rho, self.momentum, self.epsilon
        )
        tf.raw_ops.ResourceApplyRMSProp(
            var=var,
            ms=ms,
            mom=mom,
            lr=lr,
            rho=rho,
            momentum=momentum,
            epsilon=epsilon,
            grad=tf.cast(gradient, variable.dtype),
        )


class _AdamUpdate:
    """The update of Adam and its kin."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves `variable` and its slots."""
        if not _is_tensorflow() or self.amsgrad:
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        place = self._get_variable_index(variable)
        var, m, v = _handles(variable, self._momentums[place], self._velocities[place])
        lr, beta1, beta2, epsilon, step = _cast(
            variable.dtype,
            learning_rate,
            self.beta_1,
            self.beta_2,
            self.epsilon,
            self.iterations + 1,
        )
        tf.raw_ops.ResourceApplyAdam(
            var=var,
            m=m,
            v=v,
            beta1_power=beta1**step,
            beta2_power=beta2**step,
            lr=lr,
            beta1=beta1,
            beta2=beta2,
            epsilon=epsilon,
            grad=tf.cast(gradient, variable.dtype),
        )


@keras.saving.register_keras_serializable("keras_effnetv2")
class Adam(_AdamUpdate, keras.optimizers.Adam):
    """Keras's Adam."""


@keras.saving.register_keras_serializable("keras_effnetv2")
class AdamW(_AdamUpdate, keras.optimizers.AdamW):
    """Keras's AdamW."""


def move_towards(average: keras.Variable, variable: keras.Variable, rate: Any) -> None:
    """Moves `average` by the share `rate` of its distance from `variable`."""
    difference = average - variable
    if not _is_tensorflow():
        average.assign(average - rate * difference)
        return
    import tensorflow as tf

    (var,) = _handles(average)
    (alpha,) = _cast(average.dtype, rate)
    tf.raw_ops.ResourceApplyGradientDescent(var=var, alpha=alpha, delta=difference)


def _is_tensorflow() -> bool:
    return keras.backend.backend() == "tensorflow"


def _handles(*variables: Any) -> Iterator[Any]:
    """TensorFlow's, of Keras's variables or, within a strategy, its own."""
    for variable in variables:
        of_keras = isinstance(variable, keras.Variable)
        yield (variable.value if of_keras else variable).handle


def _cast(dtype: Any, *numbers: Any) -> Iterator[Any]:
    """The numbers in the type of a variable."""
    import tensorflow as tf

    return (tf.cast(number, dtype) for number in numbers)
