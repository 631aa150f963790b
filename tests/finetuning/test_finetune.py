"""A folder becomes a model, predictions and commands; the same call goes on."""

import csv
import html
import json
import re
import shlex
import shutil
import sys

import keras
import pytest

from keras_effnetv2 import Classifier, finetune
from keras_effnetv2 import __main__ as command_line
from keras_effnetv2.errors import InputError, Interrupted
from keras_effnetv2.training import load_run
from tests.commands.running import run_command
from tests.data.image_folders import NOT_UTF8, damage
from tests.finetuning import crops, pictures

COUNTS = {"cat": 12, "dog": 9, "owl": 6}


@pytest.fixture(name="photographs", scope="module")
def fixture_photographs(tmp_path_factory):
    """Uneven classes, a damaged file and a test part."""
    top = pictures.write(tmp_path_factory.mktemp("data") / "my photos", COUNTS)
    pictures.write(top / "test", {"cat": 2, "dog": 2}, seed=1)
    shutil.copy(top / "cat" / "00.jpg", top / "cat" / "damaged.jpg")
    damage(top / "cat" / "damaged.jpg")
    return top


@pytest.fixture(name="result", scope="module")
def fixture_result(photographs):
    return finetune(photographs, photographs.parent / "run", **pictures.QUICK)


def rows_of(path):
    with open(path, newline="") as file:
        return [*csv.DictReader(file)]


@pytest.mark.long
def test_a_model_comes_out_that_classifies_its_photographs(result, photographs):
    classify = Classifier(result.paths["model"])
    assert [x.name for x in classify.class_names] == [*COUNTS]
    assert classify(photographs / "cat" / "03.jpg").name in COUNTS
    assert result.model.output_shape == (None, 3)


@pytest.mark.long
def test_predictions_are_of_all_images_that_were_not_trained_on(result):
    rows = rows_of(result.paths["predictions"])
    split = rows_of(result.paths["split"])
    expected = [x["file"] for x in split if x["part"] != "train"]
    assert sorted(row["file"] for row in rows) == sorted(expected)
    assert {row["part"] for row in rows} == {"validation", "test"}
    test = [row for row in rows if row["part"] == "test"]
    right = sum(row["label"] == row["predicted"] for row in test)
    assert result.figures["test_accuracy"] == right / len(test)
    classify = Classifier(result.paths["model"])
    root = json.loads(result.paths["config"].read_text())["data"]["directory"]
    for row in rows[:3]:
        best = classify(f"{root}/{row['file']}").top(1)[0]
        assert best.name == row["predicted"]
        assert best.score == pytest.approx(float(row["score"]), abs=2e-3)


@pytest.mark.long
def test_what_was_chosen_is_written_and_is_the_experiment(result):
    chosen = json.loads(result.paths["choices"].read_text())
    config = json.loads(result.paths["config"].read_text())
    assert chosen["experiment"] == config
    names = {row["name"] for row in chosen["choices"]}
    assert {"network", "weights", "epochs", "image size", "learning rate"} <= names
    assert all(row["reason"] for row in chosen["choices"])
    survey = json.loads(result.paths["survey"].read_text())
    assert [*survey["unreadable"]] == ["cat/damaged.jpg"]


@pytest.mark.long
def test_calibration_is_told_before_and_after_the_temperature(result):
    figures, report = result.figures, result.paths["report"].read_text()
    before, after = figures["calibration_error"], figures["calibrated_error"]
    assert 0 <= before <= 1 and 0 <= after <= 1 and figures["temperature"] > 0
    (line,) = (x for x in result.lines() if "ECE" in x)
    for value in (f"{before:.1%}", f"{after:.1%}"):
        assert value in line and f"<strong>{value}</strong>" in report


@pytest.mark.long
def test_the_same_call_again_gives_what_it_gave(result, photographs, capsys):
    before = load_run(result.paths["workdir"]).get_weights()
    again = finetune(photographs, result.paths["workdir"], **pictures.QUICK)
    assert "Measuring" not in capsys.readouterr().out
    for one, other in zip(before, again.model.get_weights(), strict=True):
        assert (one == other).all()
    for name in ("validation_accuracy", "test_accuracy"):
        assert again.figures[name] == result.figures[name]


@pytest.mark.long
def test_another_call_is_refused_in_its_folder(result, photographs):
    with pytest.raises(InputError, match="epochs is 2 there and 3 now"):
        finetune(
            photographs, result.paths["workdir"], **{**pictures.QUICK, "epochs": 3}
        )


@pytest.mark.long
def test_commands_that_come_next_can_be_pasted(result, capsys):
    commands = [shlex.split(x)[3:] for x in result.commands()]
    assert [x[0] for x in commands] == ["predict", "explain", "export"]
    for words in commands[:2]:
        assert run_command(*words) == 0
    command_line.parse(["", *commands[2]])
    assert (result.paths["workdir"] / "why.png").is_file()
    out = capsys.readouterr().out
    assert any(name in out for name in COUNTS)


