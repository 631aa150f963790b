"""Keras's optimizers with one TensorFlow operation per variable and update.

    model.compile(keras_effnetv2.optimizers.Adam(1e-3), ...)

Keras composes an update of about ten operations, each of which reads and writes the
whole variable and has to be traced. With small batches or large networks that is a
large part of a step, and half of the first one. On other backends, and with options
that TensorFlow's operation lacks, the update is Keras's.

16-bit variables (`keras.config.set_floatx("bfloat16")`) have slots and updates in
float32: in bfloat16 a beta_2 of 0.999 is 1, and Keras's Adam changes nothing.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_effnetv2.private_apis import index_of, slots

_HALVES = ("bfloat16", "float16")
# Keras updates these itself, in the type of the weights.
_NOT_SLOTS = ("_gradient_accumulator", "_average")


class _Precise(keras.optimizers.Optimizer):
    """An optimizer whose slots and constants have at least float32 precision."""

    @property
    def weight_decay(self) -> float | None:
        """Decay per step, relative to the learning rate."""
        return self._weight_decay

    @weight_decay.setter
    def weight_decay(self, value: float | None) -> None:
        # A NumPy number, since Keras casts it, and TensorFlow casts Python floats via
        # float32.
        self._weight_decay = None if value is None else np.float64(value)

    def add_variable(
        self, shape: Any, initializer: Any = "zeros", dtype: Any = None, **kwargs: Any
    ) -> keras.Variable:
        """As Keras's, but slots of 16-bit variables are float32."""
        dtype = keras.backend.standardize_dtype(dtype)
        is_slot = not str(kwargs.get("name")).endswith(_NOT_SLOTS)
        dtype = "float32" if is_slot and dtype in _HALVES else dtype
        return super().add_variable(shape, initializer, dtype=dtype, **kwargs)


# The name that it has always had in files.
@keras.saving.register_keras_serializable("keras_effnetv2", "RMSpropOfTensorFlow1")
class RMSpropTF(_Precise, keras.optimizers.RMSprop):
    """RMSprop whose mean squares start at 1, as in TensorFlow 1, which the paper used.

    Starting at 0, as Keras does, makes the first steps several times larger.
    """

    def build(self, var_list: Sequence[Any]) -> None:
        """Makes the slots."""
        built = self.built
        super().build(var_list)
        if not built:
            (velocities,) = slots(self, "velocities")
            for velocity in velocities:
                velocity.assign(ops.ones(velocity.shape, velocity.dtype))

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates `variable` and its slots."""
        if not _has_operation(variable) or not self.momentum or self.centered:
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        place = index_of(self, variable)
        velocities, momentums = slots(self, "velocities", "momentums")
        var, ms, mom = _handles(variable, velocities[place], momentums[place])
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


class _AdamUpdate(_Precise):
    """The update of Adam and its variants."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates `variable` and its slots."""
        place = index_of(self, variable)
        m, v = (x[place] for x in slots(self, "momentums", "velocities"))
        gradient, lr, beta1, beta2, step = _cast(
            m.dtype,
            gradient,
            learning_rate,
            self.beta_1,
            self.beta_2,
            self.iterations + 1,
        )
        powers = beta1**step, beta2**step
        if _has_operation(variable) and not self.amsgrad:
            import tensorflow as tf

            var, m, v = _handles(variable, m, v)
            (epsilon,) = _cast(variable.dtype, self.epsilon)
            tf.raw_ops.ResourceApplyAdam(
                var=var,
                m=m,
                v=v,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=lr,
                beta1=beta1,
                beta2=beta2,
                epsilon=epsilon,
                grad=gradient,
            )
            return
        # Keras's own update would cast everything to the type of the variable.
        self.assign_add(m, ops.multiply(ops.subtract(gradient, m), 1 - self.beta_1))
        squared = ops.square(gradient)
        self.assign_add(v, ops.multiply(ops.subtract(squared, v), 1 - self.beta_2))
        if self.amsgrad:
            (hats,) = slots(self, "velocity_hats")
            largest = hats[place]
            self.assign(largest, ops.maximum(largest, v))
            v = largest
        alpha = lr * ops.sqrt(1 - powers[1]) / (1 - powers[0])
        self.assign_sub(variable, m * alpha / (ops.sqrt(v) + self.epsilon))


@keras.saving.register_keras_serializable("keras_effnetv2")
class Adam(_AdamUpdate, keras.optimizers.Adam):
    """Keras's Adam."""


@keras.saving.register_keras_serializable("keras_effnetv2")
class AdamW(_AdamUpdate, keras.optimizers.AdamW):
    """Keras's AdamW."""


class _LayerWise(keras.optimizers.Optimizer):
    """An optimizer with a learning rate multiplier for each variable.

    Args:
        *args: as for the optimizer.
        update_scales: the learning rate multiplier of each variable.
        **kwargs: as for the optimizer.
    """

    def __init__(
        self, *args: Any, update_scales: Sequence[float], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.update_scales = tuple(update_scales)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates `variable` and its slots."""
        scale = self.update_scales[index_of(self, variable)]
        super().update_step(gradient, variable, learning_rate * scale)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), "update_scales": list(self.update_scales)}


def _layer_wise(kind: type) -> type:
    """A class for `kind` that can be saved and loaded."""
    name = keras.saving.get_registered_name(kind).rpartition(">")[2]
    register = keras.saving.register_keras_serializable(
        "keras_effnetv2", f"LayerWise({name})"
    )
    return register(type(kind.__name__, (_LayerWise, kind), {"__module__": __name__}))


LAYER_WISE = {
    kind: _layer_wise(kind) for kind in (RMSpropTF, keras.optimizers.SGD, Adam, AdamW)
}


def move_towards(average: keras.Variable, variable: keras.Variable, rate: Any) -> None:
    """Moves `average` towards `variable` by the fraction `rate` of the difference."""
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
    """TensorFlow's resource handles of variables, Keras's or a strategy's."""
    for variable in variables:
        of_keras = isinstance(variable, keras.Variable)
        yield (variable.value if of_keras else variable).handle


def _has_operation(variable: Any) -> bool:
    """Whether TensorFlow's operation can update the variable and its slots."""
    dtype = keras.backend.standardize_dtype(variable.dtype)
    return _is_tensorflow() and dtype not in _HALVES


def _cast(dtype: Any, *values: Any) -> Iterator[Any]:
    """Numbers and tensors as tensors of a type."""
    for value in values:
        # TensorFlow casts Python floats via float32.
        is_number = isinstance(value, float)
        yield (ops.convert_to_tensor if is_number else ops.cast)(value, dtype)
