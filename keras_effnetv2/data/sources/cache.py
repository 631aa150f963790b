"""A source in memory."""

import dataclasses
import os

import tensorflow as tf

from keras_effnetv2.data.sources.counter import Counter
from keras_effnetv2.data.sources.source import Source

# Images between two looks at the time.
_CHUNK = 1000


def cached(source: Source) -> Source:
    """The same source, its images and labels read once, as they are encoded.

    An image that cannot be read is empty, and so as damaged as before.
    """
    num = source.num_examples
    counter = Counter(f"of {num:,} images read into memory")

    def count(indices):
        done = tf.py_function(lambda x: counter.add(len(x)), [indices], [])
        with tf.control_dependencies([done]):
            return tf.identity(indices)

    indices = tf.data.Dataset.range(num).batch(_CHUNK).map(count).unbatch()
    examples = indices.map(
        lambda index: (index, *source.read(index)), num_parallel_calls=os.cpu_count()
    )
    _, image_spec, label_spec = examples.element_spec
    if image_spec.dtype != tf.string:
        return source  # Pixels are in memory already.
    places, images, labels = examples.ignore_errors().batch(num).get_single_element()
    counter.close()
    if len(places) < num:
        images = tf.scatter_nd(places[:, None], images, (num,))
        labels = tf.scatter_nd(places[:, None], labels, (num, *label_spec.shape))
    return dataclasses.replace(
        source, read=lambda index: (images[index], labels[index])
    )
