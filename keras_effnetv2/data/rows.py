"""Makes the rows of a batch in parallel, and reports those that fail.

They are made in TensorFlow ops. Those that fail are made again in Python, where Pillow
decodes what TensorFlow cannot, and disk errors are told from damage.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from keras_effnetv2.data.decode_errors import DecodeErrors
from keras_effnetv2.data.decoding import images
from keras_effnetv2.data.decoding.retrying import OF_DATA, describe_damage, retried
from keras_effnetv2.data.parallelism import parallel
from keras_effnetv2.data.source import Source
from keras_effnetv2.errors import FileError, InputError, UserError

# Turns an index, its image and the arguments of the batch into a tensor of static
# shape.
_Prepare = Callable[..., tf.Tensor]


class Records(NamedTuple):
    """Records of examples.

    Attributes:
        contents: strings `(num,)`.
        parse: turns a record into an image and its label, as `Source.read` returns
            them.
    """

    contents: tf.Tensor
    parse: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def make_rows(
    indices: tf.Tensor,
    prepare: _Prepare,
    source: Source,
    decode_errors: DecodeErrors,
    *,
    at_least: int,
    arguments: Sequence[tf.Tensor] = (),
    records: Records | None = None,
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Prepared images and labels of examples, inside a dataset's `map`.

    Args:
        indices: indices of examples, int64 `(num,)`.
        prepare: makes a row from a scalar index, an image (as from `Source.read`, or
            decoded and upright) and `arguments`. Called in the dataset's graph, and
            eagerly for rows that are made again.
        source: source of the examples.
        decode_errors: records examples that cannot be decoded, and stops the data if a
            file cannot be read.
        at_least: if fewer rows can be made, `decode_errors` stops the data.
        arguments: tensors that `prepare` needs.
        records: records of the examples, if already read; `source` reads those again
            that fail.

    Returns:
        Positions in `indices` of the rows that could be made, int64 `(num_made,)`, in
        order; and prepared images and labels, `(num_made + 1, ...)`, whose last row is
        zeros.
    """
    num = tf.size(indices, tf.int64)

    def row(place):
        if records is None:
            image, label = source.example(indices[place])
        else:
            image, label = source.checked(*records.parse(records.contents[place]))
        return place, prepare(indices[place], image, *arguments), label

    rows = tf.data.Dataset.range(num).map(row, **parallel())
    spec = rows.element_spec
    places, *columns = _gathered(rows.ignore_errors(), spec, num)

    def with_failed():
        is_made = tf.scatter_nd(places[:-1, None], tf.ones_like(places[:-1]), [num])
        failed = tf.boolean_mask(tf.range(num), is_made == 0)
        load = functools.partial(_load_row, prepare, source, decode_errors, spec[1])
        made = _made_again(failed, indices, load, arguments, spec)
        again = _reported(made, indices, source, decode_errors, at_least)
        return _merged((places, *columns), again)

    is_complete = tf.size(places, tf.int64) == num + 1
    places, *columns = tf.cond(is_complete, lambda: (places, *columns), with_failed)
    return places[:-1], columns


def fill_with_previous(
    places: tf.Tensor, columns: Sequence[tf.Tensor], num: int
) -> list[tf.Tensor]:
    """`num` rows of each column; missing ones repeat the one before."""
    last_made = tf.searchsorted(places, tf.range(num, dtype=tf.int64), side="right") - 1
    # Before the first one comes the last one, cyclically.
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
    """The rows, without a copy if none is missing."""
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


def _gathered(rows: tf.data.Dataset, spec: tuple, largest: tf.Tensor) -> tuple:
    """Columns of all rows, at most `largest`, and a last row of zeros."""
    # So that there is something to batch even if there are none.
    zeros = tf.nest.map_structure(lambda x: tf.zeros(x.shape, x.dtype), spec)
    rows = rows.concatenate(tf.data.Dataset.from_tensors(zeros))
    return rows.batch(largest + 1).get_single_element()


