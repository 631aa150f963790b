"""TFRecord files in chunks: ranges of bytes, each with the records that start in it.

Chunks depend only on the sizes of the files, so their order is known before the records
are found. Once they are, a chunk is read in one piece; before that, its first record is
searched for.
"""

import concurrent.futures
import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_effnetv2.data.chunks.stores import Chunk
from keras_effnetv2.data.decoding.retrying import OF_DATA, retried
from keras_effnetv2.data.records.record_files import (
    RECORD_OVERHEAD,
    Records,
    records_from,
)
from keras_effnetv2.data.records.record_starts import first_start
from keras_effnetv2.errors import InputError

# Size of a read if that of the record is unknown, bytes.
_PIECE = 1 << 20


class RecordStore:
    """Chunks of TFRecord files; see `Store`.

    An address is a byte offset in all files concatenated.

    Args:
        paths: paths of the files.
        sizes: sizes of the files, bytes.
        ranges: bytes of each file that are used, from the start of a record to the end
            of one.
        chunk_bytes: approximate size of a chunk.
        records: future of the records in the ranges.
    """

    def __init__(
        self,
        paths: Sequence[str],
        sizes: Sequence[int],
        ranges: Sequence[tuple[int, int]],
        chunk_bytes: int,
        records: "concurrent.futures.Future[Records]",
    ) -> None:
        self._paths, self._sizes = [*paths], [*sizes]
        self._bases = np.cumsum([0, *sizes], dtype=np.int64)
        self._records = records
        self._ranges = _chunk_ranges(ranges, chunk_bytes)
        self._seen: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()
        # Traced here, not in each of the threads that read first.
        _reader()
        _reader_until()

    @property
    def num_chunks(self) -> int:
        """Number of chunks, some of which may be empty."""
        return len(self._ranges)

    @property
    def chunk_bytes(self) -> int:
        """Approximate size of the largest chunk, bytes."""
        return int((self._ranges[:, 2] - self._ranges[:, 1]).max())

    def addresses(self) -> np.ndarray:
        """Addresses of all records."""
        return self._located[0]

    def starts(self) -> np.ndarray:
        """Indices in `addresses` where chunks start."""
        return self._located[1]

    @functools.cached_property
    def _located(self) -> tuple[np.ndarray, np.ndarray]:
        """Waits until all records are found."""
        records = self._records.result()
        addresses = self._bases[records.files] + records.offsets
        begins = self._bases[self._ranges[:, 0]] + self._ranges[:, 1]
        starts = np.searchsorted(addresses, begins)
        starts = np.append(starts, len(addresses))
        for chunk, seen in self._seen.items():
            if not np.array_equal(seen, addresses[starts[chunk] : starts[chunk + 1]]):
                file, begin, _ = self._ranges[chunk]
                raise InputError(
                    f"{self._paths[file]} has records that contain what looks like "
                    f"TFRecords, after byte {begin:,}. Run the command again: now it "
                    "finds all of them."
                )
        return addresses, starts

    def read(self, chunk: int) -> Chunk:
        """Reads a chunk."""
        if not self._records.done():
            found = self._read_unknown(chunk)
            with self._lock:
                self._seen[chunk] = found.addresses
            return found
        addresses, starts = self._located
        first, end = int(starts[chunk]), int(starts[chunk + 1])
        if first == end:
            return Chunk(addresses[:0], [])
        file, own = self._ranges[chunk, 0], addresses[first:end]
        lengths = self._records.result().lengths[first:end]
        contents = _read_records(
            self._paths[file],
            int(own[0] - self._bases[file]),
            int(own[-1] - own[0] + lengths[-1] + RECORD_OVERHEAD),
            end - first,
        )
        return Chunk(own, contents)

    def _read_unknown(self, chunk: int) -> Chunk:
        """Reads a chunk whose records are not found yet."""
        file, begin, end = self._ranges[chunk].tolist()
        path, base = self._paths[file], int(self._bases[file])
        is_first = chunk == 0 or self._ranges[chunk - 1, 0] != file
        if not is_first:
            begin = retried(
                lambda: first_start(path, begin, end, self._sizes[file]), path
            )
        if begin == end:
            return Chunk(np.zeros(0, np.int64), [])
        try:
            lengths, contents = retried(
                lambda: _reader_until()(
                    tf.constant(path),
                    tf.constant(begin, tf.int64),
                    tf.constant(end, tf.int64),
                ),
                path,
            )
        except OF_DATA:
            # A record is damaged; all positions must be found first.
            self._records.result()
            return self.read(chunk)
        offsets = begin + np.cumsum(lengths.numpy() + RECORD_OVERHEAD)
        offsets -= lengths.numpy() + RECORD_OVERHEAD
        return Chunk(base + offsets, [*contents.numpy()])

    def record(self, address: tf.Tensor) -> tf.Tensor:
        """A single record, in TensorFlow ops."""
        file = tf.searchsorted(self._bases, [address], side="right")[0] - 1
        offset = address - tf.gather(self._bases, file)
        records = records_from(
            tf.gather(self._paths, file), offset, tf.constant(_PIECE, tf.int64)
        )
        return records.take(1).get_single_element()

    def name_of(self, address: int) -> str:
        """The file of a record, and where it starts there."""
        file = int(np.searchsorted(self._bases, address, side="right")) - 1
        return f"{self._paths[file]} record at byte {address - self._bases[file]:,}"


