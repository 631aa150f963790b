"""Records of TFRecord files, read at any time."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2 import progress
from keras_effnetv2.data.decode_errors import DecodeErrors
from keras_effnetv2.data.decoding import retrying
from keras_effnetv2.data.records import record_files
from keras_effnetv2.data.records.record_files import find_records
from keras_effnetv2.data.records.record_opening import Reading
from keras_effnetv2.data.sources import open_source
from keras_effnetv2.errors import FileError
from keras_effnetv2.training.experiments.named import get_experiment
from keras_effnetv2.training.progressive.feeding import Feed
from tests.data import image_folders
from tests.data.batches import evaluate, train
from tests.data.records.imagenet_files import (
    imagenet,
    imagenet21k,
    jpeg,
    of_bytes,
    of_ints,
    write_imagenet,
    write_records,
)


@pytest.mark.parametrize("num_failures", [1, 999])
def test_headers_are_read_again_where_the_disk_fails(
    imagenet_files, monkeypatch, num_failures
):
    failures, unpatched = iter(range(num_failures)), record_files._open

    def failing(path):
        if next(failures, None) is None:
            return unpatched(path)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(record_files, "_open", failing)
    monkeypatch.setattr(retrying.time, "sleep", lambda _: None)
    if num_failures == 1:
        assert open_imagenet(imagenet_files, "train").num_examples == 100
        return
    with pytest.raises(FileError, match="00051 cannot be read, tried 4 times"):
        open_imagenet(imagenet_files, "train")


def test_only_imagenet_files_are_read_as_stored(imagenet_files, tmp_path):
    recipe = get_experiment("finetune-imagenet").data
    places = {"imagenet_tfrecord": imagenet_files, "folder": tmp_path}
    image_folders.write(tmp_path, dict.fromkeys("abcde", 9))
    for source, place in places.items():
        data = dataclasses.replace(
            recipe, source=source, directory=str(place), num_classes=5
        )
        feed = Feed.open(data, "train")
        assert feed.source.turn_upright == (source == "folder")


def open_imagenet(root, split, num_classes=5, **options):
    return open_source(
        "imagenet_tfrecord",
        split,
        num_classes=num_classes,
        directory=str(root),
        **options,
    )


@pytest.fixture(scope="module")
def imagenet_files(tmp_path_factory):
    return write_imagenet(tmp_path_factory.mktemp("imagenet"))


def test_official_imagenet_files_have_the_official_splits(imagenet_files):
    # 20 of 1,024 files are one of 51.
    sizes = {"train": 100, "minival": 2, "train+minival": 102, "validation": 6}
    for split, num in sizes.items():
        assert open_imagenet(imagenet_files, split).num_examples == num
    source = open_imagenet(imagenet_files, "train")
    for index in (0, 7, 99):
        contents, label = source.read(index)
        assert contents == jpeg(index + 2)
        assert label == (index + 2) % 5
    assert source.name_of(99).endswith("train-00050-of-00051 record 1")


def test_files_may_be_in_folders_of_splits(tmp_path):
    write_imagenet(tmp_path, num_files=2, sub_folders=True)
    assert open_imagenet(tmp_path, "train").num_examples == 4
    assert open_imagenet(tmp_path, "validation").num_examples == 6
    with pytest.raises(ValueError, match="None of the 2 files .* 'minival'"):
        open_imagenet(tmp_path, "minival")


def test_imagenet_trains_and_evaluates(imagenet_files):
    source = open_imagenet(imagenet_files, "train")
    epoch = train(source, 20, num_steps=5)
    assert sum(labels.sum(0) for _, labels in epoch).tolist() == [20] * 5
    batches = evaluate(open_imagenet(imagenet_files, "validation"), 4)
    assert sum(labels.sum(0) for _, labels, _ in batches).tolist() == [2, 1, 1, 1, 1]


def test_official_imagenet21k_files_have_several_labels(tmp_path):
    for file in range(22):
        write_records(
            tmp_path / f"imagenet21k-{file:05}-of-00022",
            [imagenet21k(file, {file % 6, 5})],
        )
    sizes = {"train": 2, "minival": 4, "train+minival": 6, "validation": 16}
    options = {"num_classes": 6, "directory": str(tmp_path), "multi_label": True}
    for split, num in sizes.items():
        source = open_source("imagenet21k_tfrecord", split, **options)
        assert source.num_examples == num
    ((_, labels),) = train(source, 16, num_steps=1)
    assert sorted(labels.sum(0)) == [2, 3, 3, 3, 3, 16]
    with pytest.raises(ValueError, match="multi_label=True. Received: multi_label=Fa"):
        open_source("imagenet21k_tfrecord", "train", **options | {"multi_label": False})


def test_any_record_is_read_at_any_time(tmp_path):
    generator = np.random.default_rng(0)
    contents = [[generator.bytes(n) for n in (0, 1, 500, 70_000)] for _ in range(3)]
    paths = []
    for number, records in enumerate(contents):
        paths.append(str(tmp_path / f"{number}.tfrecord"))
        with tf.io.TFRecordWriter(paths[-1]) as writer:
            for record in records:
                writer.write(record)
    records = find_records(paths)
    order = generator.permutation(12)
    dataset = tf.data.Dataset.from_tensor_slices(order).map(records.reader())
    for index, found in zip(order, dataset.as_numpy_iterator(), strict=True):
        assert found == contents[index // 4][index % 4]
        name = f"{paths[index // 4]} record {index % 4}"
        assert records.name_of(index) == name
    parts = find_records(paths, [slice(1, 3), slice(3, None), slice(0)])
    assert [parts.name_of(i)[-1] for i in range(len(parts))] == ["1", "2", "3"]


def test_files_that_are_no_records_are_refused(tmp_path):
    path = write_records(tmp_path / "a", [imagenet(0, 1), imagenet(1, 2)])
    good = (tmp_path / "a").read_bytes()
    first = len(good) // 2
    for contents, message in (
        (good[:-1], f"a is cut off.*at byte {first:,}"),
        (good + b"more", f"a is cut off.*at byte {len(good):,}"),
        (b"\xff" * 1000, "a is cut off, or not a TFRecord file: at byte 0"),
        (b"", "no records in"),
    ):
        (tmp_path / "a").write_bytes(contents)
        with pytest.raises(ValueError, match=message):
            find_records([path])


@pytest.mark.parametrize("length", [0x8B1F, 0x0178, 0x9C78])
def test_a_length_may_look_like_compression(tmp_path, length):
    path = str(tmp_path / "a")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(b"x" * length)
    assert find_records([path]).lengths.tolist() == [length]


@pytest.mark.parametrize("kind", ["GZIP", "ZLIB"])
def test_compressed_files_are_refused(tmp_path, kind):
    path = str(tmp_path / "a")
    with tf.io.TFRecordWriter(path, kind) as writer:
        writer.write(b"record")
    with pytest.raises(ValueError, match="a is compressed.*Decompress"):
        find_records([path])


def test_missing_files_and_splits_are_named(tmp_path, imagenet_files):
    with pytest.raises(ValueError, match=r"no files train-\* or train/train-\* in"):
        open_imagenet(tmp_path, "train")
    with pytest.raises(ValueError, match="train, minival.*Received: split='test'"):
        open_imagenet(imagenet_files, "test")


def test_records_do_not_say_their_classes(imagenet_files):
    with pytest.raises(ValueError, match="do not say how many .* Set data.num_classes"):
        open_imagenet(imagenet_files, "train", num_classes=None)


@pytest.mark.parametrize(
    "options",
    [{"order": "random"}, {"chunk_mb": 0.0}, {"window_chunks": 0}],
)
def test_ways_of_reading_that_there_are_not(options):
    (name, value), *_ = options.items()
    with pytest.raises(ValueError, match=f"Received: .*{name}={value!r}"):
        Reading(**options)


def write_damaged(root):
    """One file: 30 records, of which a bit, an image and a label are wrong."""
    examples = [imagenet(number, 1 + number % 5) for number in range(30)]
    examples[8]["image/encoded"] = of_bytes(jpeg(8)[:200])
    examples[9]["image/class/label"] = of_ints([6])
    path = root / "train-00000-of-00001"
    records = find_records([write_records(path, examples)])
    contents = bytearray(path.read_bytes())
    contents[records.offsets[20] + 100] ^= 1
    path.write_bytes(contents)
    return root


@pytest.mark.parametrize("cache", [False, True])
def test_damaged_records_are_skipped_and_named(tmp_path, cache, monkeypatch):
    messages = []
    monkeypatch.setattr(
        "absl.logging.warning", lambda text, *args: messages.append(text % args)
    )
    source = open_imagenet(write_damaged(tmp_path), "train", cache=cache)
    decode_errors = DecodeErrors("train", 30, max_share=0.5)
    assert len(train(source, 10, decode_errors=decode_errors)) == 6
    assert decode_errors.num_damaged == 3
    names = [x.partition(" cannot")[0].rpartition("record ")[2] for x in messages]
    assert sorted(names) == ["20", "8", "9"]
    ((_, _, weights),) = evaluate(source, 30, decode_errors=decode_errors)
    assert np.flatnonzero(weights == 0).tolist() == [8, 9, 20]


def test_a_cached_source_gives_the_same_without_its_files(tmp_path):
    root = write_imagenet(tmp_path, num_files=4)
    expected = train(open_imagenet(root, "train"), 4)
    cached = open_imagenet(root, "train", cache=True)
    for path in root.glob("train*"):
        path.unlink()
    for ours, theirs in zip(train(cached, 4), expected, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


def test_long_scans_are_counted_on_stderr(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_QUICK", 0.0)
    paths = [write_records(tmp_path / x, [imagenet(1, 1)] * 2) for x in "ab"]
    find_records(paths)
    assert "records found in 2 files: 4 in" in capsys.readouterr().err
