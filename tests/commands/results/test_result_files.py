"""Results of many images in files: whole, in any format, and taken up again."""

import argparse
import csv
import json
import os

import pytest

from keras_effnetv2.classification.classifying import Classifier
from keras_effnetv2.commands.results import image_runs
from keras_effnetv2.commands.results.result_files import UnfinishedRows
from tests import image_files as files
from tests.commands import finished_run
from tests.commands.running import run_command


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        picture = files.RGB.rotate(10 * number)
        (folder / f"{number}.png").write_bytes(files.encode(picture, "PNG"))
    (folder / "3.png").write_bytes(b"<html>")
    return folder


def wanted(network, photos):
    """Of each file its two best classes."""
    return {
        str(x.source): [(y.index, y.name, y.score) for y in x.top(2)]
        for x in Classifier(network)(photos)
    }


def read(path):
    """Of each file its error and its classes, of any format."""
    if path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        return {
            row["file"]: (
                row["error"],
                [(x["index"], x["name"], x["score"]) for x in row["classes"]],
            )
            for row in rows
        }
    if path.suffix == ".parquet":
        from pyarrow import parquet

        rows = parquet.read_table(path).to_pylist()
    else:
        with path.open(newline="") as file:
            rows = [*csv.DictReader(file)]
    kinds = (("index", int), ("name", str), ("score", float))
    return {
        row["file"]: (
            row["error"] or None,
            [
                tuple(kind(row[f"{name}_{place}"]) for name, kind in kinds)
                for place in (1, 2)
                if row[f"{name_of_first(kinds)}_{place}"] not in (None, "")
            ],
        )
        for row in rows
    }


def name_of_first(kinds):
    return kinds[0][0]


def check(path, network, photos):
    found, expected = read(path), wanted(network, photos)
    assert [*found] == [*expected]
    for name, (error, classes) in found.items():
        assert [x[:2] for x in classes] == [x[:2] for x in expected[name]]
        scores = [x[2] for x in expected[name]]
        assert [x[2] for x in classes] == pytest.approx(scores, abs=1e-6)
        assert ("3.png cannot be read" in (error or "")) == name.endswith("3.png")


@pytest.mark.parametrize(
    "kind", ["csv", pytest.param("jsonl", marks=pytest.mark.slow), "parquet"]
)
def test_every_format_has_classes_and_errors(capsys, network, photos, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    output = photos.parent / "new" / f"predictions.{kind}"
    flags = ["--model", network, "--top", 2, "--batch_size", 2, "--output", output]
    assert run_command("predict", photos, *flags) == 1
    out, errors = capsys.readouterr()
    assert out == f"{output}: 6 images\n"
    assert errors.splitlines()[-1] == "1 of 6 images could not be read."
    check(output, network, photos)
    assert [*output.parent.iterdir()] == [output]


@pytest.mark.long
def test_csv_and_json_go_to_the_screen_too(capsys, network, photos):
    for kind in ("csv", "jsonl"):
        flags = ["--model", network, "--top", 2, "--format", kind]
        assert run_command("predict", photos, *flags) == 1
        path = photos.parent / f"out.{kind}"
        path.write_text(capsys.readouterr().out)
        check(path, network, photos)


def test_the_format_decides_and_not_the_name(capsys, network, photos):
    output = photos.parent / "predictions.txt"
    assert run_command("predict", photos, "--model", network, "--output", output) == 1
    lines = output.read_text().splitlines()
    assert lines[0] == str(photos / "0.png") and len(lines) == 5 * (1 + 4) + 2
    assert "error  " in lines[16] and "3.png cannot be read" in lines[16]


class Stopped(BaseException):
    """As a process that is killed."""


@pytest.fixture
def stopped(monkeypatch):
    """Runs end after so many images."""

    def stop_after(num):
        def rows(classifier, images, output, is_shown=True):
            for number, row in enumerate(classifier.rows(images, output)):
                if number == num:
                    raise Stopped
                yield row

        monkeypatch.setattr(image_runs, "with_progress", rows)

    yield stop_after


def test_what_was_stopped_goes_on_where_it_was(
    capsys, network, photos, stopped, monkeypatch
):
    output = photos.parent / "predictions.csv"
    flags = [photos, "--model", network, "--top", 2, "--batch_size", 2]
    with monkeypatch.context():
        stopped(4)
        with pytest.raises(Stopped):
            run_command("predict", *flags, "--output", output)
    unfinished = output.with_name(".predictions.csv.part")
    assert not output.exists() and unfinished.exists()
    # The last line was being written.
    unfinished.write_bytes(unfinished.read_bytes()[:-9])
    monkeypatch.undo()
    seen = []
    rows = Classifier.rows

    def note(self, inputs, kind):
        seen.extend(x.name for x in inputs)
        return rows(self, inputs, kind)

    monkeypatch.setattr(Classifier, "rows", note)
    assert run_command("predict", *flags, "--output", output) == 1
    assert "Resuming: 3 images are done, 3 are left." in capsys.readouterr().err
    assert seen == [str(photos / f"{number}.png") for number in (3, 4, 5)]
    monkeypatch.undo()
    check(output, network, photos)
    assert not unfinished.exists()


@pytest.mark.parametrize("num_whole", [0, 1, 2])
def test_rows_cut_off_just_before_their_newline_are_not_done(tmp_path, num_whole):
    path, settings = tmp_path / "a.csv", {"top": 5}
    rows = [{"file": name, "error": None} for name in "xyz"]
    UnfinishedRows(path, settings).append(rows[:num_whole])
    part = tmp_path / ".a.csv.part"
    part.write_bytes(part.read_bytes()[:-1])
    resumed = UnfinishedRows(path, settings)
    done = rows[: max(num_whole - 1, 0)]
    assert resumed.done == {row["file"] for row in done}
    resumed.append(rows[len(done) :])
    assert [*UnfinishedRows(path, settings).rows()] == rows


def test_what_was_begun_with_other_settings_is_not_gone_on_with(
    capsys, network, photos, stopped
):
    output = photos.parent / "predictions.csv"
    stopped(2)
    with pytest.raises(Stopped):
        run_command("predict", photos, "--model", network, "--output", output)
    flags = ["--model", network, "--output", output]
    assert run_command("predict", photos, *flags, "--top", 2) == 2
    error = capsys.readouterr().err
    assert (
        "predictions.csv was started with other settings: top is 5 there and 2" in error
    )
    assert "or remove " in error and error.count("\n") == 1
    output.with_name(".predictions.csv.part").write_text("<html>")
    assert run_command("predict", photos, *flags) == 2
    assert "is not an unfinished file of results" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["predictions.csv", "results/predictions.csv"])
