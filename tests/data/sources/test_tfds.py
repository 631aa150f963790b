"""Splits of TensorFlow Datasets, written by its own writer."""

import collections
import shutil

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_effnetv2.data.decode_errors import DecodeErrors
from keras_effnetv2.data.records.array_records import open_array_records
from keras_effnetv2.data.sources import Reading, open_source
from tests.data import image_folders
from tests.data.batches import assert_same, evaluate, train


class Pictures(tfds.core.GeneratorBasedBuilder):
    """50 images to train with and 10 to test, each of one class."""

    VERSION = tfds.core.Version("1.0.0")
    NAMES = ("ant", "bee", "cow")
    label_key = "label"

    def _info(self):
        label = tfds.features.ClassLabel(names=self.NAMES)
        features = {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "label": label,
            "labels": tfds.features.Sequence(label),
            "note": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", self.label_key),
        )

    def _split_generators(self, dl_manager):
        return {
            "train": self._generate_examples(0, 50),
            "test": self._generate_examples(50, 10),
        }

    def _generate_examples(self, first, num):
        for number in range(first, first + num):
            classes = [[], [0, 2]][number % 2]
            yield (
                number,
                {
                    "image": np.asarray(image_folders.picture(number)),
                    "label": number % 3,
                    "labels": classes,
                    "note": str(number),
                },
            )


