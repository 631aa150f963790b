"""Records in chunks: neighbours in a file, fetched in one read."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf


class Chunk(NamedTuple):
    """The result of one read.

    Attributes:
        addresses: addresses of its records, int64 `(num,)`, increasing.
        contents: contents of each record; empty if it is damaged.
    """

    addresses: np.ndarray
    contents: list[bytes]


class Store(Protocol):
    """Records with addresses that increase from chunk to chunk.

    The number of chunks is known at once. The number of records may require reading all
    files; methods that need it wait for that, and raise its errors.
    """

    @property
    def num_chunks(self) -> int:
        """Number of chunks, some of which may be empty."""
        ...

    @property
    def chunk_bytes(self) -> int:
        """Approximate size of the largest chunk, bytes."""
        ...

    def addresses(self) -> np.ndarray:
        """Addresses of all records, int64 `(num_records,)`, increasing."""
        ...

    def starts(self) -> np.ndarray:
        """Indices in `addresses` where chunks start, int64 `(num_chunks + 1,)`."""
        ...

    def read(self, chunk: int) -> Chunk:
        """Reads a chunk.

        Raises:
            ValueError: the files are not what they were expected to be.
            OSError: a file cannot be read, after several tries.
        """
        ...

    def record(self, address: tf.Tensor) -> tf.Tensor:
        """A single record, in TensorFlow ops."""
        ...

    def name_of(self, address: int) -> str:
        """The name of a record in messages."""
        ...


@dataclasses.dataclass(frozen=True)
class ChunkOrder:
    """Chunk order: how records are read chunk by chunk and mixed in training.

    Attributes:
        store: the store of the records.
        window: chunks that are mixed at any time, over all workers.
        parse: turns a record into an image and its label, in TensorFlow ops.
    """

    store: Store
    window: int
    parse: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
