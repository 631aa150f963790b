"""Folders of classes: what they hold decides, and classes are those of the training."""

import dataclasses
import itertools
import os
import pathlib
import unicodedata

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2 import create_model
from keras_effnetv2.data.sources import open_source
from keras_effnetv2.data.sources.folder import find_splits
from keras_effnetv2.preprocessing import record
from tests.data import image_folders
from tests.data.batches import evaluate
from tests.data.image_folders import AWKWARD, COMPOSED, DECOMPOSED, write
from tests.tiny_networks import tiny


def opened(root, split="train", num_classes=3, **options):
    return open_source(
        "folder", split, num_classes=num_classes, directory=str(root), **options
    )


def labelled(source):
    """The class of each file, by what its label says; names end in the file's."""
    return {
        source.name_of(i): source.class_names[int(source.read(i)[1])]
        for i in range(source.num_examples)
    }


def folder_of(name):
    return pathlib.PurePath(name).parent.name


def are_right(source):
    return all(folder_of(name) == found for name, found in labelled(source).items())


NAMES = ("train", "validation", "test", "val", "1", "10")


@pytest.mark.parametrize("name", NAMES)
def test_a_class_may_be_called_as_a_split_is(tmp_path, name):
    write(tmp_path, {"bus": 40, "car": 40, name: 40})
    splits = [opened(tmp_path, split) for split in ("train", "validation")]
    for source in splits:
        assert source.class_names == tuple(sorted(("bus", "car", name)))
        assert are_right(source)
        assert {*labelled(source).values()} == {"bus", "car", name}
    assert sum(source.num_examples for source in splits) == 120


def test_all_classes_may_be_called_as_splits_are(tmp_path):
    write(tmp_path, {"train": 40, "validation": 40})
    source = opened(tmp_path, num_classes=2)
    assert source.class_names == ("train", "validation") and are_right(source)


def test_classes_within_splits_may_be_called_as_splits_are(tmp_path):
    for split in ("train", "validation"):
        write(tmp_path / split, {"bus": 2, "train": 2, "validation": 2})
        source = opened(tmp_path, split)
        assert source.class_names == ("bus", "train", "validation")
        assert source.num_examples == 6 and are_right(source)


def test_splits_may_be_called_anything(tmp_path):
    for fold in ("1", "2", "10"):
        write(tmp_path / fold, {"10": 1, "2": 1, "1": 1})
    source = opened(tmp_path, "2", train_split="10")
    assert source.class_names == ("1", "10", "2") and are_right(source)
    with pytest.raises(ValueError, match="no split 'train'.*folders 1, 10, 2"):
        opened(tmp_path)


def test_images_without_classes_beside_splits_are_no_class(tmp_path):
    """As in many competitions: a test set without labels."""
    write(tmp_path / "train", {"cat": 2, "dog": 2})
    write(tmp_path, {"test": 3})
    assert opened(tmp_path, num_classes=2).class_names == ("cat", "dog")
    with pytest.raises(ValueError, match="test has no images in subfolders"):
        opened(tmp_path, "test", num_classes=2)
    with pytest.raises(ValueError, match="no split 'validation'.*folders test, train"):
        opened(tmp_path, "validation", num_classes=2)


def test_images_beside_folders_of_classes_are_named(tmp_path, warnings):
    for split in ("train", "validation"):
        write(tmp_path / split, {"cat": 2, "dog": 2})
    write(tmp_path, {"train": 1})
    (tmp_path / "train" / "cat" / "old").mkdir()
    write(tmp_path / "train" / "cat", {"old": 1}, first=50)
    assert opened(tmp_path, num_classes=2).num_examples == 4
    assert "train holds 1 images that are in no folder of a class" in warnings[0]
    assert "Left out are those in" in warnings[1] and "cat/old" in warnings[1]


def test_a_folder_beside_splits_without_classes_is_named(tmp_path, warnings):
    write(tmp_path / "train", {"bus": 1, "car": 1})
    write(tmp_path, {"unsorted": 1})
    assert [*find_splits(str(tmp_path))] == ["train"]
    (line,) = warnings
    assert "unsorted is not a split" in line and "in no folder of a class" in line


def test_what_may_be_either_is_refused_with_what_was_found(tmp_path):
    write(tmp_path, {"bus": 2, "car": 2})
    write(tmp_path / "test", {"bus": 1, "car": 1})
    message = "bus, car hold images, as classes do; test hold folders of images, as spl"
    with pytest.raises(ValueError, match=message):
        opened(tmp_path)
    other = tmp_path / "other"
    write(other, {"test": 2, "train": 1})
    write(other / "train", {"cat": 2, "dog": 2})
    with pytest.raises(ValueError, match="train hold images and folders of images"):
        opened(other, num_classes=2)


