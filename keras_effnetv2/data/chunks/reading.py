"""Reads chunks in threads, before they are needed."""

import collections
import concurrent.futures
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TypeVar

from keras_effnetv2.data.chunks.lanes import num_lanes
from keras_effnetv2.data.chunks.stores import Chunk, ChunkOrder, Store

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

# Concurrent reads: a latency of 50 ms and 4 MB at 100 MB/s make 45 MB/s per stream, so
# these saturate a network of 10 Gbit/s.
NUM_STREAMS = 32


class ChunkReader:
    """Reads chunks of a store, several at the same time, as a context manager.

    Args:
        store: the store to read.
        num_readers: sequences of chunks that are read at the same time.
    """

    def __init__(self, store: Store, num_readers: int = 1) -> None:
        self._store = store
        self._ahead = chunks_ahead(num_readers)
        self._pool = concurrent.futures.ThreadPoolExecutor(NUM_STREAMS, "chunks")

    def __enter__(self) -> "ChunkReader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def read(self, chunks: Iterable[int]) -> Iterator[Chunk]:
        """Chunks by number, in order; the first of them are requested at once."""
        # Few at first: the first batch takes a share of each of some chunks, which come
        # later if they divide the network among all streams.
        at_first = max(1, self._ahead // 4)
        return in_threads(self._pool, self._store.read, chunks, self._ahead, at_first)


def in_threads(
    pool: concurrent.futures.Executor,
    function: Callable[[_Item], _Result],
    items: Iterable[_Item],
    ahead: int,
    at_first: int | None = None,
) -> Iterator[_Result]:
    """Results in order, some of which are started before they are asked for.

    Only these are given to the pool, so that a process that ends need not wait for all
    others.

    Args:
        pool: the pool of threads.
        function: what to compute for an item.
        items: the items.
        ahead: how many are started ahead.
        at_first: how many of them at once; each result starts another. None: all.
    """
    left = iter(items)
    begun: collections.deque[concurrent.futures.Future[_Result]] = collections.deque()

    def begin() -> None:
        for item in left:
            begun.append(pool.submit(function, item))
            return

    for _ in range(at_first or ahead):
        begin()

    def finished() -> Iterator[_Result]:
        while begun:
            result = begun.popleft().result()
            begin()
            if len(begun) < ahead:
                begin()
            yield result

    return finished()


def chunks_ahead(num_readers: int) -> int:
    """Number of chunks that each of `num_readers` readers requests ahead."""
    return max(1, NUM_STREAMS // num_readers)


def describe_order(order: ChunkOrder, batch_size: int, num_workers: int = 1) -> str:
    """A line about chunk order and the memory that it takes.

    Args:
        order: the order to describe.
        batch_size: images per batch, over all workers.
        num_workers: workers that share the lanes.
    """
    lanes = num_lanes(batch_size, order.store.num_chunks)
    own = -(-lanes // num_workers)
    held = own * (max(1, order.window // lanes) + 1 + chunks_ahead(own))
    size = order.store.chunk_bytes / 1e6
    return (
        f"order: {order.store.num_chunks:,} chunks of {size:.1f} MB, of which "
        f"{min(order.window, order.store.num_chunks):,} are shuffled together in "
        f"{lanes} lanes. A worker holds up to {held * size:,.0f} MB of them."
    )
