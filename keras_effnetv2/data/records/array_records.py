"""ArrayRecord files, as TensorFlow Datasets writes them on request.

They store where their records are: https://github.com/google/array_record. Their
library reads local files only.
"""

import concurrent.futures
import importlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_effnetv2.data.chunks.reading import NUM_STREAMS
from keras_effnetv2.data.chunks.stores import Chunk, ChunkOrder
from keras_effnetv2.data.decoding.retrying import retried
from keras_effnetv2.data.records.record_opening import MB, Reading, are_remote
from keras_effnetv2.data.records.record_search import file_sizes
from keras_effnetv2.data.source import Source
from keras_effnetv2.errors import InputError, require_modules

_LIBRARY = "array_record.python.array_record_module"
# For random access: no read-ahead.
_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"
# The library's errors for damaged or missing files.
_ERRORS = (RuntimeError, ValueError, IndexError)


def open_array_records(
    paths: Sequence[str],
    parse: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    reading: Reading,
    *,
    parts: Sequence[slice],
    **fields: Any,
) -> Source:
    """Opens ArrayRecord files as a source.

    Args:
        paths: paths of the files.
        parse: turns a record into an image and its label.
        reading: how to read.
        parts: the records of each file to use.
        **fields: other fields of `Source`.

    Raises:
        ValueError: files in a bucket, missing or damaged ones, or another number of
            records than the dataset states.
        ImportError: array_record is not installed.
    """
    require_modules("ArrayRecord files need", "array_record", "array_record")
    if are_remote(paths):
        raise InputError(
            "ArrayRecord files are read only from the local file system. Received: "
            f"{paths[0]}. Mount the bucket, or prepare the dataset as tfrecord."
        )
    sizes = file_sizes(paths)
    store = ArrayRecordStore(paths, sizes, parts, round(reading.chunk_mb * MB))
    num = len(store.addresses())
    if num != reading.num_records:
        raise InputError(
            f"The files next to {paths[0]} hold {num:,} records, but the dataset says "
            f"{reading.num_records:,}: one of them is cut off. Prepare it again."
        )
    order = ChunkOrder(store, reading.window_chunks, parse)
    return Source(
        num_examples=num,
        read=lambda index: parse(store.record(index)),
        name_of=store.name_of,
        chunks=order if reading.in_chunks(paths, sizes) else None,
        **fields,
    )


class ArrayRecordStore:
    """Chunks of ArrayRecord files; see `Store`.

    An address is the number of a record among all that are used.

    Args:
        paths: paths of the files.
        sizes: sizes of the files, bytes.
        parts: the records of each file to use.
        chunk_bytes: approximate size of a chunk.
    """

    def __init__(
        self,
        paths: Sequence[str],
        sizes: Sequence[int],
        parts: Sequence[slice],
        chunk_bytes: int,
    ) -> None:
        self._paths = [*paths]
        self._readers: dict[str, tuple[Any, threading.Lock]] = {}
        self._lock = threading.Lock()
        with concurrent.futures.ThreadPoolExecutor(NUM_STREAMS) as pool:
            counts = [*pool.map(self._count, paths)]
        spans = [
            part.indices(count)[:2] for part, count in zip(parts, counts, strict=True)
        ]
        chunks: list[tuple[int, int, int]] = []
        bytes_of_chunks = [0.0]
        for file, (size, count, (first, end)) in enumerate(
            zip(sizes, counts, spans, strict=True)
        ):
            if first < end:
                used = size / count * (end - first)
                num = min(end - first, max(1, round(used / chunk_bytes)))
                edges = first + (end - first) * np.arange(num + 1) // num
                chunks += [(file, *x) for x in zip(edges[:-1], edges[1:], strict=True)]
                bytes_of_chunks.append(used / num)
        self._chunks = np.array(chunks, np.int64).reshape(-1, 3)
        self._chunk_bytes = round(max(bytes_of_chunks))
        ends = np.cumsum(self._chunks[:, 2] - self._chunks[:, 1])
        self._starts = np.append(0, ends)

    @property
    def num_chunks(self) -> int:
        """Number of chunks, none of which is empty."""
        return len(self._chunks)

    @property
    def chunk_bytes(self) -> int:
        """Approximate size of the largest chunk, bytes."""
        return self._chunk_bytes

    def addresses(self) -> np.ndarray:
        """Addresses of all records."""
        return np.arange(self._starts[-1])

    def starts(self) -> np.ndarray:
        """Indices in `addresses` where chunks start."""
        return self._starts

    def read(self, chunk: int) -> Chunk:
        """Reads a chunk."""
        file, first, end = self._chunks[chunk].tolist()
        start = int(self._starts[chunk])
        numbers = [*range(first, end)]
        try:
            contents = self._read(file, numbers)
        except tf.errors.DataLossError:
            contents = [b""] * len(numbers)  # Each is read again on its own.
        return Chunk(np.arange(start, start + len(numbers)), contents)

    def record(self, address: tf.Tensor) -> tf.Tensor:
        """A single record, read by an op that calls Python."""
        found = tf.numpy_function(
            lambda x: self._read(*self._place(int(x)))[0], [address], tf.string
        )
        return tf.ensure_shape(found, ())

    def name_of(self, address: int) -> str:
        """The file of a record, and its number there."""
        file, (number,) = self._place(address)
        return f"{self._paths[file]} record {number}"

    def _place(self, address: int) -> tuple[int, list[int]]:
        """The file of a record, and its number there."""
        chunk = int(np.searchsorted(self._starts, address, side="right")) - 1
        file, first, _ = self._chunks[chunk].tolist()
        return file, [first + address - int(self._starts[chunk])]

    def _read(self, file: int, numbers: list[int]) -> list[bytes]:
        """Reads records of a file.

        Raises:
            tf.errors.DataLossError: one of them is damaged.
        """
        path = self._paths[file]
        reader, lock = self._reader(path)
        try:
            with lock:
                return retried(lambda: reader.read(numbers), path)
        except _ERRORS as error:
            raise tf.errors.DataLossError(None, None, str(error)) from error

    def _count(self, path: str) -> int:
        return self._reader(path)[0].num_records()

    def _reader(self, path: str) -> tuple[Any, threading.Lock]:
        """The reader of a file, opened once, and its lock."""
        library: Any = importlib.import_module(_LIBRARY)
        with self._lock:
            if path not in self._readers:
                try:
                    reader = library.ArrayRecordReader(path, _OPTIONS)
                    reader.num_records()
                except _ERRORS as error:
                    reason = " ".join(str(error).split())[:200]
                    raise InputError(
                        f"{path} is cut off, or not an ArrayRecord file ({reason}). "
                        "Get the file again."
                    ) from error
                self._readers[path] = reader, threading.Lock()
            return self._readers[path]
