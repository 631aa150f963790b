"""A source in memory."""

import dataclasses

import tensorflow as tf

from keras_effnetv2.data.chunks.steps import records_in_order
from keras_effnetv2.data.chunks.stores import ChunkOrder
from keras_effnetv2.data.decoding.retrying import OF_DATA, retried
from keras_effnetv2.data.parallelism import parallel
from keras_effnetv2.data.source import Source
from keras_effnetv2.progress import Progress

# Images between two checks of the time.
_CHUNK = 1000


def cached(source: Source) -> Source:
    """The same source, with its encoded images and labels read into memory once.

    An image whose record is damaged is empty, and so still counts as damaged.

    Raises:
        OSError: a file cannot be read, after several tries.
    """
    num = source.num_examples
    progress = Progress("images read into memory", num)

    def count(indices):
        done = tf.py_function(lambda x: progress.advance(len(x)), [indices], [])
        with tf.control_dependencies([done]):
            return tf.identity(indices)

    indices = tf.data.Dataset.range(num).batch(_CHUNK).map(count).unbatch()
    if source.chunks is None:
        examples = indices.map(lambda index: (index, *source.read(index)), **parallel())
    else:
        examples = _from_chunks(indices, source.chunks, num)
    _, image_spec, label_spec = examples.element_spec
    if image_spec.dtype != tf.string:
        return source  # Its pixels are in memory already.
    label = tf.zeros(label_spec.shape, label_spec.dtype)
    zeros = (tf.constant(num, tf.int64), tf.constant(b""), label)
    # A last row, so that there is something to batch even if all failed.
    examples = examples.ignore_errors().concatenate(tf.data.Dataset.from_tensors(zeros))
    places, images, labels = examples.batch(num + 1).get_single_element()
    progress.finish()
    if len(places) <= num:
        images = tf.scatter_nd(places[:, None], images, (num + 1,))
        labels = tf.scatter_nd(places[:, None], labels, (num + 1, *label_spec.shape))
        images, labels = _read_again(source, set(places.numpy()), images, labels)
    return dataclasses.replace(
        source, read=lambda index: (images[index], labels[index]), chunks=None
    )


def _from_chunks(
    indices: tf.data.Dataset, order: ChunkOrder, num: int
) -> tf.data.Dataset:
    """Index, image and label of each record, from few large reads."""
    spans = [(x, min(x + _CHUNK, num)) for x in range(0, num, _CHUNK)]
    records = records_in_order(order.store, spans).unbatch()
    return tf.data.Dataset.zip((indices, records)).map(
        lambda index, record: (index, *order.parse(record[1])), **parallel()
    )


def _read_again(
    source: Source, places: set[int], images: tf.Tensor, labels: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Images and labels, including missing ones if they can be read now."""
    for index in set(range(source.num_examples)) - places:
        try:
            image, label = retried(
                lambda index=index: source.read(tf.constant(index, tf.int64)),
                source.name_of(index),
            )
        except OF_DATA:
            continue
        images = tf.tensor_scatter_nd_update(images, [[index]], [image])
        labels = tf.tensor_scatter_nd_update(labels, [[index]], [label])
    return images, labels
