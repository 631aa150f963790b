"""How well an order mixes chunks."""

import numpy as np

from keras_effnetv2.data.chunks.lanes import EpochLanes, num_lanes
from keras_effnetv2.data.chunks.stores import Chunk, ChunkOrder, Store


def chunk_share(chunks: np.ndarray) -> float:
    """The expected share of a batch that comes from the chunk of one of its images.

    The less, the better mixed: one in `num` if every image is from another chunk, and
    at best, for large batches, one over the number of chunks.

    Args:
        chunks: chunk of each image, integers `(steps, batch_size)`.
    """
    shares = [np.unique(row, return_counts=True)[1] / len(row) for row in chunks]
    return float(np.mean([np.sum(share**2) for share in shares]))


def order_of_chunks(
    order: ChunkOrder, batch_size: int, seed: int, epoch: int
) -> np.ndarray:
    """Chunks of the images that each step of an epoch takes, without reading them.

    Returns:
        int64 `(steps, batch_size)`.
    """
    addresses = order_of_addresses(order, batch_size, seed, epoch)
    places = np.searchsorted(order.store.addresses(), addresses)
    return np.searchsorted(order.store.starts(), places, side="right") - 1


def order_of_addresses(
    order: ChunkOrder, batch_size: int, seed: int, epoch: int
) -> np.ndarray:
    """Addresses of the records that each step of an epoch takes, without reading them.

    Returns:
        int64 `(steps, batch_size)`.
    """
    store = order.store
    lanes = num_lanes(batch_size, store.num_chunks)
    steps, rows = len(store.addresses()) // batch_size, batch_size // lanes
    epoch_lanes = EpochLanes(store, order.window, lanes, steps * rows, seed, epoch)
    columns = [
        np.array(
            [address for address, _ in epoch_lanes.records(lane, 0, _unread(store))]
        ).reshape(steps, rows)
        for lane in range(lanes)
    ]
    return np.concatenate(columns, axis=1)


def _unread(store: Store):
    """A store that returns chunks of empty records."""
    addresses, starts = store.addresses(), store.starts()

    def read(chunks):
        for chunk in chunks:
            own = addresses[starts[chunk] : starts[chunk + 1]]
            yield Chunk(own, [b""] * len(own))

    return read
