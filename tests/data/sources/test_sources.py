"""Images in folders, in IDX files and in packages, or an error that helps."""

import gzip
import struct

import numpy as np
import pytest
import sklearn.datasets
import tensorflow as tf

from keras_effnetv2.data.decoding import retrying
from keras_effnetv2.data.sources import idx as idx_module
from keras_effnetv2.data.sources import open_source
from keras_effnetv2.errors import FileError
from tests.data import image_folders
from tests.data.batches import evaluate, train

NUM_CLASSES = 3


def folder(root, split="train", num_classes=NUM_CLASSES):
    return open_source("folder", split, num_classes=num_classes, directory=str(root))


@pytest.fixture
def split_folders(tmp_path):
    """Three classes, with a folder for each split."""
    image_folders.write(tmp_path / "train", {"b": 6, "a": 5, "C": 4})
    image_folders.write(tmp_path / "validation", {"b": 2, "a": 3, "C": 1}, first=15)
    (tmp_path / "train" / "a" / "notes.txt").write_text("No image.")
    return tmp_path


def labels_of(source):
    return [int(source.read(index)[1]) for index in range(source.num_examples)]


def test_a_folder_for_each_class_is_a_source(split_folders):
    source = folder(split_folders)
    assert source.num_examples == 15 and source.num_classes == 3
    assert source.class_names == ("C", "a", "b")
    for index in range(15):
        contents, label = source.read(index)
        name = source.name_of(index)
        assert f"/{source.class_names[label]}/" in name
        assert contents == tf.io.read_file(name)
    assert folder(split_folders, "validation").num_examples == 6


@pytest.mark.slow
def test_a_folder_trains_and_evaluates(split_folders):
    for images, labels in train(folder(split_folders), 5):
        assert images.any((1, 2, 3)).all() and (labels.sum(1) == 1).all()
    (batch,) = evaluate(folder(split_folders, "validation"), 6)
    assert batch[1].sum(0).tolist() == [1, 3, 2]


def test_a_folder_without_splits_is_divided_by_name(tmp_path):
    image_folders.write(tmp_path, {"a": 60, "b": 60})
    splits = [folder(tmp_path, split, 2) for split in ("train", "validation")]
    train_names, validation_names = (
        {source.name_of(i) for i in range(source.num_examples)} for source in splits
    )
    assert not train_names & validation_names
    assert len(train_names | validation_names) == 120
    assert 4 <= len(validation_names) <= 24
    # A new file moves no other.
    image_folders.write(tmp_path, {"a": 1}, first=500)
    more = folder(tmp_path, "validation", 2)
    names = {more.name_of(i) for i in range(more.num_examples)}
    assert validation_names <= names


def test_folders_that_are_no_dataset_are_refused(tmp_path):
    with pytest.raises(ValueError, match="There is no folder '.*missing'"):
        folder(tmp_path / "missing")
    with pytest.raises(ValueError, match="Pass the folder of"):
        open_source("folder", "train", num_classes=2)
    with pytest.raises(ValueError, match=r"no split 'train'.*\(none\)"):
        folder(tmp_path)
    (tmp_path / "train" / "a").mkdir(parents=True)
    with pytest.raises(ValueError, match="has no images in subfolders"):
        folder(tmp_path)
    image_folders.write(tmp_path / "train", {"a": 2})
    with pytest.raises(ValueError, match="only one class, 'a'"):
        folder(tmp_path)
    (tmp_path / "train" / "b").mkdir()
    with pytest.raises(ValueError, match="no images in these folders.*: b"):
        folder(tmp_path)


def test_other_splits_and_classes_are_refused(split_folders):
    with pytest.raises(ValueError, match="'test'.* folders train, validation"):
        folder(split_folders, "test")
    with pytest.raises(ValueError, match="has 3 classes. .*data.num_classes=10"):
        folder(split_folders, num_classes=10)
    (split_folders / "validation" / "a").rename(split_folders / "validation" / "d")
    with pytest.raises(ValueError, match="validation has images of classes.*: d. Put"):
        folder(split_folders, "validation")


def idx_bytes(array):
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


@pytest.fixture
def idx_files(tmp_path):
    """Seven images of 4 x 5 pixels, gzipped for training and plain for the test."""
    images = np.arange(7 * 4 * 5, dtype="u1").reshape(7, 4, 5)
    labels = np.array([0, 1, 2, 0, 1, 2, 0], "u1")
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        contents = idx_bytes(array)
        (tmp_path / f"train-{kind}-ubyte.gz").write_bytes(gzip.compress(contents))
        (tmp_path / f"t10k-{kind}-ubyte").write_bytes(contents)
    return tmp_path, images, labels


def idx(root, split="train", num_classes=NUM_CLASSES):
    return open_source("idx", split, num_classes=num_classes, directory=str(root))


