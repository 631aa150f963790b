"""Records in chunks: neighbours in a file, which one read gets."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import tensorflow as tf


class Chunk(NamedTuple):
    """What one read gives.

    Attributes:
        addresses: of its records, int64 `(num,)`, increasing.
        contents: of each record; empty where it is damaged.
    """

    addresses: np.ndarray
    contents: list[bytes]


class Store(Protocol):
    """Records with addresses that increase from chunk to chunk.

    How many chunks there are is known at once. How many records they hold may take
    reading them all; what asks for it waits for that, and raises its errors.
    """

    @property
    def num_chunks(self) -> int:
        """Chunks, some of which may be empty."""
        ...

    @property
    def chunk_bytes(self) -> int:
        """Bytes of the largest chunk, about."""
        ...

    def addresses(self) -> np.ndarray:
        """Of all records, int64 `(num_records,)`, increasing."""
        ...

    def starts(self) -> np.ndarray:
        """Places in `addresses` where chunks start, int64 `(num_chunks + 1,)`."""
        ...

    def read(self, chunk: int) -> Chunk:
        """Reads a chunk.

        Raises:
            ValueError: the files are not what they were taken for.
            OSError: a file cannot be read, tried several times.
        """
        ...

    def record(self, address: tf.Tensor) -> tf.Tensor:
        """A single record, in TensorFlow ops."""
        ...

    def name_of(self, address: int) -> str:
        """What messages call a record."""
        ...


@dataclasses.dataclass(frozen=True)
class ChunkOrder:
    """That records are read chunk by chunk, and how a training mixes them.

    Attributes:
        store: of the records.
        window: chunks that are mixed at any time, over all workers.
        parse: from a record to an image and its label, in TensorFlow ops.
    """

    store: Store
    window: int
    parse: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