class SeveralPictures(Pictures):
    """The same, with several labels an image."""

    label_key = "labels"


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Folder of TensorFlow Datasets with `pictures` and `several_pictures`."""
    root = tmp_path_factory.mktemp("tfds")
    config = tfds.download.DownloadConfig(num_shards=3)
    for builder in (Pictures, SeveralPictures):
        builder(data_dir=root).download_and_prepare(download_config=config)
    return root


def open_tfds(root, split, name="pictures", **options):
    options = {"num_classes": 3, "directory": str(root), "name": name} | options
    return open_source("tfds", split, **options)


@pytest.mark.parametrize(
    "split", ["train", "train[:98%]", "train[7:31]", "train+test", "test"]
)
def test_splits_are_those_of_tensorflow_datasets(datasets, split):
    source = open_tfds(datasets, split)
    expected = tfds.load(
        "pictures",
        data_dir=datasets,
        split=split,
        decoders={"image": tfds.decode.SkipDecoding()},
    )
    examples = [*expected.as_numpy_iterator()]
    assert source.num_examples == len(examples)
    found = collections.Counter()
    for index in range(source.num_examples):
        contents, label = source.read(index)
        found[contents.numpy(), int(label)] += 1
    wanted = collections.Counter((x["image"], int(x["label"])) for x in examples)
    assert found == wanted
    assert source.class_names == Pictures.NAMES


def test_a_tfds_dataset_trains_and_evaluates(datasets):
    (_, labels), *_ = batches = train(open_tfds(datasets, "train[:90%]"), 9)
    assert len(batches) == 10 and labels.shape == (9, 3)
    assert len(evaluate(open_tfds(datasets, "test", cache=True), 4)) == 3


def test_a_tfds_dataset_may_have_several_labels(datasets):
    options = {"name": "several_pictures", "multi_label": True}
    source = open_tfds(datasets, "train", **options)
    rows = {tuple(source.read(index)[1].numpy()) for index in range(50)}
    assert rows == {(0, 0, 0), (1, 0, 1)}
    with pytest.raises(ValueError, match="each with one class"):
        open_tfds(datasets, "train", name="several_pictures")
    with pytest.raises(ValueError, match="each with a sequence of classes"):
        open_tfds(datasets, "train", multi_label=True)


def test_what_tfds_does_not_have_is_refused(datasets):
    with pytest.raises(ValueError, match="no split 'validation'.*train, test|test, tr"):
        open_tfds(datasets, "validation")
    with pytest.raises(ValueError, match=r"'train\[:0\]' of pictures.* no images"):
        open_tfds(datasets, "train[:0]")
    with pytest.raises(ValueError, match="has 3 classes. .*data.num_classes=10"):
        open_tfds(datasets, "train", num_classes=10)
    with pytest.raises(ValueError, match="'no_such_dataset'.* cannot") as caught:
        open_tfds(datasets, "train", name="no_such_dataset")
    assert len(str(caught.value)) < 700  # Not the names of all that there are.


def test_a_dataset_of_another_format_says_how_to_convert_it(tmp_path):
    builder = Pictures(data_dir=tmp_path, file_format="parquet")
    builder.download_and_prepare()
    with pytest.raises(ValueError, match="stored as parquet.*or array_record.*='tfr"):
        open_tfds(tmp_path, "train")


@pytest.fixture(scope="module")
def array_records(tmp_path_factory):
    """The same dataset as ArrayRecord files, with its folder."""
    pytest.importorskip("array_record")
    root = tmp_path_factory.mktemp("array_records")
    config = tfds.download.DownloadConfig(num_shards=3)
    builder = Pictures(data_dir=root, file_format="array_record")
    builder.download_and_prepare(download_config=config)
    return root


@pytest.mark.parametrize("split", ["train", "train[7:31]", "train+test"])
def test_array_record_files_hold_the_same(datasets, array_records, split):
    found, expected = (
        sorted((x.numpy(), int(y)) for x, y in map(source.read, range(100)[:num]))
        for source in (open_tfds(array_records, split), open_tfds(datasets, split))
        for num in [source.num_examples]
    )
    assert found == expected


@pytest.mark.long
def test_array_record_files_are_read_in_chunks(array_records):
    ours = {"reading": Reading("chunks", window_chunks=2)}
    source = open_tfds(array_records, "train[3:]", **ours)
    assert source.chunks.store.num_chunks == 3
    batches = train(source, 9)
    assert len(batches) == 10
    rows = [row.tobytes() for images, _ in batches[:5] for row in images]
    assert len({*rows}) == 45
    assert_same(evaluate(source, 4), evaluate(open_tfds(array_records, "train[3:]"), 4))


def test_array_records_are_named_by_their_number_in_the_file(array_records):
    whole, part = (open_tfds(array_records, x) for x in ("train", "train[20:]"))
    names = [*map(whole.name_of, range(50))]
    assert [*map(part.name_of, range(30))] == names[20:]
    assert len({*names}) == 50
    for file in range(3):
        (first,) = (x for x in names if f"-{file:05}-of-" in x and x.endswith(" 0"))
        assert first.endswith("-of-00003 record 0")


def test_what_is_no_local_array_record_is_refused(tmp_path):
    pytest.importorskip("array_record")
    (tmp_path / "a").write_bytes(bytes(1000))
    for path, message in {
        str(tmp_path / "a"): "hold 0 records, but the dataset says 9: .* cut off",
        "gs://bucket/a": "only from the local .* Received: gs://bucket/a. Mount",
    }.items():
        reading = Reading(num_records=9)
        with pytest.raises(ValueError, match=message):
            open_array_records([path], tf.identity, reading, parts=[slice(None)])


@pytest.mark.long
def test_damaged_array_records_are_skipped_or_refused(array_records, tmp_path):
    shutil.copytree(array_records, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "pictures" / "1.0.0"
    path = sorted(folder.glob("*train*-of-*"))[1]
    contents = bytearray(path.read_bytes())
    contents[2000] ^= 1
    path.write_bytes(contents)
    for order in ("full", "chunks"):
        source = open_tfds(tmp_path, "train", reading=Reading(order))
        decode_errors = DecodeErrors("train", 50, max_share=0.5)
        assert len(train(source, 10, decode_errors=decode_errors)) == 10
        assert 0 < decode_errors.num_damaged < 20
    path.write_bytes(contents[:3000])
    with pytest.raises(ValueError, match="the dataset says 50: one of them is cut"):
        open_tfds(tmp_path, "train")
    path.unlink()
    with pytest.raises(ValueError, match=f"{path.name} is missing"):
        open_tfds(tmp_path, "train")
