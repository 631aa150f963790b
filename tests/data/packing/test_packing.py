"""`pack`: the same images, classes and splits, whole, and always of the same bytes."""

import itertools
import json
import os
import signal
import time

import pytest
import tensorflow_datasets as tfds

from keras_effnetv2.data import pack
from keras_effnetv2.data.packing import packing, shards
from tests import forked
from tests.commands.running import run_command
from tests.data import image_folders
from tests.data.packing import folders
from tests.data.packing.folders import contents, opened, records


def run(*flags):
    return run_command("pack", *flags)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return folders.write(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def packed(photos, tmp_path_factory):
    """The folder of a pack that one process has written."""
    folder = tmp_path_factory.mktemp("packs") / "insects"
    pack(photos, folder, num_shards=5, processes=1)
    return folder


@pytest.mark.long
def test_several_processes_write_the_same_bytes(photos, packed, tmp_path):
    found = pack(photos, tmp_path / "insects", num_shards=5, processes=2)
    assert contents(tmp_path / "insects") == contents(packed)
    assert found.num_images == {"train": 45, "validation": 12, "test": 3}
    assert found.num_shards == 5 + 2 + 1 and found.damaged == ()


def test_the_files_are_those_of_tensorflow_datasets(packed):
    builder = tfds.builder_from_directory(packed)
    assert builder.info.full_name == "insects/1.0.0"
    assert builder.info.features["label"].names == ["ant", "bee", "cow"]
    lengths = {name: x.shard_lengths for name, x in builder.info.splits.items()}
    assert lengths == {"train": [9] * 5, "validation": [6, 6], "test": [3]}
    names = {*contents(packed)}
    assert "insects-train.tfrecord-00004-of-00005" in names
    assert names == {
        *(x for info in builder.info.splits.values() for x in info.filenames),
        *("dataset_info.json", "features.json", "label.labels.txt", "pack.json"),
    }
    assert [x["image"].shape[-1] for x in builder.as_dataset(split="train")] == [3] * 45


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_our_source_has_the_images_of_the_folder(photos, packed, split):
    source, wanted = opened(packed, split), opened(photos, split, "folder")
    assert source.class_names == wanted.class_names
    found = records(packed, split)
    assert len(found) == source.num_examples == wanted.num_examples
    for encoded, name, label in found:
        assert source.class_names[label] == name.split("/")[1]
        path = photos / name.replace("\\n", "\n").replace("\\xe9", "\udce9")
        if path.name not in folders.OTHERS:
            assert encoded == path.read_bytes()


def test_a_folder_without_splits_is_divided_as_the_source_does(tmp_path):
    image_folders.write(tmp_path / "in", {"bus": 20, "car": 20})
    found = pack(tmp_path / "in", tmp_path / "out", processes=1)
    assert {*found.num_images} == {"train", "validation"}
    for split in found.num_images:
        wanted = folders.examples(opened(tmp_path / "in", split, "folder"))
        assert folders.examples(opened(tmp_path / "out", split)) == wanted


def test_neighbours_are_of_all_classes_and_follow_from_the_seed(photos, packed):
    labels = [label for _, _, label in records(packed, "train")]
    assert all({*labels[start : start + 9]} == {0, 1, 2} for start in range(0, 45, 9))
    images = [shards.LabelledImage(str(x), str(x), 0, 0) for x in range(100)]
    one, same, other = (shards.divided(images, 3, seed) for seed in (0, 0, 1))
    assert one == same != other
    assert sorted(itertools.chain(*one), key=lambda x: int(x.name)) == images
    assert [*map(len, one)] == [33, 33, 34]


def test_a_folder_called_as_a_version_is_found_by_name(photos, tmp_path):
    pack(photos, tmp_path / "insects" / "2.0.1", processes=1)
    builder = tfds.builder("insects", data_dir=tmp_path)
    assert builder.info.full_name == "insects/2.0.1"
    source = opened(tmp_path, "test", name="insects")
    assert source.num_examples == 3


def test_damaged_images_are_listed_with_the_reason(tmp_path, capsys):
    image_folders.write(tmp_path / "in", {"bus": 30, "car": 30})
    for name in ("bus/000.jpg", "car/031.jpg"):
        image_folders.damage(tmp_path / "in" / name)
    (tmp_path / "in" / "car" / "a\nb.png").write_bytes(b"<html>")
    flags = [tmp_path / "in", tmp_path / "out", "--processes", 1, "--shards", 3]
    assert run(*flags) == 0
    output = capsys.readouterr().out
    assert f"3 damaged images are left out, and listed in {tmp_path}/out/dam" in output
    lines = (tmp_path / "out" / "damaged.jsonl").read_text().splitlines()
    reasons = {x["file"]: x["reason"] for x in map(json.loads, lines)}
    assert {*reasons} == {"bus/000.jpg", "car/031.jpg", "car/a\\nb.png"}
    assert "it is none of JPEG" in reasons["car/a\\nb.png"]
    lengths = tfds.builder_from_directory(tmp_path / "out").info.splits
    assert sum(x.num_examples for x in lengths.values()) == 58


def test_what_is_whole_stays_and_what_is_cut_is_mended(photos, packed, tmp_path):
    folder = tmp_path / "insects"
    pack(photos, folder, num_shards=5, processes=1)
    cut, *kept = sorted(folder.glob("insects-*"))
    times = {path: path.stat().st_mtime_ns for path in kept}
    cut.write_bytes(cut.read_bytes()[:-1])
    (folder / f".{'0' * 32}.left").touch()
    assert run(photos, folder, "--shards", 5, "--processes", 1) == 0
    assert contents(folder) == contents(packed)
    assert {path: path.stat().st_mtime_ns for path in kept} == times
    assert [x.name for x in folder.iterdir() if x.name.startswith(".")] == [".lock"]


@pytest.mark.long
def test_what_was_killed_goes_on_and_ends_with_the_same_bytes(photos, packed, tmp_path):
    folder = tmp_path / "insects"
    words = ["-m", "keras_effnetv2", "pack", photos, folder, "--shards", "5"]
    process = forked.Process([*words, "--processes", "1"], tmp_path / "log")
    while len(whole := sorted(folder.glob("insects-*"))) < 2:
        assert process.poll() is None, process.log.read_text()
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "dataset_info.json").exists()
    times = {path: path.stat().st_mtime_ns for path in whole[:1]}
    pack(photos, folder, num_shards=5, processes=1)
    assert contents(folder) == contents(packed)
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())


def test_a_full_disk_is_said_and_nothing_is_lost(photos, packed, tmp_path, monkeypatch):
    def write(shard):
        if shard.name.endswith("00002-of-00005"):
            with packing.files.full_disk_named(shard.folder, "Make room."):
                raise OSError(28, os.strerror(28))
        return written(shard)

    written = shards.write
    with monkeypatch.context() as patched:
        patched.setattr(shards, "write", write)
        with pytest.raises(OSError, match="is full. What was saved .* Make room"):
            pack(photos, tmp_path / "insects", num_shards=5, processes=1)
    pack(photos, tmp_path / "insects", num_shards=5, processes=1)
    assert contents(tmp_path / "insects") == contents(packed)
