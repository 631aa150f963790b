"""What cannot be packed is refused in a line, and what can is packed all the same."""

import os
import unicodedata

import pytest

from keras_effnetv2.data import pack
from keras_effnetv2.data.packing import shards
from keras_effnetv2.data.packing.shards import LabelledImage
from tests import image_files as files
from tests.commands.running import run_command
from tests.data import image_folders
from tests.data.image_folders import AWKWARD, COMPOSED, DECOMPOSED
from tests.data.packing.folders import opened, records


def run(*flags):
    return run_command("pack", *flags)


@pytest.fixture
def photos(tmp_path):
    return image_folders.write(tmp_path / "photos", {"bus": 12, "car": 12})


def refusal(capsys, *flags):
    capsys.readouterr()  # What came before, such as the progress of a slow machine.
    assert run(*flags, "--processes", 1) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("flags", "difference"),
    [
        (["--image_size", 16], "image_size is None there and 16 now"),
        (["--seed", 1], "seed is 0 there and 1 now"),
        (
            ["--shards", 2],
            "shards is {'train': 1, 'validation': 1} there",
        ),
    ],
)
def test_another_pack_into_the_same_folder_is_refused(
    capsys, photos, tmp_path, flags, difference
):
    pack(photos, tmp_path / "out", processes=1)
    written = [x for x in (tmp_path / "out").iterdir() if x.name != ".lock"]
    before = {x: x.stat().st_mtime_ns for x in written}
    error = refusal(capsys, photos, tmp_path / "out", *flags)
    assert f"holds another pack: {difference}" in error
    (photos / "bus" / "000.jpg").write_bytes(files.JPEG)
    error = refusal(capsys, photos, tmp_path / "out")
    assert "another pack: the names or sizes of the images have changed" in error
    assert {x: x.stat().st_mtime_ns for x in written} == before


