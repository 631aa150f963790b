"""Datasets of TensorFlow Datasets and of the Hugging Face library, from end to end."""

import csv
import json

import pytest
import tensorflow_datasets as tfds

from keras_effnetv2 import Classifier, finetune
from keras_effnetv2.data.printable import printable
from keras_effnetv2.finetuning.dataset import prepare_tfds
from keras_effnetv2.finetuning.outcome import PREDICTIONS, write_predictions
from keras_effnetv2.finetuning.procedure import default_workdir
from keras_effnetv2.preprocessing import record
from tests.commands.running import run_command
from tests.data.image_folders import NOT_UTF8
from tests.data.sources.test_tfds import Pictures
from tests.export import micro
from tests.finetuning import pictures
from tests.tiny_experiments import tiny_experiment

QUICK = {**pictures.QUICK, "epochs": 1}


def check(result, num_validation, num_test):
    """A model of three classes, predictions of what it was not trained on, a report."""
    assert result.model.output_shape == (None, 3)
    assert result.figures["num_validation"] == num_validation
    assert result.figures["num_test"] == num_test
    with open(result.paths["predictions"], newline="") as file:
        rows = [*csv.DictReader(file)]
    assert len(rows) == num_validation + num_test
    assert {row["label"] for row in rows} <= {*Pictures.NAMES}
    classify = Classifier(result.paths["model"])
    assert [x.name for x in classify.class_names] == [*Pictures.NAMES]
    assert "reliability" in result.paths["report"].read_text()
    assert json.loads(result.paths["survey"].read_text())["classes"]


@pytest.mark.long
def test_a_dataset_of_tensorflow_datasets(tmp_path, capsys):
    Pictures(data_dir=tmp_path / "tfds").download_and_prepare()
    tfds.core.add_data_dir(tmp_path / "tfds")
    result = finetune("tfds:pictures", tmp_path / "run", **QUICK)
    check(result, num_validation=10, num_test=10)
    out = capsys.readouterr().out
    assert "pictures: 3 classes" in out and "train[80%:]" in out
    again = finetune("tfds:pictures", tmp_path / "run", **QUICK)
    assert again.figures["test_accuracy"] == result.figures["test_accuracy"]


class UnlabelledTest(Pictures):
    """The images to test are without labels, as for a competition."""

    def _generate_examples(self, first, num):
        for number, example in super()._generate_examples(first, num):
            yield number, example | ({"label": -1} if first else {})


class PartlyLabelledTest(Pictures):
    """One of the images to test has no label."""

    def _generate_examples(self, first, num):
        for number, example in super()._generate_examples(first, num):
            yield number, example | ({"label": -1} if number == 53 else {})


def test_a_test_split_without_labels_is_left_out(tmp_path):
    tfds.core.add_data_dir(tmp_path)
    for kind, split in ((UnlabelledTest, None), (PartlyLabelledTest, "test")):
        kind(data_dir=tmp_path).download_and_prepare()
        dataset = prepare_tfds(kind.name, tmp_path)
        assert dataset.test_split == split
        assert any("test have no labels" in x for x in dataset.lines) == (split is None)


@pytest.mark.parametrize(("damaged", "num_sound"), [(False, 9), (True, 8)])
def test_held_out_records_that_are_damaged_are_left_out(tmp_path, damaged, num_sound):
    PartlyLabelledTest(data_dir=tmp_path).download_and_prepare()
    if damaged:
        (path,) = tmp_path.rglob("*-test.tfrecord*")
        contents = bytearray(path.read_bytes())
        contents[100] ^= 255
        path.write_bytes(contents)
    experiment = tiny_experiment(
        "data.source=tfds",
        f"data.name={PartlyLabelledTest.name}",
        f"data.directory={tmp_path}",
        "data.eval_split=test",
        "data.num_classes=3",
    )
    contract = record("efficientnetv2-b0", "imagenet", 32).unlabelled()
    model = micro.classifier_of(contract, 3)
    figures = write_predictions(model, experiment, None, tmp_path)
    assert figures["num_validation"] == num_sound
    assert len((tmp_path / PREDICTIONS).read_text().splitlines()) == 1 + num_sound


@pytest.fixture(name="saved", scope="module")
def fixture_saved(tmp_path_factory):
    datasets = pytest.importorskip("datasets")
    from tests.data.sources.test_hugging_face import make

    folder = tmp_path_factory.mktemp("datasets") / "pictures"
    splits = {"train": make(0, 40), "test": make(50, 6)}
    datasets.DatasetDict(splits).save_to_disk(str(folder))
    return folder


@pytest.mark.long
def test_a_dataset_of_the_hugging_face_library(saved, tmp_path, capsys):
    result = finetune(f"hf://{saved}", tmp_path / "run", **QUICK)
    check(result, num_validation=9, num_test=6)
    config = json.loads(result.paths["config"].read_text())
    assert config["data"]["source"] == "hugging_face"
    assert config["data"]["name"] == str(saved)
    out = capsys.readouterr().out
    assert "3 classes" in out and "train[held_out]" in out


def test_its_labels_are_enough(saved, tmp_path, capsys):
    words = ["finetune", f"hf://{saved}", "--labels", "y.csv"]
    words += ["--weights", "none", "--workdir", str(tmp_path / "run")]
    assert run_command(*words) == 2
    assert "has labels" in capsys.readouterr().err


def test_work_folders_are_called_after_datasets():
    names = {
        "hf://beans/AI-Lab@main": "AI-Lab",
        "hf://owner/flowers:small": "flowers",
        "tfds:cifar10:3.0.2": "cifar10",
        "photos/mine@home": "mine@home",
        NOT_UTF8: printable(NOT_UTF8),
    }
    for photographs, name in names.items():
        assert default_workdir(photographs).name == name
