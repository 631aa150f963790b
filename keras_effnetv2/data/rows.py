"""Rows of a batch, made in parallel; those that cannot be made are reported."""

import os
import re
from collections.abc import Callable, Sequence

import tensorflow as tf

from keras_effnetv2.data import images
from keras_effnetv2.data.damage import Damage
from keras_effnetv2.data.sources.source import Source


def make_rows(
    indices: tf.Tensor,
    make: Callable[[tf.Tensor], tuple[tf.Tensor, ...]],
    source: Source,
    damage: Damage,
    *,
    at_least: int,
) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
    """`make(index)` for each index, inside a dataset's `map`.

    Args:
        indices: of examples, int64 `(num,)`.
        make: from a scalar index to tensors of static shapes; an error of TensorFlow's
            means that the example is damaged.
        source: of the examples.
        damage: told which are damaged.
        at_least: so many must be made, else `damage` stops.

    Returns:
        Places in `indices` that could be made, int64 `(num_made,)`; and a tensor
        `(num_made + 1, ...)` for each that `make` gives, whose last row is zeros.
    """
    num = tf.size(indices, tf.int64)

    def row(place):
        return place, make(indices[place])

    made = tf.data.Dataset.range(num).map(
        row, num_parallel_calls=os.cpu_count(), deterministic=True
    )
    zeros = tf.nest.map_structure(
        lambda spec: tf.zeros(spec.shape, spec.dtype), made.element_spec
    )
    # So there is something to batch also where all are damaged.
    made = made.ignore_errors().concatenate(tf.data.Dataset.from_tensors(zeros))
    places, columns = made.batch(num + 1).get_single_element()
    places = places[:-1]
    with tf.control_dependencies([_report(indices, places, source, damage, at_least)]):
        return tf.identity(places), columns


def fill_with_previous(
    places: tf.Tensor, columns: Sequence[tf.Tensor], num: int
) -> list[tf.Tensor]:
    """`num` rows of each column; missing ones repeat the last one made before them."""
    last_made = tf.searchsorted(places, tf.range(num, dtype=tf.int64), side="right") - 1
    # Before the first one comes the last one, as in a circle.
    return _gather(places, columns, last_made % tf.maximum(tf.size(places), 1), num)


def fill_with_zeros(
    places: tf.Tensor, columns: Sequence[tf.Tensor], num: int
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """`num` rows of each column, and 1 for each row made, float32 `(num,)`, else 0."""
    is_made = tf.scatter_nd(places[:, None], tf.ones_like(places), (num,))
    zeros = tf.size(places)
    row = tf.where(is_made > 0, tf.cumsum(tf.cast(is_made, tf.int32)) - 1, zeros)
    return _gather(places, columns, row, num), tf.cast(is_made, tf.float32)


def _gather(
    places: tf.Tensor, columns: Sequence[tf.Tensor], rows: tf.Tensor, num: int
) -> list[tf.Tensor]:
    """The rows; without a copy where none is missing."""
    is_complete = tf.size(places) == num
    return [
        tf.ensure_shape(
            tf.cond(
                is_complete,
                lambda column=column: column[:num],
                lambda column=column: tf.gather(column, rows),
            ),
            (num, *column.shape[1:]),
        )
        for column in columns
    ]


def _report(
    indices: tf.Tensor,
    places: tf.Tensor,
    source: Source,
    damage: Damage,
    at_least: int,
) -> tf.Tensor:
    """Tells `damage` which indices are missing."""

    def report(missing, num):
        found = {
            index: (source.name_of(index), _reason(source, index))
            for index in missing.numpy().tolist()
        }
        damage.report(found)
        if num - len(found) < at_least:
            name, reason = next(iter(found.values()))
            damage.stop(
                f"None of {num} images of a batch can be read. {name}: {reason}."
            )

    def report_missing():
        is_missing = tf.scatter_nd(
            places[:, None], tf.ones_like(places), tf.shape(indices, tf.int64)
        )
        missing = tf.boolean_mask(indices, is_missing == 0)
        with tf.control_dependencies(
            [tf.py_function(report, [missing, tf.size(indices)], [])]
        ):
            return tf.constant(True)

    is_complete = tf.size(places) == tf.size(indices)
    return tf.cond(is_complete, lambda: tf.constant(True), report_missing)


def _reason(source: Source, index: int) -> str:
    """What is wrong with an example, by trying it again."""
    try:
        image, _ = source.example(tf.constant(index, tf.int64))
        images.to_rgb(image)
    except tf.errors.OpError as error:
        # Without TensorFlow's names of operations.
        text = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", error.message)
        return " ".join(text.split()).rstrip(".")
    return "it could not be read, though now it can"
