"""Chunk order: every record once, and a function of seed, epoch and step alone."""

import itertools

import numpy as np
import pytest

from keras_effnetv2.data.chunks import lanes
from keras_effnetv2.data.chunks.lanes import EpochLanes, num_lanes
from keras_effnetv2.data.chunks.reading import describe_order
from keras_effnetv2.data.chunks.spread import (
    chunk_share,
    order_of_addresses,
    order_of_chunks,
)
from keras_effnetv2.data.chunks.stores import Chunk, ChunkOrder


class Numbers:
    """A store in memory: records are their addresses."""

    chunk_bytes = 4_000_000

    def __init__(self, counts):
        self._starts = np.append(0, np.cumsum(counts))
        self.num_chunks = len(counts)
        self.num_read = np.zeros(self.num_chunks, int)

    def addresses(self):
        return 10 * np.arange(self._starts[-1])

    def starts(self):
        return self._starts

    def read(self, chunk):
        self.num_read[chunk] += 1
        own = self.addresses()[self._starts[chunk] : self._starts[chunk + 1]]
        return Chunk(own, [str(address).encode() for address in own])


def store_of(num_chunks, seed=0):
    """Chunks of about 30 records, of which some are empty."""
    counts = np.random.default_rng(seed).poisson(30, num_chunks)
    counts[::97] = 0
    return Numbers(counts)


def order_of(store, window=128, batch_size=64, seed=0, epoch=0):
    return order_of_addresses(ChunkOrder(store, window, str), batch_size, seed, epoch)


@pytest.mark.parametrize(
    "num_chunks,batch_size,expected",
    [
        (63, 4096, 1),
        (128, 4096, 2),
        (35_000, 4096, 32),
        (35_000, 96, 8),
        (35_000, 100, 4),
        (35_000, 32, 4),
        (35_000, 7, 1),
    ],
)
def test_lanes_divide_a_batch_and_have_enough_chunks(num_chunks, batch_size, expected):
    assert num_lanes(batch_size, num_chunks) == expected


@pytest.mark.parametrize("num_chunks,batch_size", [(1, 4), (40, 64), (300, 64)])
def test_an_epoch_has_every_record_at_most_once(num_chunks, batch_size):
    store = store_of(num_chunks) if num_chunks > 1 else Numbers([30])
    for epoch in (0, 1):
        found = order_of(store, 16, batch_size, epoch=epoch)
        assert found.shape == (len(store.addresses()) // batch_size, batch_size)
        assert len(np.unique(found)) == found.size
        assert {*found.flat} <= {*store.addresses()}


def test_lanes_of_very_different_chunks_give_every_record_at_most_once():
    counts = np.random.default_rng(1).pareto(1.1, 300).astype(int) + 1
    store = Numbers(np.minimum(counts, 2000))
    found = order_of(store)
    assert len(np.unique(found)) == found.size


def test_seeds_and_epochs_give_other_orders_and_nothing_else_does():
    store = store_of(150)
    orders = [order_of(store, seed=s, epoch=e) for s, e in ((0, 0), (1, 0), (0, 1))]
    for one, other in itertools.combinations(orders, 2):
        assert np.mean(one == other) < 0.01
    np.testing.assert_array_equal(order_of(store), orders[0])


def test_draws_are_those_of_splitmix64():
    # The first two numbers after the seed 0, by the authors' own program.
    first, second = 0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4
    gamma = np.array([0x9E3779B97F4A7C15], np.uint64)
    assert lanes._scrambled(np.zeros(1, np.uint64)) == first
    assert lanes._scrambled(gamma) == second


@pytest.mark.parametrize("num_chunks", [40, 300])
def test_any_step_is_found_without_those_before_it(num_chunks):
    store = store_of(num_chunks)
    whole = order_of(store, window=16)
    steps, lane_count = len(whole), num_lanes(64, num_chunks)
    rows = 64 // lane_count
    epoch = EpochLanes(store, 16, lane_count, steps * rows, 0, 0)
    generator = np.random.default_rng(0)
    for step in [0, steps - 1, *generator.integers(steps, size=20)]:
        for lane in range(lane_count):
            store.num_read[:] = 0
            found = epoch.records(lane, step * rows, lambda x: map(store.read, x))
            found = [address for address, _ in itertools.islice(found, rows)]
            columns = slice(lane * rows, (lane + 1) * rows)
            np.testing.assert_array_equal(found, whole[step, columns])
            # The window, and what the step itself uses up.
            assert store.num_read.sum() <= 2 * (16 // lane_count + 3) + rows


def test_each_worker_reads_its_own_chunks():
    store = store_of(2100)
    lane_count = num_lanes(512, store.num_chunks)
    quota = len(store.addresses()) // 512 * 512 // lane_count
    epoch = EpochLanes(store, 128, lane_count, quota, 0, 0)
    readings = []
    for worker in range(4):
        store.num_read[:] = 0
        for lane in range(worker * lane_count // 4, (worker + 1) * lane_count // 4):
            assert len([*epoch.records(lane, 0, lambda x: map(store.read, x))]) == quota
        readings.append(store.num_read.copy())
    assert np.sum(readings) <= 1.05 * store.num_chunks
    # What is kept apart for the end of the epoch is read by several.
    shared = np.count_nonzero(np.array(readings), axis=0) > 1
    assert shared.mean() < 0.05


def test_a_larger_window_mixes_more_chunks_into_a_batch():
    store = store_of(600)
    shares = [
        chunk_share(order_of_chunks(ChunkOrder(store, window, str), 256, 0, 0))
        for window in (16, 64, 256)
    ]
    generator = np.random.default_rng(0)
    chunks = np.repeat(np.arange(store.num_chunks), np.diff(store.starts()))
    shuffled = generator.permutation(chunks)[: len(chunks) // 256 * 256]
    full = chunk_share(shuffled.reshape(-1, 256))
    assert shares[0] > 2 * shares[1] > 2 * shares[2] > 2 * full
    assert shares[1] == pytest.approx(1 / 64, rel=0.5)


def test_the_share_of_a_chunk_is_that_of_an_image_of_the_batch():
    assert chunk_share(np.array([[0, 0, 0, 0]])) == 1
    assert chunk_share(np.array([[0, 1, 2, 3], [0, 0, 1, 1]])) == (0.25 + 0.5) / 2


def test_the_line_about_the_order_says_what_it_takes():
    order = ChunkOrder(Numbers([30] * 3000), 128, str)
    text = describe_order(order, 4096)
    assert "3,000 chunks of 4.0 MB, of which 128 are shuffled together in 32" in text
    # Of each of 32 lanes: a window of 4 chunks, the one that comes in, and one ahead.
    assert f"up to {32 * 6 * 4} MB" in text
    assert f"up to {4 * 13 * 4} MB" in describe_order(order, 4096, num_workers=8)