def _chunk_ranges(ranges: Sequence[tuple[int, int]], chunk_bytes: int) -> np.ndarray:
    """File, first byte and end of each chunk, int64 `(num, 3)`."""
    found = []
    for file, (begin, end) in enumerate(ranges):
        num = max(1, round((end - begin) / chunk_bytes))
        edges = begin + (end - begin) * np.arange(num + 1, dtype=np.int64) // num
        if begin < end:
            found += [(file, *edge) for edge in zip(edges[:-1], edges[1:], strict=True)]
    return np.array(found, np.int64).reshape(-1, 3)


def _read_records(path: str, offset: int, size: int, num: int) -> list[bytes]:
    """Neighbouring records in one read; those from a damaged one on are empty."""
    place = (
        tf.constant(path),
        *(tf.constant(x, tf.int64) for x in (offset, size, num)),
    )
    try:
        found = retried(lambda: _reader()(*place, tf.constant(False)), path)
    except OF_DATA:
        found = retried(lambda: _reader()(*place, tf.constant(True)), path)
    contents = [*found.numpy()]
    return contents + [b""] * (num - len(contents))


@functools.cache
def _reader() -> Callable[..., Any]:
    number = tf.TensorSpec((), tf.int64)
    path = tf.TensorSpec((), tf.string)

    @tf.function(
        autograph=False,
        input_signature=[path, number, number, number, tf.TensorSpec((), tf.bool)],
    )
    def read(path, offset, size, num, ignores_errors):
        def gathered(records):
            # A last row, so that there is something to batch even if all are damaged.
            last = tf.data.Dataset.from_tensors(b"")
            return records.concatenate(last).batch(num + 1).get_single_element()[:-1]

        records = records_from(path, offset, size).take(num)
        return tf.cond(
            ignores_errors,
            lambda: gathered(records.ignore_errors()),
            lambda: gathered(records),
        )

    return read.get_concrete_function()


@functools.cache
def _reader_until() -> Callable[..., Any]:
    number = tf.TensorSpec((), tf.int64)

    @tf.function(
        autograph=False, input_signature=[tf.TensorSpec((), tf.string), number, number]
    )
    def read(path, offset, end):
        def advance(offset, record):
            length = tf.cast(tf.strings.length(record), tf.int64)
            return offset + length + RECORD_OVERHEAD, (offset, length, record)

        records = records_from(path, offset, tf.constant(_PIECE, tf.int64))
        records = records.scan(offset, advance)
        records = records.take_while(lambda offset, *_: offset < end)
        records = records.map(lambda _, length, record: (length, record))
        return records.batch(2**31).get_single_element()

    return read.get_concrete_function()
