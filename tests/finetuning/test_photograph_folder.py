"""The photographs in a folder: which are taken, and what class they are of."""

import shutil

from keras_effnetv2.finetuning.photographs.photograph_folder import find_photographs
from keras_effnetv2.finetuning.photographs.work_files import CHOICES, SPLIT, SURVEY
from tests.finetuning import pictures


def test_what_is_left_out_of_folders_is_warned_of(tmp_path, caplog):
    pictures.write(tmp_path / "train", {"cat": 6, "dog": 6})
    pictures.write(tmp_path, {"owl": 2})
    (tmp_path / "train" / "empty").mkdir()
    shutil.copy(tmp_path / "owl/00.jpg", tmp_path / "alone.jpg")
    found = find_photographs(tmp_path)
    assert found.class_names == ["cat", "dog"] and len(found.rows) == 12
    left_out, empty, alone = caplog.messages
    assert left_out.startswith("Left out: owl, next to the folders of training images")
    assert empty.endswith("empty has no images.")
    assert alone.startswith("1 images directly in") and "no folder of a class" in alone


def test_earlier_runs_inside_are_no_class(tmp_path, caplog, monkeypatch):
    top = pictures.write(tmp_path, {"cat": 6, "dog": 6, "runs/first": 1})
    pictures.write(top / "dog", {"run/explained": 2, "runner": 1})
    for run, name in ((top / "runs" / "first", SPLIT), (top / "dog" / "run", CHOICES)):
        for file in (SURVEY, name):
            (run / file).touch()
    (top / "dog" / "runner" / SURVEY).touch()
    monkeypatch.chdir(top)
    for folder in (top, "."):
        found = find_photographs(folder)
        assert found.class_names == ["cat", "dog"] and len(found.rows) == 13
    messages = [x for x in caplog.messages if x.startswith("Left out")]
    dog, runs = messages[-2:]
    assert dog == "Left out, as work folders of earlier runs: dog/run."
    assert runs == "Left out, as work folders of earlier runs: runs/first."


def test_folders_below_a_class_are_of_it(tmp_path):
    pictures.write(tmp_path / "cat", {"2024": 3, "2025": 3})
    pictures.write(tmp_path, {"dog": 4})
    rows = find_photographs(tmp_path).rows
    assert {(row.file.split("/")[0], row.labels) for row in rows} == {
        ("cat", ("cat",)), ("dog", ("dog",))
    }  # fmt: skip
