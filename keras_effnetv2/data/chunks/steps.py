"""Datasets of records in chunk order, for training and evaluation."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import tensorflow as tf

from keras_effnetv2.data.chunks.lanes import EpochLanes, Record, num_lanes
from keras_effnetv2.data.chunks.reading import NUM_STREAMS, ChunkReader
from keras_effnetv2.data.chunks.stores import ChunkOrder, Store
from keras_effnetv2.data.decode_errors import DecodeErrors
from keras_effnetv2.errors import InputError, UserError


@dataclasses.dataclass(frozen=True)
class Steps:
    """A span of the steps of a training run.

    Attributes:
        batch_size: records per step, over all workers.
        per_epoch: steps per epoch.
        first_epoch: epoch of the first step.
        first_step: its index in its epoch, from 0.
        num: number of steps, across epochs.
        seed: seed of the order.
    """

    batch_size: int
    per_epoch: int
    first_epoch: int
    first_step: int
    num: int
    seed: int

    def epochs(self) -> Iterator[tuple[int, range]]:
        """Each epoch and its steps."""
        epoch, step, left = self.first_epoch, self.first_step, self.num
        while left > 0:
            steps = range(step, min(self.per_epoch, step + left))
            yield epoch, steps
            left -= len(steps)
            epoch, step = epoch + 1, 0


def training_records(
    order: ChunkOrder, steps: Steps, rows: Sequence[int], decode_errors: DecodeErrors
) -> tf.data.Dataset:
    """The records of each step, read ahead in threads.

    Args:
        order: the order of the records.
        steps: which steps.
        rows: rows of the global batch, increasing; only their lanes are read.
        decode_errors: keeps the error that stops the data.

    Returns:
        Epoch, step in the epoch, addresses `(rows,)`, all int64; records `(rows,)`.
    """
    lanes = num_lanes(steps.batch_size, order.store.num_chunks)
    per_lane = steps.batch_size // lanes
    chosen = {
        lane: [row % per_lane for row in rows if row // per_lane == lane]
        for lane in sorted({row // per_lane for row in rows})
    }

    def generate():
        with _stopping(decode_errors), ChunkReader(order.store, len(chosen)) as reader:
            for epoch, own_steps in steps.epochs():
                epoch_lanes = EpochLanes(
                    order.store,
                    order.window,
                    lanes,
                    steps.per_epoch * per_lane,
                    steps.seed,
                    epoch,
                )
                start = own_steps.start * per_lane
                streams = {
                    lane: epoch_lanes.records(lane, start, reader.read)
                    for lane in chosen
                }
                for step in own_steps:
                    yield epoch, step, *_columns(_step(streams, chosen, per_lane))

    return _dataset(generate, (None, None), len(rows), steps.num)


def first_addresses(order: ChunkOrder, num: int, seed: int, epoch: int) -> np.ndarray:
    """Addresses of the first few records of an epoch, int64."""
    epoch_lanes = EpochLanes(order.store, order.window, 1, num, seed, epoch)
    with ChunkReader(order.store, num_readers=NUM_STREAMS // 2) as reader:
        records = [*islice(epoch_lanes.records(0, 0, reader.read), num)]
    return np.array([address for address, _ in records], np.int64)


def records_in_order(
    store: Store,
    spans: Iterable[tuple[int, int]],
    decode_errors: DecodeErrors | None = None,
) -> tf.data.Dataset:
    """Records of spans of numbers; each chunk is read once if spans are consecutive.

    Args:
        store: the store of the records.
        spans: first number and end of each; starts never decrease.
        decode_errors: keeps the error that stops the data. None: it is raised as a
            TensorFlow error.

    Returns:
        Addresses, int64 `(num,)`, and records `(num,)`.
    """
    spans = [*spans]

    def generate():
        starts = store.starts()
        needed = [_chunks_of(span, starts) for span in spans]
        numbers = list(dict.fromkeys(x for chunks in needed for x in chunks))
        with _stopping(decode_errors), ChunkReader(store) as reader:
            stream, held = reader.read(numbers), {}
            for (first, end), chunks in zip(spans, needed, strict=True):
                held = {x: held[x] for x in held if x >= chunks.start}
                found = []
                for number in chunks:
                    if number not in held:
                        held[number] = [*zip(*next(stream), strict=True)]
                    before = starts[number]
                    found += held[number][max(0, first - before) : end - before]
                yield _columns(found)

    return _dataset(generate, (), None, len(spans))


def _chunks_of(span: tuple[int, int], starts: np.ndarray) -> range:
    """The chunks that hold records of some numbers."""
    first, end = span
    if first >= end:
        return range(0)
    found = np.searchsorted(starts, [first, end - 1], side="right") - 1
    return range(int(found[0]), int(found[1]) + 1)


def _step(
    streams: dict[int, Iterator[Record]], chosen: dict[int, list[int]], per_lane: int
) -> list[Record]:
    found = []
    for lane, stream in streams.items():
        records = [*islice(stream, per_lane)]
        if len(records) < per_lane:
            raise InputError(
                "The files hold fewer images than an epoch takes. Set "
                "data.num_train_images to the number that they hold, or to none."
            )
        found += [records[row] for row in chosen[lane]]
    return found


def _columns(records: Sequence[Record]) -> tuple[np.ndarray, np.ndarray]:
    """Addresses, int64, and contents, objects."""
    addresses = np.array([address for address, _ in records], np.int64)
    contents = np.empty(len(records), object)
    contents[:] = [content for _, content in records]
    return addresses, contents


def _dataset(
    generate: Callable[[], Iterator[tuple]],
    numbers: Sequence[None],
    num: int | None,
    num_steps: int,
) -> tf.data.Dataset:
    signature = (
        *(tf.TensorSpec((), tf.int64) for _ in numbers),
        tf.TensorSpec((num,), tf.int64),
        tf.TensorSpec((num,), tf.string),
    )
    dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
    return dataset.apply(tf.data.experimental.assert_cardinality(num_steps))


@contextlib.contextmanager
def _stopping(decode_errors: DecodeErrors | None) -> Iterator[None]:
    """Keeps errors for users in `decode_errors`, since TensorFlow replaces them."""
    try:
        yield
    except UserError as error:
        if decode_errors is None:
            raise
        decode_errors.stop(error)
