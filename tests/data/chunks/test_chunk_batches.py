"""Batches in chunk order: the same for any worker and after any restart."""

import concurrent.futures
import pathlib
import threading

import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2.data.augmentation.mixing import Mixing
from keras_effnetv2.data.decode_errors import DecodeErrors
from keras_effnetv2.data.pipeline import Shard, first_images
from keras_effnetv2.data.records import record_opening
from keras_effnetv2.data.records.record_files import find_records
from keras_effnetv2.data.records.record_store import RecordStore
from keras_effnetv2.data.sources import cache
from tests.data.batches import (
    AUGMENTER,
    BOTH,
    PLAIN,
    assert_same,
    evaluate,
    joined,
    train,
)
from tests.data.chunks import record_datasets
from tests.data.chunks.record_datasets import numbers_in

SLOW = pytest.mark.slow

NUM = 1200


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return record_datasets.write(tmp_path_factory.mktemp("records"))


@pytest.fixture
def source(paths, monkeypatch):
    """In two lanes, of batches of 40."""
    return record_datasets.open_files(paths, monkeypatch)


@pytest.fixture
def reads(source, monkeypatch):
    """Chunks that are read, in turn."""
    chunks, read = [], source.chunks.store.read

    def noted(chunk):
        chunks.append(chunk)
        return read(chunk)

    monkeypatch.setattr(source.chunks.store, "read", noted)
    return chunks


def test_an_epoch_has_every_record_once_with_its_label(source):
    epochs = train(source, 40)
    for batches in (epochs[:30], epochs[30:]):
        assert sorted(numbers_in(batches)) == [*range(NUM)]
        for images, labels in batches:
            assert labels.argmax(1).tolist() == numbers_in([(images,)])
    assert numbers_in(epochs[:30]) != numbers_in(epochs[30:])