def test_results_beside_the_model_are_gone_on_with(
    capsys, photos, stopped, monkeypatch, name
):
    model = photos.parent / "model"
    finished_run.write(model)
    flags = [photos, "--model", model, "--output", model / name]
    with monkeypatch.context():
        stopped(4)
        with pytest.raises(Stopped):
            run_command("predict", *flags, "--batch_size", 2)
    (model / "embedded.npz").write_bytes(b"Of another command.")
    monkeypatch.undo()
    assert run_command("predict", *flags) == 1
    assert "Resuming: 4 images are done, 2 are left." in capsys.readouterr().err


@pytest.mark.parametrize("name", ["metrics.json", "checkpoints/best.weights.h5"])
def test_a_model_that_has_changed_since_is_noticed(tmp_path, name):
    (tmp_path / "checkpoints").mkdir()
    path = tmp_path / name
    path.write_text("old")
    args = argparse.Namespace(**dict.fromkeys(image_runs._SETTINGS))
    args.model = str(tmp_path)
    before = image_runs.settings(args)
    assert image_runs.settings(args) == before
    os.utime(path, (2e9, 2e9))
    assert image_runs.settings(args) != before


def test_an_old_file_stays_until_the_new_one_is_whole(network, photos, stopped):
    output = photos.parent / "predictions.csv"
    output.write_text("old")
    stopped(5)
    with pytest.raises(Stopped):
        run_command("predict", photos, "--model", network, "--output", output)
    assert output.read_text() == "old"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--format", "parquet"], "--format parquet needs a file. Name it: --output"),
        (
            ["--format", "csv", "--output", "photos/0.png/a.csv"],
            "Nothing can be written",
        ),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(
    capsys, network, photos, monkeypatch, flags, message
):
    monkeypatch.chdir(photos.parent)
    monkeypatch.setattr(image_runs, "open_classifier", lambda _: pytest.fail("a model"))
    assert run_command("predict", photos, "--model", network, *flags) == 2
    assert message in capsys.readouterr().err


def test_parquet_without_its_package_is_said(capsys, network, photos, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    output = photos.parent / "a.parquet"
    assert run_command("predict", photos, "--model", network, "--output", output) == 2
    assert "pip install 'keras_effnetv2[parquet]'" in capsys.readouterr().err
