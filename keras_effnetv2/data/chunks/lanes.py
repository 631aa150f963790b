"""Which records a step takes in chunk order: a function of seed, epoch and step.

The chunks of all files are shuffled by seed and epoch and dealt out to lanes; each lane
fills the same few rows of every batch. In a lane, chunk number `c` is spread over the
positions from `c` to `c + window`: each of its records gets a position there, which is
a function of seed, epoch and address, and the lane takes records in order of position.
So a lane holds at most `window` chunks, reads one as it uses one up, and any step can
be found from the addresses alone. FFCV's quasi-random order (Leclerc et al. 2023,
Section 3.2) and MosaicML Streaming's `py1e` shuffle in a similar way.

The number of lanes depends on the batch and the data, never on the workers: a worker
reads the lanes of its rows. Lanes never hold exactly as many records as an epoch takes
from them, so a few chunks are set aside in a reserve lane, which fills up the others at
the end of the epoch.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np

from keras_effnetv2.data.chunks.stores import Chunk, Store

# If there are more hosts than this, they share lanes, and read more than they need.
_MOST_LANES = 32
# Minimum per lane, so that little of the last chunks is read by several lanes.
_CHUNKS_PER_LANE = 64
# Minimum of a batch, so that MixUp has other images to mix with.
_ROWS_PER_LANE = 8
# Chunks set aside. If records of chunks vary by 8%, those of lanes vary by two and a
# half times that, over the square root of their number of chunks.
_KEPT_APART = 0.2
_WINDOW_AT_THE_END = 2

_Read = Callable[[Iterable[int]], Iterator[Chunk]]
Record = tuple[int, bytes]


def num_lanes(batch_size: int, num_chunks: int) -> int:
    """Number of lanes that fill a batch: a power of 2 that divides it."""
    most = min(
        _MOST_LANES, batch_size // _ROWS_PER_LANE, num_chunks // _CHUNKS_PER_LANE
    )
    lanes = 1
    while 2 * lanes <= most and batch_size % (2 * lanes) == 0:
        lanes *= 2
    return lanes


@dataclasses.dataclass(frozen=True)
class EpochLanes:
    """The lanes of an epoch.

    Attributes:
        store: the store of the records.
        window: chunks that are mixed at any time, over all lanes.
        num_lanes: lanes that fill a batch.
        quota: records that the epoch takes from each, including those that fill it up.
        seed: seed of all epochs.
        epoch: number of the epoch.
    """

    store: Store
    window: int
    num_lanes: int
    quota: int
    seed: int
    epoch: int

    def records(self, lane: int, start: int, read: _Read) -> Iterator[Record]:
        """The records of a lane in this epoch, from any of them on.

        Args:
            lane: number of the lane, from 0.
            start: how many to skip.
            read: reads chunks by number, in order; starts at once if it can.
        """
        # Not a generator, so that all lanes start reading at the same time.
        own = islice(self._own(lane, start, read), max(0, self.quota - start))
        return self._filled_up(own, lane, start, read)

    def _filled_up(
        self, own: Iterator[Record], lane: int, start: int, read: _Read
    ) -> Iterator[Record]:
        done = start
        for record in own:
            yield record
            done += 1
        if done == self.quota:
            return
        done = max(0, start - int(self._sizes[lane]))
        for other, first, num in self._borrowed(lane):
            skipped = min(done, num)
            done -= skipped
            yield from islice(self._own(other, first + skipped, read), num - skipped)

    def _own(self, lane: int, start: int, read: _Read) -> Iterator[Record]:
        """All records of the chunks of a lane, from one of them on."""
        chunks = self._chunks[lane]
        place, skipped = (0, 0) if start == 0 else self._find(lane, start)
        first = max(0, place - self._window(lane) + 1)
        read_ahead = read(chunks[first:].tolist())
        spread = self._spread_records(lane, read_ahead, first, place)
        return islice(spread, skipped, None)

    def _spread_records(
        self, lane: int, chunks: Iterator[Chunk], first: int, start: int
    ) -> Iterator[Record]:
        """Records in order of position from `start` on, read from chunk `first` on."""
        num = len(self._chunks[lane])
        waiting: dict[int, list[tuple[float, Record]]] = {}
        for number, chunk in enumerate(chunks, first):
            places = self._places(lane, number, chunk.addresses)
            wholes = np.minimum(places.astype(np.int64), num - 1)
            records = zip(chunk.addresses.tolist(), chunk.contents, strict=True)
            for whole, place, record in zip(
                wholes.tolist(), places.tolist(), records, strict=True
            ):
                if whole >= start:
                    waiting.setdefault(whole, []).append((place, record))
            for _, record in sorted(waiting.pop(number, ())):
                yield record

    def _places(self, lane: int, number: int, addresses: np.ndarray) -> np.ndarray:
        """Positions of the records of chunk `number` of a lane, float64 `(num,)`."""
        return number + self._window(lane) * _draws(
            (self.seed, self.epoch, 1), addresses
        )

    def _find(self, lane: int, start: int) -> tuple[int, int]:
        """The integer position of a record of a lane, and how many come before it."""
        starts, addresses = self.store.starts(), self.store.addresses()
        chunks = self._chunks[lane]
        counts = np.zeros(len(chunks), np.int64)
        for number, chunk in enumerate(chunks):
            places = self._places(
                lane, number, addresses[starts[chunk] : starts[chunk + 1]]
            )
            wholes = np.minimum(places.astype(np.int64), len(chunks) - 1)
            np.add.at(counts, wholes, 1)
        ends = np.cumsum(counts)
        place = int(np.searchsorted(ends, start, side="right"))
        return place, start - (int(ends[place - 1]) if place else 0)

    def _window(self, lane: int) -> int:
        if lane == self.num_lanes:
            return _WINDOW_AT_THE_END
        return max(1, self.window // self.num_lanes)

    @functools.cached_property
    def _chunks(self) -> list[np.ndarray]:
        """Chunks of each lane, and of the reserve lane."""
        num = self.store.num_chunks
        everything = np.argsort(_draws((self.seed, self.epoch, 0), np.arange(num)))
        kept_apart = 0
        if self.num_lanes > 1:
            kept_apart = math.ceil(_KEPT_APART * math.sqrt(num * self.num_lanes))
        each = (num - kept_apart) // self.num_lanes
        return np.split(everything, each * np.arange(1, self.num_lanes + 1))

    @functools.cached_property
    def _sizes(self) -> np.ndarray:
        """Numbers of records of each lane, and of the reserve lane."""
        counts = np.diff(self.store.starts())
        return np.array([counts[chunks].sum() for chunks in self._chunks])

    def _borrowed(self, lane: int) -> Iterator[tuple[int, int, int]]:
        """What fills up a lane: from which lane, from which record on, and how many."""
        lacking = np.maximum(0, self.quota - self._sizes[:-1])
        skipped, left = int(lacking[:lane].sum()), int(lacking[lane])
        spare = [(self.num_lanes, 0, int(self._sizes[-1]))]
        spare += [
            (other, self.quota, max(0, int(size) - self.quota))
            for other, size in enumerate(self._sizes[:-1])
        ]
        for other, first, num in spare:
            taken = min(left, max(0, num - skipped))
            if taken:
                yield other, first + skipped, taken
            skipped = max(0, skipped - num)
            left -= taken


def _draws(key: tuple[int, ...], numbers: np.ndarray) -> np.ndarray:
    """A number from 0 to 1 for each of `numbers`, the same on every machine: float64.

    Uses SplitMix64 (Steele, Lea and Flood 2014), so that no library version can change
    the numbers.
    """
    state = np.zeros(1, np.uint64)
    for part in key:
        state = _scrambled(state ^ np.uint64(part % 2**64))
    bits = _scrambled(state ^ _scrambled(numbers.astype(np.uint64)))
    return (bits >> np.uint64(11)) * 2.0**-53


def _scrambled(x: np.ndarray) -> np.ndarray:
    """The SplitMix64 number after each, uint64."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