def _made_again(
    places: tf.Tensor,
    indices: tf.Tensor,
    load: Callable[..., tuple],
    arguments: Sequence[tf.Tensor],
    spec: tuple,
) -> tuple[tf.Tensor, ...]:
    """Positions, images, labels and reasons of failed rows; no reason if made now."""

    def row(place):
        # Eagerly: few images need it, and tracing would take too long.
        pixels, label, reason = tf.py_function(
            load,
            [indices[place], *arguments],
            [spec[1].dtype, spec[2].dtype, tf.string],
        )
        shaped = (spec[1].shape, spec[2].shape, ())
        columns = map(tf.ensure_shape, (pixels, label, reason), shaped)
        return place, *columns

    rows = tf.data.Dataset.from_tensor_slices(places).map(row, **parallel())
    return _gathered(rows, rows.element_spec, tf.size(places, tf.int64))


def _reported(
    made: tuple[tf.Tensor, ...],
    indices: tf.Tensor,
    source: Source,
    decode_errors: DecodeErrors,
    at_least: int,
) -> tuple[tf.Tensor, ...]:
    """Those of `_made_again` that were made; the others are reported."""
    places, *columns, reasons = made
    # Not raised in Python, since TensorFlow would print the whole traceback.
    problem = tf.py_function(
        lambda *found: _report(source, decode_errors, at_least, *found),
        [tf.gather(indices, places[:-1]), reasons[:-1], tf.size(indices)],
        tf.string,
    )
    check = tf.debugging.Assert(tf.ensure_shape(problem, ()) == b"", [problem])
    with tf.control_dependencies([check]):
        is_made = tf.identity(reasons == b"")
    return tuple(tf.boolean_mask(column, is_made) for column in (places, *columns))


def _merged(
    made: tuple[tf.Tensor, ...], again: tuple[tf.Tensor, ...]
) -> tuple[tf.Tensor, ...]:
    """Rows of both, in order; each has a last row of zeros, of which one is kept."""
    places, *_ = both = [
        tf.concat([first[:-1], second], axis=0)
        for first, second in zip(made, again, strict=True)
    ]
    num = tf.size(places) - 1
    order = tf.concat([tf.argsort(places[:-1]), [num]], axis=0)
    return tuple(tf.gather(column, order) for column in both)


def load_row(
    prepare: _Prepare,
    source: Source,
    decode_errors: DecodeErrors,
    spec: tf.TensorSpec,
    index: tf.Tensor,
    *arguments: tf.Tensor,
) -> tuple:
    """Makes one row, eagerly.

    Returns:
        A prepared example (zeros of `spec` if it cannot be made), its label, and what
        is wrong with it, or an empty text.
    """
    try:
        image, label = retried(
            lambda: source.example(index), source.name_of(int(index))
        )
        if image.dtype == tf.string:
            image = images.decode_any(image.numpy(), source.turn_upright)
        return prepare(index, images.to_rgb(image), *arguments), label, ""
    except FileError as error:
        decode_errors.stop(error)
    except InputError as error:
        reason = str(error)
    except OF_DATA as error:
        reason = describe_damage(error)
    return tf.zeros(spec.shape, spec.dtype), tf.zeros(source.num_classes), reason


def _load_row(
    prepare: _Prepare,
    source: Source,
    decode_errors: DecodeErrors,
    spec: tf.TensorSpec,
    *arguments: tf.Tensor,
) -> tuple:
    """A row as from `load_row`; `_reported` raises errors that stop the data."""
    try:
        return load_row(prepare, source, decode_errors, spec, *arguments)
    except UserError as error:
        zeros = tf.zeros(spec.shape, spec.dtype)
        return zeros, tf.zeros(source.num_classes), str(error)


def _report(
    source: Source,
    decode_errors: DecodeErrors,
    at_least: int,
    indices: tf.Tensor,
    reasons: tf.Tensor,
    num: tf.Tensor,
) -> str:
    """Tells `decode_errors` what is wrong with the examples of a batch.

    Returns:
        The error that stops the data, or an empty text.
    """
    if decode_errors.error is not None:
        return str(decode_errors.error)
    found = {
        index: (source.name_of(index), reason.decode())
        for index, reason in zip(indices.numpy().tolist(), reasons.numpy(), strict=True)
        if reason
    }
    try:
        decode_errors.report(found)
        if num - len(found) < at_least:
            name, reason = next(iter(found.values()))
            decode_errors.stop(
                InputError(
                    f"None of {num} images of a batch can be read. {name}: {reason}."
                )
            )
    except UserError as error:
        return str(error)
    return ""