class _StopIn(keras.callbacks.Callback):
    """Ends the process's part of a training after an epoch."""

    def on_epoch_end(self, epoch, logs=None):
        raise Interrupted("asked to")


@pytest.mark.slow
def test_a_call_that_was_stopped_goes_on_to_the_same_end(result, photographs, tmp_path):
    with pytest.raises(Interrupted):
        finetune(photographs, tmp_path / "run", **pictures.QUICK, callbacks=[_StopIn()])
    assert not (tmp_path / "run" / "model.keras").exists()
    again = finetune(photographs, tmp_path / "run", **pictures.QUICK)
    for one, other in zip(
        again.model.get_weights(), result.model.get_weights(), strict=True
    ):
        assert (one == other).all()


@pytest.mark.slow
def test_several_labels_from_a_table(photographs, tmp_path):
    table = tmp_path / "labels.csv"
    files = [f"{name}/{i:02}.jpg" for name in ("cat", "dog") for i in range(8)]
    labels = [f"{x[:3]};even" if int(x[4:6]) % 2 == 0 else x[:3] for x in files]
    lines = (f"{file},{label}" for file, label in zip(files, labels, strict=True))
    table.write_text("\n".join(["file,label", *lines]))
    result = finetune(
        photographs, tmp_path / "run", labels=table, **{**pictures.QUICK, "epochs": 1}
    )
    config = json.loads(result.paths["config"].read_text())
    assert config["loss"] == "sigmoid" and config["data"]["num_classes"] == 3
    rows = rows_of(result.paths["predictions"])
    assert {row["label"] for row in rows} <= {"cat", "cat;even", "dog", "dog;even"}


def refused(words, message, capsys):
    assert run_command("finetune", *words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("error: ") == 1
    assert error.strip().splitlines()[-1].startswith("error: ")


def test_what_cannot_be_done_is_said_in_a_line(photographs, tmp_path, capsys):
    folder, run = str(photographs), str(tmp_path / "run")
    here = ["--workdir", run, "--weights", "none"]
    refused(["absent", *here], "There is no folder 'absent'", capsys)
    image = str(photographs / "cat" / "00.jpg")
    refused([image, *here], "is a file. Expected a folder", capsys)
    refused([folder, *here, "--minutes", "0"], "minutes must be", capsys)
    refused([folder, *here, "--variant", "resnet"], "resnet", capsys)
    refused([folder, *here, "--strategy", "mirrored"], "TensorFlow finds none", capsys)
    refused([folder, *here, "--strategy", "multiworker"], "in one process", capsys)
    refused([folder, *here, "--set", "epoch=3"], "No setting is called", capsys)
    refused(["tfds:x", *here, "--labels", "y.csv"], "Leave them out", capsys)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.doc").write_text("")
    other = ["--workdir", str(tmp_path / "other")]
    refused([folder, *other], "holds other files: thesis.doc", capsys)
    refused([folder, "--workdir", image], "cannot be written", capsys)
    refused([folder, "--workdir", f"{run}{NOT_UTF8}"], "is not UTF-8", capsys)


def test_what_the_report_needs_is_said_before_training(
    photographs, tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    run = tmp_path / "run"
    words = [str(photographs), "--workdir", str(run), "--weights", "none"]
    refused(words, "A report needs jinja2: pip install", capsys)
    assert not run.exists()


@pytest.mark.slow
def test_crops_with_all_that_is_wrong_in_folders(tmp_path):
    """In minutes on two cores, from EfficientNet-Lite0's weights."""
    found = crops.write(tmp_path)
    result = finetune(found.folder, tmp_path / "run", variant="efficientnet-lite0")
    survey = json.loads(result.paths["survey"].read_text())
    assert {*survey["unreadable"]} == {*found.damaged}
    copies = [{*group} for group in survey["duplicates"]]
    assert sum({*pair} in copies for pair in found.copies) >= 16
    parts = {row["file"]: row["part"] for row in rows_of(result.paths["split"])}
    assert all(parts[one] == parts[other] for one, other in found.copies)
    classify = Classifier(result.model)
    right = [x.name == x.source.parent.name for x in classify.stream(found.clean)]
    assert len(right) == 120 and sum(right) / len(right) > 0.95
    report = result.paths["report"].read_text()
    suspects = report.partition('id="labels"')[2].partition('id="calibration"')[0]
    assert sum(file in plain(suspects) for file in found.wrong) >= 7
    assert sum(other in plain(report) for _, other in found.copies) >= 16


def plain(page):
    return html.unescape(re.sub(r"<[^>]+>", "", page))
