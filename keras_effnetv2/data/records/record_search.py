"""Records of large or remote files, from their index or by reading through them."""

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

# Of each read through a file, bytes.
_RUN = 1 << 24
_MB = 1_000_000


def file_sizes(paths: Sequence[str]) -> list[int]:
    """Bytes of each file.

    Raises:
        ValueError: a file is missing.
        OSError: the file system does not say, asked several times.
    """
    with concurrent.futures.ThreadPoolExecutor(NUM_STREAMS) as pool:
        return [*pool.map(lambda path: retried(lambda: _stat(path), path), paths)]


def _stat(path: str) -> int:
    try:
        return tf.io.gfile.stat(path).length
    except tf.errors.NotFoundError as error:
        raise InputError(
            f"{path} is missing, and the dataset says that it is there. Get it again."
        ) from error


def find_lengths(paths: Sequence[str], sizes: Sequence[int]) -> list[np.ndarray]:
    """Lengths of the records of each file, which are kept in an index from then on.

    Args:
        paths: of the files.
        sizes: of the files, bytes.

    Raises:
        ValueError: a file is compressed, cut off or no TFRecord, or there is an index
            of other files.
        OSError: a file cannot be read, tried several times.
    """
    found = read_index(paths, sizes)
    if found is not None:
        return found
    _lengths_reader()  # Traced here, not in every thread that is the first to read.
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
        ValueError: a file that is compressed, cut off or no TFRecord.
        OSError: it cannot be read, tried several times.
    """
    if "://" not in path:
        return retried(lambda: scan_headers(path), path)
    try:
        found = retried(lambda: _lengths_reader()(tf.constant(path)).numpy(), path)
    except OF_DATA:
        found = np.zeros(0, np.int64)
    if len(found) * RECORD_OVERHEAD + found.sum() == size:
        return found
    # Says what is wrong, or finds more where only the data of a record is damaged.
    return retried(lambda: scan_headers(path), path)


@functools.cache
def _lengths_reader() -> Callable[[Any], tf.Tensor]:
    @tf.function(autograph=False, input_signature=[tf.TensorSpec((), tf.string)])
    def lengths(path):
        records = records_from(path, tf.constant(0, tf.int64), _RUN)
        found = records.batch(8).map(lambda x: tf.cast(tf.strings.length(x), tf.int64))
        # A last row, so there is something to batch also where there is no record.
        last = tf.data.Dataset.from_tensors(tf.constant(-1, tf.int64))
        everything = found.unbatch().concatenate(last).batch(2**31)
        return everything.get_single_element()[:-1]

    return lengths.get_concrete_function()