def test_a_folder_of_classes_says_what_its_splits_are(tmp_path):
    write(tmp_path, {"bus": 3, "car": 3})
    with pytest.raises(ValueError, match="no split 'test'.*'train' and 'validation'"):
        opened(tmp_path, "test", num_classes=2)


@pytest.fixture
def split_folders(tmp_path):
    write(tmp_path / "train", {"a": 2, "b": 2, "c": 2})
    write(tmp_path / "validation", {"a": 2, "c": 2})
    return tmp_path


@pytest.mark.parametrize("is_there", [False, True])
def test_a_class_without_images_to_evaluate_on_keeps_its_number(
    split_folders, warnings, is_there
):
    if is_there:
        (split_folders / "validation" / "b").mkdir()
    source = opened(split_folders, "validation")
    assert source.num_classes == 3 and source.class_names == ("a", "b", "c")
    assert are_right(source) and source.num_examples == 4
    (line,) = warnings
    assert "validation has no images of 1 classes" in line and line.endswith(": b.")
    assert evaluate(source, 4)[0][1].sum(0).tolist() == [2, 0, 2]


def test_a_class_only_in_evaluation_is_named(split_folders):
    write(split_folders / "validation", {"B": 1, "d": 1})
    with pytest.raises(ValueError, match="does not have: B, d. Only upper and lower"):
        opened(split_folders, "validation")
    # Both ways out lead out.
    for name in ("B", "d"):
        write(split_folders / "train", {name: 1})
    assert opened(split_folders, num_classes=5).num_classes == 5
    source = opened(split_folders, "validation", num_classes=5)
    assert source.class_names == ("B", "a", "b", "c", "d") and are_right(source)


def test_an_empty_folder_only_in_evaluation_is_no_class(split_folders):
    (split_folders / "validation" / "empty").mkdir()
    assert opened(split_folders, "validation").class_names == ("a", "b", "c")


def test_a_class_without_images_to_train_on_is_named(split_folders):
    (split_folders / "train" / "empty").mkdir()
    write(split_folders / "validation", {"empty": 1})
    with pytest.raises(ValueError, match="train: empty. .* or remove it, in every spl"):
        opened(split_folders, num_classes=4)
    for split, num_images in (("train", 0), ("validation", 1)):
        folder = split_folders / split / "empty"
        assert len([x.unlink() for x in folder.iterdir()]) == num_images
        folder.rmdir()
        assert opened(split_folders, split).num_classes == 3


def test_the_number_of_classes_is_that_of_the_training(split_folders):
    for split in ("train", "validation"):
        with pytest.raises(ValueError, match="train has 3 classes.*data.num_classes=3"):
            opened(split_folders, split, num_classes=2)


def test_without_the_training_folders_say_what_the_classes_are(tmp_path):
    write(tmp_path / "test", {"a": 1, "c": 1})
    with pytest.raises(ValueError, match="There is no folder .*train that defines"):
        opened(tmp_path, "test")
    (tmp_path / "test" / "b").mkdir()
    source = opened(tmp_path, "test")
    assert source.class_names == ("a", "b", "c") and are_right(source)


def test_long_lists_of_classes_are_cut(tmp_path, warnings):
    write(tmp_path / "train", {f"{number:04}": 1 for number in range(300)})
    write(tmp_path / "validation", {"0299": 1})
    source = opened(tmp_path, "validation", num_classes=300)
    assert int(source.read(0)[1]) == 299
    (line,) = warnings
    assert "299 classes" in line and line.endswith("0009 and 289 more.")


def test_a_class_is_the_same_however_its_name_is_written(tmp_path, warnings):
    write(tmp_path / "train", {"Kb": 2, COMPOSED: 2, "z": 2})
    write(tmp_path / "validation", {"Kb": 1, DECOMPOSED: 1, "z": 1})
    source = opened(tmp_path, "validation")
    assert not warnings
    assert source.class_names == opened(tmp_path).class_names == ("Kb", COMPOSED, "z")
    assert labels_of(source) == [0, 1, 2]
    # Of both in one split users see one folder.
    write(tmp_path / "train", {DECOMPOSED: 3})
    source = opened(tmp_path)
    assert source.num_classes == 3 and labels_of(source) == [0] * 2 + [1] * 5 + [2] * 2
    assert "names that look the same" in warnings[0] and COMPOSED in warnings[0]