def test_other_contents_in_the_folder_are_refused(capsys, photos, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    error = refusal(capsys, photos, tmp_path / "out")
    assert "is not empty, and holds no pack: thesis.txt" in error
    (tmp_path / "out" / "pack.json").write_text("{")
    assert "has a damaged pack.json" in refusal(capsys, photos, tmp_path / "out")


def test_a_pack_among_its_own_images_is_refused(capsys, photos, tmp_path):
    (tmp_path / "link").symlink_to(photos)
    for output in (photos, photos / "out", tmp_path / "link" / "out"):
        assert "is inside" in refusal(capsys, photos, output)
    assert not (photos / "out").exists()


def test_what_holds_nothing_to_pack_is_refused(capsys, photos, tmp_path):
    output = tmp_path / "out"
    assert "There is no folder" in refusal(capsys, tmp_path / "absent", output)
    (tmp_path / "empty").mkdir()
    assert "There is no split 'train'" in refusal(capsys, tmp_path / "empty", output)
    assert "--image_size must be at" in refusal(
        capsys, photos, output, "--image_size", 0
    )
    with pytest.raises(ValueError, match="num_shards must be at least 1. Received: 0"):
        pack(photos, output, num_shards=0)
    (photos / "dog").mkdir()
    assert "There are no images in these folders" in refusal(capsys, photos, output)
    (photos / "dog").rename(photos / "car ")
    image_folders.write(photos, {"car ": 1})
    assert "may not begin or end with spaces: ['car ']" in refusal(
        capsys, photos, output
    )
    assert not output.exists()


def test_splits_without_the_training_are_refused_or_named(capsys, photos, tmp_path):
    for split in ("first", "second"):
        image_folders.write(tmp_path / "splits" / split, {"bus": 2, "car": 2})
    arguments = [tmp_path / "splits", tmp_path / "out"]
    assert "There is no split 'train'" in refusal(capsys, *arguments)
    assert run(*arguments, "--train_split", "second", "--processes", 1) == 0
    assert "4 second, 4 first images in 2 shards" in capsys.readouterr().out


def test_a_split_that_tfds_could_not_name_is_refused(capsys, photos, tmp_path):
    for split in ("train", "test set"):
        image_folders.write(tmp_path / "splits" / split, {"bus": 1, "car": 1})
    error = refusal(capsys, tmp_path / "splits", tmp_path / "out")
    assert "Names of splits consist of" in error and "Received: test set" in error


def test_images_that_are_gone_or_large_are_listed(photos, tmp_path, monkeypatch):
    paths = sorted(photos.glob("bus/*"))[:3]
    images = tuple(LabelledImage(str(x), x.name, 0, 0) for x in paths)
    paths[0].unlink()
    monkeypatch.setattr(shards, "_LARGEST", 2000)
    paths[1].write_bytes(paths[1].read_bytes() + bytes(2001))
    (tmp_path / shards.NOTES).mkdir()
    written = shards.write(shards.Shard(str(tmp_path), "a.tfrecord", images, None))
    assert written.num_records == 1
    assert written.damaged == (
        (paths[0].name, "the file is gone"),
        (paths[1].name, "the file has more than 2,000 bytes"),
    )


def test_images_that_are_all_damaged_are_no_dataset(capsys, photos, tmp_path):
    for path in photos.glob("*/*"):
        path.write_bytes(b"")
    assert run(photos, tmp_path / "out", "--processes", 1) == 2
    error = capsys.readouterr().err
    assert "can be decoded, mostly because the file is empty" in error
    assert len((tmp_path / "out" / "damaged.jsonl").read_text().splitlines()) == 24
    assert not (tmp_path / "out" / "dataset_info.json").exists()


def test_a_folder_that_cannot_be_written_is_refused(capsys, photos, tmp_path):
    (tmp_path / "file").touch()
    error = refusal(capsys, photos, tmp_path / "file" / "out")
    assert "Nothing can be written to" in error
    error = refusal(capsys, photos, os.fsdecode(bytes(tmp_path) + b"/\xe9"))
    assert "its name is not UTF-8" in error


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_what_may_not_be_read_is_refused_or_listed(capsys, photos, tmp_path):
    (photos / "bus" / "000.jpg").chmod(0)
    assert run(photos, tmp_path / "out", "--processes", 1) == 0
    assert "permission denied" in (tmp_path / "out" / "damaged.jsonl").read_text()
    (photos / "bus").chmod(0)
    error = refusal(capsys, photos, tmp_path / "other")
    (photos / "bus").chmod(0o700)
    assert "cannot be read: Permission denied" in error


def test_images_of_any_name_are_packed(tmp_path):
    for name in AWKWARD:
        image_folders.write(tmp_path / "in", {name: 3})
        (tmp_path / "in" / name / f"{name}.jpg").write_bytes(files.JPEG)
    image_folders.leave_behind(tmp_path / "in" / "two\nlines")
    (tmp_path / "in" / "a, b" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "a, b" / "link.jpg").symlink_to("a, b.jpg")
    found = pack(tmp_path / "in", tmp_path / "out", processes=1)
    assert sum(found.num_images.values()) == 4 * len(AWKWARD) + 1
    source = opened(tmp_path / "out", "train")
    names = [unicodedata.normalize("NFC", x) for x in AWKWARD.values()]
    assert source.class_names == tuple(sorted(names))
    stored = [
        (name.split("/")[0], source.class_names[label])
        for _, name, label in records(tmp_path / "out", "train")
    ]
    assert all(unicodedata.normalize("NFC", x) == name for x, name in stored)


def test_folders_that_look_the_same_are_one_class(photos, tmp_path, warnings):
    image_folders.write(photos, {COMPOSED: 3})
    image_folders.write(photos, {DECOMPOSED: 4}, 50)
    pack(photos, tmp_path / "out", processes=1)
    assert sum("names that look the same" in line for line in warnings) == 1
    source = opened(tmp_path / "out", "train")
    assert source.class_names == (COMPOSED, "bus", "car")
    labels = [label for _, _, label in records(tmp_path / "out", "train")]
    assert labels.count(0) > 4


def test_enormous_images_are_listed_and_not_decoded(photos, tmp_path):
    (photos / "bus" / "bomb.png").write_bytes(files.png_of_size(60_000, 60_000))
    with (photos / "car" / "sparse.jpg").open("wb") as file:
        file.truncate(1 << 31)
    found = pack(photos, tmp_path / "out", processes=1)
    reasons = dict(found.damaged)
    assert {*reasons} == {"bus/bomb.png", "car/sparse.jpg"}
    assert "more than 178,956,970 pixels" in reasons["bus/bomb.png"]
    assert "the file has more than 1,073,741,824 bytes" in reasons["car/sparse.jpg"]
