"""The index of TFRecord files: made once, checked, and refused for other files."""

import json
import os
import pathlib
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2 import progress
from keras_effnetv2.data.records import record_index, record_search, record_starts
from keras_effnetv2.data.records.record_files import find_records, scan_headers
from keras_effnetv2.data.records.record_search import file_sizes, find_lengths
from keras_effnetv2.errors import InputError
from tests.data.chunks import record_datasets


@pytest.fixture
def paths(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    (tmp_path / "data").mkdir()
    return record_datasets.write(tmp_path / "data", num_files=4, per_file=25)


@pytest.fixture
def read_through(monkeypatch):
    """Files that were read to find their records."""
    noted, unpatched = [], record_search.lengths_of
    monkeypatch.setattr(
        record_search,
        "lengths_of",
        lambda path, size: noted.append(path) or unpatched(path, size),
    )
    return noted


def lengths(paths):
    return find_lengths(paths, file_sizes(paths))


def index_of(paths):
    return pathlib.Path(record_index.index_paths(paths)[0])


def assert_found(paths):
    expected = find_records(paths).lengths
    np.testing.assert_array_equal(np.concatenate(lengths(paths)), expected)


def rewrite(paths, change):
    """Another index with a right checksum: `change` gets its line and its lengths."""
    title, line, rest = index_of(paths).read_bytes().split(b"\n", 2)
    line, rest = change(json.loads(line), rest[:-4])
    contents = title + b"\n" + line + b"\n" + rest
    contents += struct.pack("<I", zlib.crc32(contents))
    index_of(paths).write_bytes(contents)


def test_an_index_is_made_once_and_then_read(paths, read_through):
    assert_found(paths)
    assert sorted(read_through) == paths
    assert [x.name for x in index_of(paths).parent.iterdir() if x.suffix] == [
        index_of(paths).name
    ]
    assert_found(paths)
    assert len(read_through) == len(paths)


def test_other_files_of_the_same_folder_have_an_index_of_their_own(paths):
    lengths(paths)
    lengths(paths[:2])
    assert_found(paths)
    assert_found(paths[:2])


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "no index", "huge"])
def test_a_damaged_index_is_made_again(paths, read_through, warnings, damage):
    lengths(paths)
    place = index_of(paths)
    good = place.read_bytes()
    damaged = {
        "cut": good[:-20],
        "changed": good[:-20] + bytes([good[-20] ^ 1]) + good[-19:],
        "empty": b"",
        "no index": b"x" * 100,
        "huge": good + bytes(50_000),
    }
    place.write_bytes(damaged[damage])
    assert_found(paths)
    assert len(read_through) == 2 * len(paths)
    assert "is damaged" in warnings[0]
    assert place.read_bytes() == good


@pytest.mark.parametrize(
    "change",
    [
        lambda line, rest: (b"[" * 5000, rest),
        lambda line, rest: (b"{}", rest),
        lambda line, rest: (b'{"files": [["a", 1]]}', rest),
        lambda line, rest: (b'{"files": 7}', rest),
        lambda line, rest: (b'{"files": [["part-00000", 1, 1e300]]}', rest),
        lambda line, rest: (b'{"files": [["part-00000", 1, -100]]}', rest),
        lambda line, rest: (b'{"files": [["part-00000", 1, true]]}', rest[:4]),
        lambda line, rest: (json.dumps(line).encode(), rest[:-4]),
        lambda line, rest: (json.dumps(line).encode(), b"\xff" * len(rest)),
        lambda line, rest: (json.dumps(line).encode(), rest[4:] + rest[:4]),
    ],
)
def test_an_index_that_somebody_made_up_is_made_again(
    paths, read_through, warnings, change
):
    lengths(paths)
    rewrite(paths, change)
    assert_found(paths)
    assert len(read_through) == 2 * len(paths)


def test_records_at_other_places_than_the_index_says_are_damaged(paths, monkeypatch):
    # The sums of a file are right, and nothing is read but between its ends.
    source = record_datasets.open_files(paths, monkeypatch, num_classes=100)
    store = source.chunks.store
    contents = [x for c in range(store.num_chunks) for x in store.read(c).contents]

    def swap(line, rest):
        own = np.frombuffer(rest, "<u4").copy()
        own[:25] = own[:25][::-1]
        return json.dumps(line).encode(), own.tobytes()

    rewrite(paths, swap)
    source = record_datasets.open_files(paths, monkeypatch, num_classes=100)
    store = source.chunks.store
    found = [x for c in range(store.num_chunks) for x in store.read(c).contents]
    assert len(found) == len(contents) == 100
    assert found[25:] == contents[25:]
    assert b"" in found[:25]


