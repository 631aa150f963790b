"""Corrections of what Keras's `fit` gets wrong under a tf.distribute strategy.

- Keras clips gradients, and checks for infinite ones, on each replica before they are
  summed; `sum_before_clipping` sums them first.
- Keras draws the same dropout masks on all replicas; `use_replica_seeds` prevents that.
- Keras builds models on the concatenated batches of all workers, which fails with
  several workers; `private_apis.Prebuilt` is built before.
- Keras averages logs over an axis that a scalar lacks; `as_log` adds it.
- Keras's gradient accumulation needs a merge call in a condition, which fails; the
  learner accumulates within a step.

Each has a test in tests/training/devices, with replicas or workers, that fails without
it. Tested with Keras 3.10 to 3.15; `use_replica_seeds` warns about other versions.
"""

import functools
import itertools
import re
from typing import Any

import keras
from absl import logging

from keras_effnetv2 import optimizers
from keras_effnetv2.private_apis import GradientsAreSummed

_OLDEST, _NEWEST = (3, 10), (3, 15)
# A prime: layers have random seeds, with which those of replicas must not collide.
_SEED_STEP = 7919
# Modules of optimizers that every process has.
_KNOWN = {
    kind
    for kind in (
        *vars(keras.optimizers).values(),
        *vars(optimizers).values(),
        *optimizers.LAYER_WISE.values(),
    )
    if isinstance(kind, type)
    and issubclass(kind, keras.optimizers.Optimizer)
    and not kind.__name__.startswith("_")
}


def sum_before_clipping(optimizer: keras.optimizers.Optimizer) -> None:
    """Makes a Keras optimizer sum gradients over replicas before it uses them.

    Otherwise it stays as it was, also in the file of a model compiled with it, which
    any process that imports the package can load. Does nothing on JAX, whose gradients
    are global.
    """
    if keras.backend.backend() != "tensorflow":
        return
    inner = getattr(optimizer, "inner_optimizer", None)
    _mix_in(optimizer, _SummedFirst)
    if inner is not None:
        _mix_in(inner, _NotSummed)


class _NotSummed(GradientsAreSummed):
    """An optimizer whose gradients are already summed over the replicas."""


class _SummedFirst(_NotSummed):
    """An optimizer that first sums gradients over the replicas."""

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        super().apply(_sum_over_replicas(grads), trainable_variables)


_register = functools.partial(
    keras.saving.register_keras_serializable, "keras_effnetv2"
)


@_register("OfUser")
class _OfUser(keras.optimizers.Optimizer):
    """An optimizer whose class is neither Keras's nor ours.

    Files contain the user's optimizer, from which this one is made again.
    """

    def get_config(self) -> dict[str, Any]:
        """The arguments of `from_config`."""
        _, mixin, kind = type(self).__bases__
        optimizer = {
            "module": kind.__module__,
            "class_name": kind.__name__,
            "config": super().get_config(),
            "registered_name": keras.saving.get_registered_name(kind),
        }
        return {"optimizer": optimizer, "is_summed": mixin is _NotSummed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> keras.optimizers.Optimizer:
        """The optimizer that `get_config` describes."""
        optimizer = keras.saving.deserialize_keras_object(config["optimizer"])
        _mix_in(optimizer, _NotSummed if config["is_summed"] else _SummedFirst)
        return optimizer


def _mix_in(optimizer: Any, mixin: type) -> None:
    kind = type(optimizer)
    if not issubclass(kind, _NotSummed):
        # It keeps its variables, and all references see the change.
        optimizer.__class__ = _mixed(kind, mixin)


@functools.cache
def _mixed(kind: type, mixin: type) -> type:
    """`kind` with `mixin`, as a class that can be saved and loaded."""
    namespace = {"__module__": __name__}
    if kind in _KNOWN:
        name = f"{mixin.__name__[1:]}({keras.saving.get_registered_name(kind)})"
        return _register(name)(type(kind.__name__, (mixin, kind), namespace))
    mixed = type(kind.__name__, (_OfUser, mixin, kind), namespace)
    for each in (mixed, _OfUser):  # The class that reads all such files comes last.
        _register("OfUser")(each)
    return mixed


def _sum_over_replicas(gradients: Any) -> list[Any]:
    if keras.backend.backend() != "tensorflow":  # From a file written on TensorFlow.
        return list(gradients)
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return list(gradients)
    gradients = list(gradients)
    places = [i for i, gradient in enumerate(gradients) if gradient is not None]
    summed = context.all_reduce(
        tf.distribute.ReduceOp.SUM, [gradients[i] for i in places]
    )
    for place, gradient in zip(places, summed, strict=True):
        gradients[place] = gradient
    return gradients


def use_replica_seeds() -> None:
    """Makes replicas draw different random numbers; seed states stay equal on all.

    It changes `keras.random.SeedGenerator`, for dropout in any layer; once is enough.
    """
    generator = keras.random.SeedGenerator
    is_done = generator.next is _next_of_replica
    if keras.backend.backend() != "tensorflow" or is_done:
        return
    version = tuple(int(part) for part in re.findall(r"\d+", keras.__version__)[:2])
    if not _OLDEST <= version <= _NEWEST:
        logging.warning(
            "Training on several devices was tested with Keras %s to %s, not with %s.",
            *(".".join(map(str, tried)) for tried in (_OLDEST, _NEWEST)),
            keras.__version__,
        )
    generator.next = _next_of_replica


_stock_next = keras.random.SeedGenerator.next


@functools.wraps(_stock_next)
def _next_of_replica(self: Any, ordered: bool = True) -> Any:
    return _of_replica(_stock_next(self, ordered))


def _of_replica(seed: Any) -> Any:
    """A different seed on every replica except the first."""
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return seed
    shift = tf.cast(context.replica_id_in_sync_group, seed.dtype) * _SEED_STEP
    return seed + tf.stack([shift, tf.zeros_like(shift)])


def as_log(value: Any) -> Any:
    """A scalar with shape (1,), which Keras can average over replicas and workers."""
    return keras.ops.reshape(value, (1,))


# A process that reads a file needs them before it has such an optimizer.
for _kind, _mixin in itertools.product(_KNOWN, (_SummedFirst, _NotSummed)):
    _mixed(_kind, _mixin)