@pytest.mark.long
def test_a_training_goes_on_at_any_step_with_the_same_bits(source):
    whole = train(source, 40, PLAIN, BOTH)
    for done in np.random.default_rng(1).integers(1, 60, size=5):
        rest = train(
            source,
            40,
            PLAIN,
            BOTH,
            num_steps=min(4, 60 - done),
            first_epoch=int(done // 30),
            first_step=int(done % 30),
        )
        assert_same(rest, whole[done : done + 4])


@pytest.mark.parametrize(
    "mixing,count",
    [
        (BOTH, 2),
        pytest.param(Mixing(), 5, marks=pytest.mark.long),
        *(pytest.param(BOTH, x, marks=SLOW) for x in (4, 5)),
    ],
)
def test_any_number_of_workers_makes_the_same_batches(source, mixing, count):
    # Of 5 workers, each has part of a lane.
    whole = train(source, 40, PLAIN, mixing, num_steps=31)
    parts = [
        train(source, 40, PLAIN, mixing, num_steps=31, shard=Shard(index, count))
        for index in range(count)
    ]
    assert_same(joined(parts), whole)


def test_two_workers_read_their_own_chunks_and_each_about_once(source, reads):
    assert source.chunks.store.num_chunks > 100
    readings = []
    for index in range(2):
        train(source, 40, PLAIN, BOTH, num_steps=30, shard=Shard(index, 2))
        readings.append([*reads])
        reads.clear()
    assert len(readings[0] + readings[1]) <= 1.1 * source.chunks.store.num_chunks
    assert len({*readings[0]} & {*readings[1]}) <= 10
    train(source, 40, num_steps=30)
    assert len(reads) <= 1.1 * source.chunks.store.num_chunks


@pytest.mark.long
def test_the_number_of_workers_may_change_in_an_epoch(source):
    whole = train(source, 40, PLAIN, BOTH, num_steps=10)
    found = []
    for first, num, count in ((0, 5, 1), (5, 5, 2)):
        options = {"first_step": first, "num_steps": num}
        parts = [
            train(source, 40, PLAIN, BOTH, shard=Shard(index, count), **options)
            for index in range(count)
        ]
        found += joined(parts)
    assert_same(found, whole)


@pytest.mark.long
def test_evaluation_is_that_of_the_full_order(paths, source, reads, monkeypatch):
    full = record_datasets.open_files(paths, monkeypatch, order="full")
    assert full.chunks is None
    assert_same(evaluate(source, 70), evaluate(full, 70))
    assert len(reads) == source.chunks.store.num_chunks
    parts = [evaluate(source, 70, shard=Shard(index, 2)) for index in range(2)]
    assert_same(joined(parts), evaluate(full, 70))


def test_a_source_in_memory_was_read_chunk_by_chunk(paths, monkeypatch):
    def parse(record):
        return record, record_datasets.parse(record)[1]

    source = record_datasets.open_files(paths, monkeypatch, parse)
    full = record_datasets.open_files(paths, monkeypatch, parse, order="full")
    cached = cache.cached(source)
    assert cached.chunks is None
    for index in (0, 7, NUM - 1):
        for found, expected in zip(cached.read(index), full.read(index), strict=True):
            assert found.numpy() == expected.numpy()


def test_first_images_are_those_that_an_epoch_of_such_batches_begins_with(source):
    options = {"seed": 7, "decode_errors": DecodeErrors("train", NUM)}
    found = first_images(source, AUGMENTER, BOTH, num=8, epoch=1, **options)
    (first,) = train(source, 8, AUGMENTER, BOTH, num_steps=1, first_epoch=1)
    np.testing.assert_array_equal(found, first[0])


@pytest.mark.long
def test_before_all_records_are_found_the_batches_are_the_same(
    paths, source, monkeypatch
):
    whole = train(source, 40, num_steps=31)
    tasks = []
    future = concurrent.futures.Future()
    monkeypatch.setattr(
        record_opening, "in_background", lambda task: tasks.append(task) or future
    )
    monkeypatch.setattr(record_opening, "has_index", lambda paths: False)
    early = record_datasets.open_files(paths, monkeypatch, num_records=NUM)
    # What is kept apart for the end of the epoch follows from all records.
    assert_same(train(early, 40, num_steps=25), whole[:25])
    assert not future.done()
    future.set_result(tasks[0]())
    assert_same(train(early, 40, num_steps=31), whole)


def store_of(path, future, chunk_bytes):
    """The chunks of one file; until the future is done, no record is known."""
    size = path.stat().st_size
    return RecordStore([str(path)], [size], [(0, size)], chunk_bytes, future)


def test_a_record_is_of_the_chunk_that_it_starts_in(tmp_path):
    path, sizes = tmp_path / "a", [10, 5000, 20, 30]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for size in sizes:
            writer.write(bytes(size))
    future = concurrent.futures.Future()
    store = store_of(path, future, 1000)
    early = [*map(store.read, range(store.num_chunks))]
    future.set_result(find_records([str(path)]))
    late = [*map(store.read, range(store.num_chunks))]
    assert [len(x) for chunk in late for x in chunk.contents] == sizes
    assert [len(chunk.contents) for chunk in late] == [2, 0, 0, 0, 2]
    assert np.diff(store.starts()).tolist() == [2, 0, 0, 0, 2]
    for before, after in zip(early, late, strict=True):
        assert before.contents == after.contents
        assert before.addresses.tolist() == after.addresses.tolist()


def test_a_chunk_with_a_damaged_record_waits_until_all_are_found(tmp_path):
    path = pathlib.Path(*record_datasets.write(tmp_path, num_files=1))
    contents = bytearray(path.read_bytes())
    contents[13] ^= 1  # In the first record.
    path.write_bytes(contents)
    future = concurrent.futures.Future()
    store = store_of(path, future, 1000)
    found = threading.Timer(0.1, lambda: future.set_result(find_records([str(path)])))
    found.start()
    chunk = store.read(0)
    assert future.done()
    assert chunk.contents[0] == b"" and len(chunk.contents) == store.starts()[1] > 1
    found.join()


def test_records_in_a_record_stop_once_all_are_found(tmp_path):
    (inner,) = record_datasets.write(tmp_path, num_files=1)
    inner = pathlib.Path(inner)
    with tf.io.TFRecordWriter(str(tmp_path / "a")) as writer:
        writer.write(inner.read_bytes())
    future = concurrent.futures.Future()
    store = store_of(tmp_path / "a", future, 1000)
    assert store.read(1).contents  # Of the inner file, which nothing tells apart.
    future.set_result(find_records([str(tmp_path / "a")]))
    with pytest.raises(ValueError, match="a has records that contain .*TFRecords, aft"):
        store.addresses()


def test_a_wrong_number_of_images_stops_once_all_are_found(paths, monkeypatch):
    future = concurrent.futures.Future()

    def at_once(task):
        try:
            task()
        except ValueError as error:
            future.set_exception(error)
        return future

    monkeypatch.setattr(record_opening, "in_background", at_once)
    monkeypatch.setattr(record_opening, "has_index", lambda paths: False)
    source = record_datasets.open_files(paths, monkeypatch, num_records=NUM + 1)
    decode_errors = DecodeErrors("train", NUM)
    with pytest.raises(Exception, match="hold 1,200 images.*num_train_images=1,201"):
        train(source, 40, decode_errors=decode_errors)
    with pytest.raises(ValueError, match="hold 1,200 images"):
        decode_errors.raise_if_any()


def test_a_part_of_the_records_is_used_before_and_after_all_are_found(
    paths, monkeypatch
):
    expected = [*range(1080), *range(1090, 1130), *range(1140, 1170)]
    monkeypatch.setattr(record_opening, "has_index", lambda paths: False)
    found = []
    for num_records in (None, len(expected)):
        source = record_opening.open_records(
            paths,
            record_datasets.parse,
            record_opening.Reading("chunks", 0.0004, num_records=num_records),
            parts=[slice(None)] * 18 + [slice(10, 50), slice(30)],
            num_classes=NUM,
            multi_label=False,
        )
        assert source.num_examples == len(expected)
        found.append(numbers_in(train(source, 50, num_steps=23)))
    assert sorted(found[0]) == expected
    assert found[0] == found[1]


def test_a_damaged_record_is_skipped_and_named(tmp_path, monkeypatch, warnings):
    paths = record_datasets.write(tmp_path, num_files=4)
    full = record_datasets.open_files(paths, monkeypatch, order="full")
    source = record_datasets.open_files(paths, monkeypatch)
    address = int(source.chunks.store.addresses()[70])
    offset = int(source.chunks.store.name_of(address).split()[-1].replace(",", ""))
    with open(paths[1], "r+b") as file:
        file.seek(offset + 13)
        file.write(b"\xff")
    for opened, name in ((source, f"byte {offset:,}"), (full, "record 10")):
        decode_errors = DecodeErrors("train", 240)
        train(opened, 24, decode_errors=decode_errors)
        assert decode_errors.num_damaged == 1
        assert name in warnings.pop()


def test_a_file_that_is_gone_stops_with_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_effnetv2.data.decoding.retrying.WAITS", ())
    paths = record_datasets.write(tmp_path, num_files=4)
    source = record_datasets.open_files(paths, monkeypatch)
    (tmp_path / "part-00002").unlink()
    decode_errors = DecodeErrors("train", 240)
    with pytest.raises(Exception, match="part-00002 cannot be read"):
        train(source, 24, decode_errors=decode_errors)
    with pytest.raises(OSError, match="part-00002 cannot be read, tried 1 times"):
        decode_errors.raise_if_any()