def test_an_index_of_other_files_is_refused(paths):
    lengths(paths)
    with open(paths[2], "r+b") as file:
        file.truncate(os.path.getsize(paths[2]) - 5)
    with pytest.raises(InputError) as caught:
        lengths(paths)
    text = str(caught.value)
    assert "part-00002 has" in text and "cut off, or another" in text
    assert str(index_of(paths)) in text and "\n" not in text


def test_an_index_of_fewer_files_is_refused(paths):
    lengths(paths)

    def shorten(line, rest):
        *files, last = line["files"]
        return json.dumps({"files": files}).encode(), rest[: -4 * last[2]]

    rewrite(paths, shorten)
    with pytest.raises(InputError, match="is the index of 3 files, but there are 4"):
        lengths(paths)


def test_a_record_longer_than_any_image_is_refused(paths):
    found = [np.array([5, 1 << 32])] * len(paths)
    message = "A record of 4,294,967,296 bytes is not an image. .* next to .*part-00000"
    with pytest.raises(InputError, match=message):
        record_index.write_index(paths, file_sizes(paths), found)
    assert not index_of(paths).exists()


def test_a_missing_file_is_named(paths):
    lengths(paths)
    os.remove(paths[1])
    with pytest.raises(InputError, match="part-00001 is missing"):
        lengths(paths)


def test_a_folder_that_cannot_be_written_has_its_index_in_the_cache(
    paths, tmp_path, read_through, monkeypatch
):
    unpatched = record_index._write

    def refusing(place, contents):
        if place.startswith(str(tmp_path / "data")):
            raise tf.errors.PermissionDeniedError(None, None, "Permission denied")
        unpatched(place, contents)

    monkeypatch.setattr(record_index, "_write", refusing)
    assert_found(paths)
    assert not index_of(paths).exists()
    assert len([*(tmp_path / "home").rglob("*.records")]) == 1
    assert_found(paths)
    assert len(read_through) == len(paths)


def test_where_nothing_can_be_written_the_index_is_made_each_time(
    paths, read_through, monkeypatch, warnings
):
    def refusing(place, contents):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(record_index, "_write", refusing)
    assert_found(paths)
    assert "it is rebuilt each time" in warnings[0]
    assert_found(paths)
    assert len(read_through) == 2 * len(paths)


def test_an_index_that_is_being_written_is_none(paths, monkeypatch):
    renamed = []
    monkeypatch.setattr(
        tf.io.gfile, "rename", lambda *x, **y: renamed.append(x) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        lengths(paths)
    assert len(renamed) == 1
    assert [*index_of(paths).parent.glob("*.records*")] == []


def test_making_an_index_shows_how_far_it_is(paths, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_QUICK", 0.0)
    lengths(paths)
    assert "index of 4 files: 0 MB in" in capsys.readouterr().err


def test_reading_through_a_file_finds_what_its_headers_say(paths):
    for path in paths:
        found = record_search._lengths_reader()(tf.constant(path)).numpy()
        np.testing.assert_array_equal(found, scan_headers(path))


def test_the_start_of_a_record_is_known_from_any_other_bytes(tmp_path):
    path = str(tmp_path / "a")
    generator = np.random.default_rng(0)
    zeros, noise = bytes(100_000), generator.bytes(1_500_000)
    with tf.io.TFRecordWriter(path) as writer:
        for contents in (zeros, noise, b"", b"", zeros, noise[:100]):
            writer.write(contents)
    records = find_records([path])
    size = os.path.getsize(path)
    starts = [*records.offsets, size]
    for place in [0, 1, 16, 60_000, 100_016, 100_017, 1_600_031, *starts[2:]]:
        expected = min(start for start in starts if start >= place)
        assert record_starts.first_start(path, int(place), size, size) == expected
    assert record_starts.first_start(path, 17, 60_000, size) == 60_000


def test_no_record_starts_where_only_the_rest_of_one_is_left(paths):
    size = os.path.getsize(paths[0])
    for begin in (size - 30, size - 5, size):
        assert record_starts.first_start(paths[0], begin, size, size) == size
