"""Averages over the replicas of a `tf.distribute` strategy; one replica elsewhere."""

from typing import Any

import keras


def count_replicas() -> int:
    """How many replicas run the code that is being traced; 1 outside of any."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context.num_replicas_in_sync if context else 1


def average_in_groups(values: Any, weight: Any, group_size: int) -> tuple[Any, Any]:
    """Averages over each group of `group_size` replicas that follow each other.

    One all-reduce to which every replica gives all groups' sums, with zeros for the
    others: that has a static shape and works with every strategy. Gradients pass.

    Args:
        values: `(n, channels)`, of this replica; may be NaN where `weight` is 0.
        weight: scalar, of this replica.
        group_size: divides the number of replicas.

    Returns:
        Averages, `(groups, n, channels)`, and weights of the groups, `(groups, 1, 1)`.
    """
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    num_groups = context.num_replicas_in_sync // group_size
    is_own = tf.one_hot(find_group(group_size), num_groups, dtype=values.dtype)
    values = tf.concat([values, tf.ones_like(values[:1])], axis=0)
    values = tf.math.multiply_no_nan(values, weight) * is_own[:, None, None]
    sums = context.all_reduce(tf.distribute.ReduceOp.SUM, values)
    weights = sums[:, -1:]
    return tf.math.divide_no_nan(sums[:, :-1], weights), weights[..., :1]


def find_group(group_size: int) -> Any:
    """The number of this replica's group of `group_size`, from 0."""
    import tensorflow as tf

    return tf.distribute.get_replica_context().replica_id_in_sync_group // group_size
