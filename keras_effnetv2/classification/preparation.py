"""Prepares images for the network, in threads while it works on others."""

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorflow as tf

from keras_effnetv2.classification.inputs import Item
from keras_effnetv2.data.decoding import cropping, images
from keras_effnetv2.errors import InputError, UserError
from keras_effnetv2.preprocessing import Preprocessing

# More would only wait for each other.
_MAX_THREADS = 16


class Preparation:
    """Turns items into float32 `(size, size, 3)`, 0..255, cropped for evaluation.

    Args:
        record: the model's preprocessing.
    """

    def __init__(self, record: Preprocessing) -> None:
        self._record = record
        # As one graph, so that Python's threads do not wait for each other between ops.
        function = tf.function(self._of_bytes, autograph=False)
        # Traced here: during calls, TensorFlow would warn about many classifiers.
        self._traced = function.get_concrete_function(tf.TensorSpec((), tf.string))

    def __call__(self, item: Item) -> np.ndarray:
        """The image.

        Raises:
            ValueError: it cannot be an image, or is damaged.
            OSError: its file cannot be read.
        """
        value = item.read()
        if isinstance(value, bytes):
            try:
                return self._traced(tf.constant(value)).numpy()
            except tf.errors.OpError:  # Pillow may read it, or report what is wrong.
                value = decoded(value, item.name)
        return cropping.evaluation_image(value, self._record).numpy()

    def _of_bytes(self, contents: tf.Tensor) -> tf.Tensor:
        return cropping.evaluation_image(images.to_rgb(contents), self._record)


def decoded(value: bytes | np.ndarray, name: str) -> np.ndarray:
    """Pixels `(height, width, 3)` of an encoded image, upright; pixels stay.

    Raises:
        ValueError: it is damaged, or not an image.
    """
    if isinstance(value, np.ndarray):
        return value
    try:
        return images.decode_any(value)
    except InputError as error:
        raise images.unreadable(name, error) from error


def prepared(
    items: Iterable[Item], prepare: Callable[[Item], np.ndarray], ahead: int
) -> Iterator[tuple[Item, np.ndarray | None, Exception | None]]:
    """Every item with its image, or with its error, in order.

    Args:
        items: requested in the caller's thread, `ahead` of use.
        prepare: runs in threads.
        ahead: number of images to make before they are requested.
    """
    num_threads = min(os.cpu_count() or 1, _MAX_THREADS)
    pool = concurrent.futures.ThreadPoolExecutor(num_threads, "prepare")
    waiting: collections.deque = collections.deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(prepare, item)))
            if len(waiting) > ahead:
                yield _settled(*waiting.popleft())
        while waiting:
            yield _settled(*waiting.popleft())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _settled(
    item: Item, future: concurrent.futures.Future
) -> tuple[Item, np.ndarray | None, Exception | None]:
    try:
        return item, future.result(), None
    except (UserError, OSError) as error:
        return item, None, error
