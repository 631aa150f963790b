"""What Keras's `fit` gets wrong under a tf.distribute strategy, put right.

- Keras clips gradients, and looks for infinite ones, on each replica before they are
  summed; `aggregate_first` sums them first.
- Keras draws the same dropout masks on all replicas; not after `fix_random_seeds`.
- Keras builds models from a batch that it makes of those of all workers, which fails
  with several; `Prebuilt` is built before.
- Keras averages logs over an axis that a scalar lacks; `as_log` adds it.
- Keras's gradient accumulation needs a merge call in a condition, which fails; the
  learner accumulates within a step.

Each has a test in tests/training, test_replicas.py or test_workers.py, that fails
without it. Tried with Keras 3.10 to 3.15; `fix_random_seeds` says so where it meets
another version.
"""

import functools
import re
from typing import Any

import keras
from absl import logging

_OLDEST, _NEWEST = (3, 10), (3, 15)
# A prime: seeds of layers are random, and those of replicas must not meet them.
_SEED_STEP = 7919


def aggregate_first(optimizer: keras.optimizers.Optimizer) -> None:
    """Makes a Keras optimizer sum gradients over replicas before it looks at them.

    Does nothing on JAX, whose gradients are global.
    """
    if keras.backend.backend() != "tensorflow":
        return
    inner = getattr(optimizer, "inner_optimizer", None)
    _mix_in(optimizer, _SummedFirst)
    if inner is not None:
        _mix_in(inner, _NotSummed)


class _NotSummed:
    """An optimizer whose gradients are sums over the replicas already."""

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        return grads_and_vars


class _SummedFirst(_NotSummed):
    """An optimizer that sums gradients over the replicas as the first thing."""

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        super().apply(_sum_over_replicas(grads), trainable_variables)


def _mix_in(optimizer: Any, mixin: type) -> None:
    kind = type(optimizer)
    if not issubclass(kind, _NotSummed):
        optimizer.__class__ = type(kind.__name__, (mixin, kind), {})


def _sum_over_replicas(gradients: Any) -> list[Any]:
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


def fix_random_seeds() -> None:
    """Makes every replica draw its own random numbers; the states stay the same on all.

    It changes `keras.random.SeedGenerator`, for dropout in any layer; once is enough.
    """
    generator = keras.random.SeedGenerator
    if keras.backend.backend() != "tensorflow" or hasattr(generator.next, "original"):
        return
    version = tuple(int(part) for part in re.findall(r"\d+", keras.__version__)[:2])
    if not _OLDEST <= version <= _NEWEST:
        logging.warning(
            "Training on several devices was tried with Keras %s to %s, not with %s.",
            *(".".join(map(str, tried)) for tried in (_OLDEST, _NEWEST)),
            keras.__version__,
        )
    original = generator.next

    @functools.wraps(original)
    def next_of_replica(self: Any, ordered: bool = True) -> Any:
        return _of_replica(original(self, ordered))

    next_of_replica.original = original
    generator.next = next_of_replica


def _of_replica(seed: Any) -> Any:
    """Another seed on every replica but the first."""
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return seed
    shift = tf.cast(context.replica_id_in_sync_group, seed.dtype) * _SEED_STEP
    return seed + tf.stack([shift, tf.zeros_like(shift)])


class Prebuilt:
    """A model that is built before `fit`, and is not traced there to be built."""

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None):
        """Does nothing: Keras would make one batch of those of all workers."""


def as_log(value: Any) -> Any:
    """A scalar in the shape that Keras can average over replicas and workers, (1,)."""
    return keras.ops.reshape(value, (1,))
