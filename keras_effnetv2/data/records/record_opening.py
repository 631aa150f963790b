"""Opens TFRecord files as sources, in the order that suits their storage."""

import concurrent.futures
import dataclasses
import functools
import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from keras_effnetv2.data.chunks.stores import ChunkOrder
from keras_effnetv2.data.parallelism import in_background
from keras_effnetv2.data.records.record_files import (
    RECORD_OVERHEAD,
    Records,
    find_records,
)
from keras_effnetv2.data.records.record_index import has_index
from keras_effnetv2.data.records.record_search import (
    file_sizes,
    find_lengths,
    lengths_of,
)
from keras_effnetv2.data.records.record_store import RecordStore
from keras_effnetv2.data.source import Source
from keras_effnetv2.errors import InputError

# Size of local files, bytes; more do not fit into the memory of most machines.
_LARGE = 64 << 30
# The unit of `chunk_mb`.
MB = 1 << 20
# Makes TensorFlow read only what is asked for from gs://.
READ_AHEAD = "GCS_READAHEAD_BUFFER_SIZE_BYTES"


@dataclasses.dataclass(frozen=True)
class Reading:
    """How the records of a dataset are read.

    Attributes:
        order: `"full"`: any record at any time; `"chunks"`: neighbours together, which
            is faster on slow storage; `"auto"`: chunks if files are remote or large.
        chunk_mb: size of a chunk, MiB.
        window_chunks: chunks that are mixed at any time.
        num_records: number of records, if known; with it, chunks are read before all
            records are found.
    """

    order: str = "auto"
    chunk_mb: float = 4.0
    window_chunks: int = 128
    num_records: int | None = None

    def __post_init__(self) -> None:
        if self.order not in ("auto", "full", "chunks"):
            raise InputError(
                "order must be 'auto', 'full' or 'chunks'. Received: "
                f"order={self.order!r}."
            )
        if self.chunk_mb * MB < 1 or self.window_chunks < 1:
            raise InputError(
                "chunk_mb and window_chunks must be above 0. Received: "
                f"chunk_mb={self.chunk_mb}, window_chunks={self.window_chunks}."
            )

    def in_chunks(self, paths: Sequence[str], sizes: Sequence[int]) -> bool:
        """Whether files are read in chunks."""
        if self.order == "auto":
            return are_remote(paths) or sum(sizes) > _LARGE
        return self.order == "chunks"


def are_remote(paths: Sequence[str]) -> bool:
    """Whether files are in a bucket, or another remote file system."""
    return "://" in paths[0]


def open_records(
    paths: Sequence[str],
    parse: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    reading: Reading,
    *,
    parts: Sequence[slice] | None = None,
    **fields: Any,
) -> Source:
    """Opens TFRecord files as a source.

    Args:
        paths: paths of uncompressed files.
        parse: turns a record into an image and its label.
        reading: how to read.
        parts: the records of each file to use. None: all.
        **fields: other fields of `Source`.

    Raises:
        ValueError: no records, a file that is compressed, cut off or not a TFRecord
            file, or an index of other files.
        OSError: a file cannot be read, after several tries.
    """
    sizes = file_sizes(paths)
    parts = parts or [slice(None)] * len(paths)
    if reading.in_chunks(paths, sizes):
        return _in_chunks(paths, sizes, parse, reading, parts, fields)
    if are_remote(paths):
        records = Records.of(paths, find_lengths(paths, sizes), parts)
    else:
        records = find_records(paths, parts)
    read_record = records.reader()
    return Source(
        num_examples=len(records),
        read=lambda index: parse(read_record(index)),
        name_of=records.name_of,
        **fields,
    )


def _in_chunks(
    paths: Sequence[str],
    sizes: Sequence[int],
    parse: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]],
    reading: Reading,
    parts: Sequence[slice],
    fields: dict[str, Any],
) -> Source:
    if paths[0].startswith("gs://") and READ_AHEAD not in os.environ:
        logging.warning(
            "TensorFlow reads up to 64 MB more from gs:// than it is asked for, each "
            "time. Set %s=0 before it is imported.",
            READ_AHEAD,
        )
    num, records = _find(paths, sizes, parts, reading.num_records)
    if num is None:
        num = len(records.result())
        ranges = _ranges(records.result())
    else:
        ranges = [*map(_range, paths, sizes, parts)]
    chunk_bytes = round(reading.chunk_mb * MB)
    store = RecordStore(paths, sizes, ranges, chunk_bytes, records)

    @functools.cache
    def reader():
        with tf.init_scope():
            return records.result().reader()

    return Source(
        num_examples=num,
        read=lambda index: parse(reader()(index)),
        name_of=lambda index: records.result().name_of(index),
        chunks=ChunkOrder(store, reading.window_chunks, parse),
        **fields,
    )


def _find(
    paths: Sequence[str],
    sizes: Sequence[int],
    parts: Sequence[slice],
    num_records: int | None,
) -> "tuple[int | None, concurrent.futures.Future[Records]]":
    """The number of records if known, and the records, perhaps found in the background.

    An existing index takes precedence for the number.
    """

    def find():
        return Records.of(paths, find_lengths(paths, sizes), parts)

    def find_as_stated():
        records = find()
        if len(records) != num_records:
            raise InputError(
                f"The files next to {paths[0]} hold {len(records):,} images. Received: "
                f"data.num_train_images={num_records:,}. Set it to what they hold, or "
                "to none."
            )
        return records

    if num_records is not None and not has_index(paths):
        return num_records, in_background(find_as_stated)
    future: concurrent.futures.Future[Records] = concurrent.futures.Future()
    future.set_result(find())
    return None, future


def _ranges(records: Records) -> list[tuple[int, int]]:
    """The range of bytes of the records in each file: begin and end."""
    edges = np.searchsorted(records.files, np.arange(len(records.paths) + 1))
    ends = records.offsets + records.lengths + RECORD_OVERHEAD
    return [
        (int(records.offsets[first]), int(ends[end - 1])) if first < end else (0, 0)
        for first, end in itertools.pairwise(edges)
    ]


def _range(path: str, size: int, part: slice) -> tuple[int, int]:
    """The same for a file whose records are not found yet."""
    if part.indices(2**62) == (0, 2**62, 1):
        return 0, size
    return _ranges(Records.of([path], [lengths_of(path, size)], [part]))[0]
