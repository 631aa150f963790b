"""Finds records of large or remote files, from an index or by reading through them."""

import concurrent.futures
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_effnetv2.data.chunks.reading import NUM_STREAMS, in_threads
from keras_effnetv2.data.decoding.retrying import OF_DATA, retried
from keras_effnetv2.data.records.record_files import (
    RECORD_OVERHEAD,
    records_from,
    scan_headers,
)
from keras_effnetv2.data.records.record_index import read_index, write_index
from keras_effnetv2.errors import InputError
from keras_effnetv2.progress import Progress

# Size of each read through a file, bytes.
_RUN = 1 << 24
_MB = 1_000_000


def file_sizes(paths: Sequence[str]) -> list[int]:
    """Size of each file, bytes.

    Raises:
        ValueError: a file is missing.
        OSError: the file system does not tell, after several tries.
    """
    with concurrent.futures.ThreadPoolExecutor(NUM_STREAMS) as pool:
        return [*pool.map(lambda path: retried(lambda: _stat(path), path), paths)]


def _stat(path: str) -> int:
    try:
        return tf.io.gfile.stat(path).length
    except tf.errors.NotFoundError as error:
        raise InputError(
            f"{path} is missing, although it belongs to the dataset. Get it again."
        ) from error


def find_lengths(paths: Sequence[str], sizes: Sequence[int]) -> list[np.ndarray]:
    """Lengths of the records of each file, which are then kept in an index.

    Args:
        paths: paths of the files.
        sizes: sizes of the files, bytes.

    Raises:
        ValueError: a file is compressed, cut off or not a TFRecord file, or there is an
            index of other files.
        OSError: a file cannot be read, after several tries.
    """
    found = read_index(paths, sizes)
    if found is not None:
        return found
    _lengths_reader()  # Traced here, not in each of the threads that read first.
    progress = Progress(
        f"index of {len(paths)} files", sum(sizes), form=lambda x: f"{x // _MB:,} MB"
    )

    def read(item):
        found = lengths_of(*item)
        progress.advance(item[1])
        return found

    with concurrent.futures.ThreadPoolExecutor(NUM_STREAMS, "index") as pool:
        items = zip(paths, sizes, strict=True)
        lengths = [*in_threads(pool, read, items, NUM_STREAMS)]
    progress.finish()
    write_index(paths, sizes, lengths)
    return lengths


def lengths_of(path: str, size: int) -> np.ndarray:
    """Lengths of the records of a file of `size` bytes, int64, read in large runs.

    Raises:
        ValueError: a file that is compressed, cut off or not a TFRecord file.
        OSError: the file cannot be read, after several tries.
    """
    if "://" not in path:
        return retried(lambda: scan_headers(path), path)
    try:
        found = retried(lambda: _lengths_reader()(tf.constant(path)).numpy(), path)
    except OF_DATA:
        found = np.zeros(0, np.int64)
    if len(found) * RECORD_OVERHEAD + found.sum() == size:
        return found
    # Reports what is wrong, or finds more records if only the data of one is damaged.
    return retried(lambda: scan_headers(path), path)


@functools.cache
def _lengths_reader() -> Callable[[Any], tf.Tensor]:
    @tf.function(autograph=False, input_signature=[tf.TensorSpec((), tf.string)])
    def lengths(path):
        records = records_from(path, tf.constant(0, tf.int64), _RUN)
        found = records.batch(8).map(lambda x: tf.cast(tf.strings.length(x), tf.int64))
        # A last row, so that there is something to batch even without records.
        last = tf.data.Dataset.from_tensors(tf.constant(-1, tf.int64))
        everything = found.unbatch().concatenate(last).batch(2**31)
        return everything.get_single_element()[:-1]

    return lengths.get_concrete_function()