@pytest.mark.parametrize("split", ["train", "test"])
def test_idx_files_are_a_source(idx_files, split):
    root, images, labels = idx_files
    source = idx(root, split)
    assert source.num_examples == 7
    for index in range(7):
        pixels, label = source.read(index)
        np.testing.assert_array_equal(pixels[..., 0], images[index])
        assert label == labels[index]
    assert len(train(source, 3)) == 4


def test_a_part_of_idx_files_is_a_split(idx_files):
    source = idx(idx_files[0], "train[2:6]")
    assert source.num_examples == 4
    assert labels_of(source) == [2, 0, 1, 2]
    assert source.name_of(0).endswith("image 2")
    with pytest.raises(ValueError, match="none of them is asked for"):
        idx(idx_files[0], "train[7:]")
    with pytest.raises(ValueError, match=r"train and test.*'validation'"):
        idx(idx_files[0], "validation")


def test_damaged_idx_files_are_refused(idx_files):
    root, images, _ = idx_files
    path = root / "t10k-images-idx3-ubyte"
    good = idx_bytes(images)
    hostile = good[:4] + struct.pack(">3I", *[2**32 - 1] * 3) + good[16:]
    for contents, message in (
        (b"", "does not start like IDX"),
        (good[:10], "does not start like IDX"),
        (b"\x00\x00\x0d\x03" + good[4:], "does not start like IDX"),
        (good[:-1], "claims a shape of|but has"),
        (good + b"\0", "but has more"),
        (hostile, "claims a shape of"),
        (idx_bytes(images[:5]), "do not belong together"),
    ):
        path.write_bytes(contents)
        with pytest.raises(ValueError, match=message):
            idx(root, "test")


@pytest.mark.parametrize("num_failures", [1, 9])
def test_an_error_of_the_disk_is_no_damage_of_idx_files(
    idx_files, monkeypatch, num_failures
):
    failures = iter(range(num_failures))

    def failing(*args):
        if next(failures, None) is None:
            return open(*args)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(idx_module, "open", failing, raising=False)
    monkeypatch.setattr(retrying.time, "sleep", lambda _: None)
    if num_failures == 1:
        assert idx(idx_files[0], "test").num_examples == 7
        return
    with pytest.raises(FileError, match="images-idx3-ubyte cannot be read, tried 4"):
        idx(idx_files[0], "test")


def test_a_hostile_gzip_is_refused_before_it_is_read(idx_files):
    root, images, _ = idx_files
    header = idx_bytes(images)[:4] + struct.pack(">3I", 60_000, 28, 28)
    path = root / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(header))
    with pytest.raises(ValueError, match=r"claims a shape of \(60000, 28, 28\)"):
        idx(root)
    path.write_bytes(b"no gzip")
    with pytest.raises(ValueError, match="is not an IDX file"):
        idx(root)


def test_labels_beyond_the_classes_are_refused(idx_files):
    with pytest.raises(ValueError, match="labels up to 2. .*data.num_classes=2"):
        idx(idx_files[0], num_classes=2)


def test_missing_idx_files_say_how_to_get_some(tmp_path):
    with pytest.raises(ValueError, match="apt-get install dataset-fashion-mnist"):
        idx(tmp_path)


def test_digits_are_those_of_the_example():
    digits = sklearn.datasets.load_digits()
    held_out = np.arange(len(digits.target)) % 5 == 0
    for split, chosen in (("train", ~held_out), ("test", held_out)):
        source = open_source("digits", split, num_classes=10)
        assert source.num_examples == chosen.sum()
        pixels, label = source.read(7)
        expected = (digits.images[chosen][7] * 255 / 16).round()
        np.testing.assert_array_equal(pixels[..., 0], expected)
        assert label == digits.target[chosen][7]
    assert len(evaluate(open_source("digits", "test[:30]", num_classes=10), 8)) == 4
    with pytest.raises(ValueError, match="has 10 classes. .*data.num_classes=7"):
        open_source("digits", "train", num_classes=7)


def test_sources_know_their_number_of_classes(split_folders, idx_files):
    assert folder(split_folders, num_classes=None).num_classes == 3
    assert folder(split_folders, "validation", num_classes=None).num_classes == 3
    assert idx(idx_files[0], num_classes=None).num_classes == NUM_CLASSES
    assert open_source("digits", "train").num_classes == 10


def test_other_kinds_are_refused():
    with pytest.raises(ValueError, match="Received: 'zip'"):
        open_source("zip", "train", num_classes=2)
    with pytest.raises(ValueError, match="Received: orientation='sideways'"):
        open_source("digits", "train", orientation="sideways")


def test_few_images_may_leave_a_split_empty(tmp_path):
    image_folders.write(tmp_path, {"d": 1, "b": 1})
    with pytest.raises(ValueError, match="None of the images .* falls into 'validat"):
        folder(tmp_path, "validation", num_classes=2)