def labels_of(source):
    return [int(source.read(index)[1]) for index in range(source.num_examples)]


def test_copies_on_macos_are_divided_alike(tmp_path):
    roots = []
    for form, name in (("NFC", COMPOSED), ("NFD", DECOMPOSED)):
        roots.append(tmp_path / form)
        write(roots[-1], {"bus": 30, name: 30})
        for path in [*roots[-1].glob("*/*")]:
            path.rename(path.with_name(unicodedata.normalize(form, f"ä{path.name}")))
    for split in ("train", "validation"):
        composed, decomposed = (opened(root, split, 2) for root in roots)
        for first, second in itertools.zip_longest(
            labelled(composed), labelled(decomposed)
        ):
            assert unicodedata.normalize("NFC", pathlib.Path(second).name) == (
                pathlib.Path(first).name
            )


@pytest.mark.parametrize("has_splits", [False, True])
def test_names_that_are_no_utf_8_are_read(tmp_path, has_splits):
    names = [*AWKWARD]
    root = tmp_path / names[0]
    write(root / "train" if has_splits else root, dict.fromkeys(names, 6))
    source = opened(root, num_classes=len(names))
    assert {*source.class_names} == {
        unicodedata.normalize("NFC", text) for text in AWKWARD.values()
    }
    for index in range(source.num_examples):
        contents, label = source.read(index)
        name = source.name_of(index)
        assert name.encode() and "\n" not in name
        assert len(contents.numpy()) > 100
    (pixels, _, weights) = evaluate(source, source.num_examples)[0]
    assert weights.all() and pixels.any((1, 2, 3)).all()


def test_class_names_of_any_folder_are_kept_with_the_weights(tmp_path):
    write(tmp_path / "train", dict.fromkeys(AWKWARD, 1))
    names = opened(tmp_path, num_classes=len(AWKWARD)).class_names
    contract = record("efficientnetv2-b0", "imagenet", 32).unlabelled()
    model = create_model(
        tiny("tiny-b0"),
        classes=len(names),
        preprocessing=dataclasses.replace(contract, labels=names),
    )
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.preprocessing.labels == names
    model.save_weights(tmp_path / "model.weights.h5")
    again = create_model(tiny("tiny-b0"), weights=tmp_path / "model.weights.h5")
    assert again.preprocessing.labels == names


@pytest.mark.parametrize("has_splits", [False, True])
def test_what_systems_leave_behind_is_no_class(tmp_path, warnings, has_splits):
    root = tmp_path / "train" if has_splits else tmp_path
    write(root, {"bus": 9, "car": 9})
    for folder in {root, tmp_path, root / "bus"}:
        image_folders.leave_behind(folder)
    source = opened(tmp_path, num_classes=2)
    assert source.class_names == ("bus", "car") and are_right(source)
    assert source.num_examples > 9
    assert all("broken links" in line and "bus" in line for line in warnings)


def test_links_to_folders_are_splits_and_classes(tmp_path):
    write(tmp_path / "there", {"bus": 3, "car": 3})
    root = tmp_path / "linked"
    (root / "train").mkdir(parents=True)
    for name in ("bus", "car"):
        (root / "train" / name).symlink_to(tmp_path / "there" / name)
    (root / "train" / "bus" / "loop").symlink_to(root)
    (root / "validation").symlink_to(tmp_path / "there")
    for split in ("train", "validation"):
        source = opened(root, split, 2)
        assert source.num_examples == 6 and are_right(source)


def test_other_file_systems_are_read_alike(tmp_path):
    write(tmp_path / "train", {"bus": 2, "validation": 2})
    for path in tmp_path.glob("*/*/*"):
        target = "ram://alike/" + path.relative_to(tmp_path).as_posix()
        tf.io.gfile.makedirs(os.path.dirname(target))
        tf.io.gfile.copy(str(path), target, overwrite=True)
    local, remote = (opened(root, num_classes=2) for root in (tmp_path, "ram://alike"))
    assert remote.class_names == local.class_names
    for index in range(4):
        for first, second in zip(local.read(index), remote.read(index), strict=True):
            np.testing.assert_array_equal(first, second)


def test_home_is_found_and_files_are_no_folders(tmp_path, monkeypatch):
    write(tmp_path / "photos", {"bus": 9, "car": 9})
    monkeypatch.setenv("HOME", str(tmp_path))
    assert opened("~/photos", num_classes=2).num_classes == 2
    (tmp_path / "photos.zip").touch()
    with pytest.raises(ValueError, match="photos.zip' is not a folder"):
        opened(tmp_path / "photos.zip")
