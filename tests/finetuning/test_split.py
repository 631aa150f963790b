"""The survey and the split: what is there, divided by class, copies together."""

import json
import os
import random
import shutil

import pytest

from keras_effnetv2.data.labelled_files import LabelledFile, read_table, table_text
from keras_effnetv2.data.printable import printable
from keras_effnetv2.data.sources.csv_files import open_csv
from keras_effnetv2.errors import InputError
from keras_effnetv2.finetuning.outcome import read_survey
from keras_effnetv2.finetuning.photographs.photograph_folder import find_photographs
from keras_effnetv2.finetuning.photographs.split import split_photographs
from keras_effnetv2.finetuning.photographs.survey import compare, survey_photographs
from keras_effnetv2.finetuning.photographs.work_files import SURVEY
from tests.data.image_folders import damage
from tests.finetuning import pictures

COUNTS = {"cat": 20, "dog": 10, "owl": 5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With a copy, one in another class, and a damaged file."""
    top = pictures.write(tmp_path_factory.mktemp("photographs"), COUNTS)
    shutil.copy(top / "cat" / "00.jpg", top / "cat" / "copy.jpg")
    shutil.copy(top / "dog" / "03.jpg", top / "owl" / "dog.jpg")
    shutil.copy(top / "owl" / "01.jpg", top / "owl" / "damaged.jpg")
    damage(top / "owl" / "damaged.jpg")
    (top / "cat" / "notes.txt").write_text("no image")
    return top


@pytest.fixture(name="survey", scope="module")
def fixture_survey(folder):
    return survey_photographs(find_photographs(folder))


def parts_of(rows):
    return {row.file: row.part for row in rows}


def test_what_is_there_is_told(survey):
    report = json.loads(survey.to_json())
    assert report["classes"] == {"cat": 21, "dog": 10, "owl": 6}
    assert report["formats"] == {"JPEG": 37}
    assert report["sizes"]["median"] == [48, 40]
    assert [*report["unreadable"]] == ["owl/damaged.jpg"]
    assert report["exact_duplicates"] == [
        ["cat/00.jpg", "cat/copy.jpg"],
        ["dog/03.jpg", "owl/dog.jpg"],
    ]
    assert report["duplicates_in_several_classes"] == [["dog/03.jpg", "owl/dog.jpg"]]
    text = "\n".join(survey.lines())
    assert "37 images in 3 classes" in text
    assert "1 files cannot be read: owl/damaged.jpg" in text
    assert "1 images are in several classes: dog/03.jpg and owl/dog.jpg" in text
    assert "The largest class has 3.5 times the images of the smallest" in text


def test_the_report_gets_what_was_found(survey, tmp_path):
    assert read_survey(tmp_path) is None
    (tmp_path / SURVEY).write_bytes(survey.to_json())
    found = read_survey(tmp_path)
    assert found.counts["owl"] == {"images": 6}
    assert found.warnings[: len(survey.warnings())] == survey.warnings()
    assert "The same: cat/00.jpg, cat/copy.jpg" in found.warnings
    assert found.warnings[-1].startswith("owl/damaged.jpg: ")
    (tmp_path / SURVEY).write_text('{"warnings": []}')  # Of a named dataset.
    assert read_survey(tmp_path) is None


def test_a_fifth_of_each_class_is_for_validation(survey):
    rows = split_photographs(survey)
    validation = [row for row in rows if row.part == "validation"]
    counts = {name: sum(row.labels == (name,) for row in validation) for name in COUNTS}
    assert counts["cat"] in (4, 5) and counts["dog"] in (2, 3) and counts["owl"] >= 1
    assert len(rows) == 37 and "owl/damaged.jpg" not in parts_of(rows)


def test_a_class_of_two_bursts_is_validated_with_one(tmp_path):
    top = pictures.write(tmp_path, {"cat": 20, "dog": 20, "burst": 2})
    for path in [*(top / "burst").iterdir()]:
        for number in range(5 if path.name == "00.jpg" else 4):
            shutil.copy(path, path.with_name(f"{number}_{path.name}"))
    survey = survey_photographs(find_photographs(top))
    for seed in range(4):
        rows = split_photographs(survey, seed)
        parts = [row.part for row in rows if row.labels == ("burst",)]
        assert parts.count("validation") == 5 and parts.count("train") == 6


def test_copies_are_on_one_side(survey):
    for seed in range(20):
        parts = parts_of(split_photographs(survey, seed))
        assert parts["cat/00.jpg"] == parts["cat/copy.jpg"]
        assert parts["dog/03.jpg"] == parts["owl/dog.jpg"]


def test_the_split_does_not_depend_on_the_order_or_the_place_of_files(survey):
    rows = [*zip(survey.photographs.rows, survey.looks, strict=True)]
    random.Random(0).shuffle(rows)
    shuffled, looks = zip(*rows, strict=True)
    photographs = type(survey.photographs)(survey.photographs.root, shuffled)
    again = compare(photographs, [*looks])
    assert split_photographs(again) == split_photographs(survey)
    assert split_photographs(survey, 1) != split_photographs(survey)


def test_the_split_is_a_table(survey, tmp_path):
    rows = split_photographs(survey)
    (tmp_path / "split.csv").write_bytes(table_text(rows))
    assert read_table(tmp_path / "split.csv", multi_label=False) == rows


def test_names_in_the_table_are_exact(tmp_path):
    names = {" cats": 5, "cats": 5, "cats ": 5, "\u3000cats": 5, "c\ra\nt": 5, ' "': 5}
    top = pictures.write(tmp_path / "photographs", names)
    (top / "cats" / "00.jpg").rename(top / "cats" / " \r00.jpg")
    rows = split_photographs(survey_photographs(find_photographs(top)))
    table = tmp_path / "split.csv"
    table.write_bytes(table_text(rows))
    assert read_table(table, multi_label=False) == rows
    source = open_csv("train", 6, str(table), str(top))
    assert {*source.class_names} == {*map(printable, names)}


def test_parts_that_are_there_are_kept_and_copies_of_others_not_trained_on(tmp_path):
    pictures.write(tmp_path / "train", {"cat": 6, "dog": 6})
    pictures.write(tmp_path / "val", {"cat": 2, "dog": 2}, seed=1)
    pictures.write(tmp_path / "test", {"cat": 2, "dog": 2}, seed=2)
    shutil.copy(tmp_path / "val/cat/00.jpg", tmp_path / "train/cat/leak.jpg")
    shutil.copy(tmp_path / "test/dog/00.jpg", tmp_path / "train/dog/leak.jpg")
    parts = parts_of(split_photographs(survey_photographs(find_photographs(tmp_path))))
    expected = {"train": "train", "val": "validation", "test": "test"}
    assert {(x.split("/")[0], part) for x, part in parts.items()} == {*expected.items()}
    assert len(parts) == 20 and not any("leak" in name for name in parts)


def test_a_validation_part_of_copies_alone_is_chosen_anew(tmp_path):
    pictures.write(tmp_path / "train", {"cat": 10, "dog": 10})
    for part in ("val", "test"):
        pictures.write(tmp_path / part, {"cat": 2, "dog": 2}, seed=1)
    rows = split_photographs(survey_photographs(find_photographs(tmp_path)))
    chosen = [row.file for row in rows if row.part == "validation"]
    assert len(chosen) == 4 and all(file.startswith("train") for file in chosen)


def test_parts_without_training_images_of_a_class_are_refused(tmp_path):
    pictures.write(tmp_path / "train", {"cat": 6, "dog": 6})
    pictures.write(tmp_path / "val", {"cat": 2, "dog": 2, "owl": 2, "bat": 2}, seed=1)
    shutil.copytree(tmp_path / "val" / "owl", tmp_path / "train" / "owl")
    refused("2 of the 4 classes .* no images to train on: bat, owl. All", tmp_path)
    refused("All training images of owl are copies .* bat: only in the val", tmp_path)
    shutil.rmtree(tmp_path / "train" / "owl")
    (tmp_path / "val").rename(tmp_path / "test")
    refused("bat, owl: only in the validation or test part. Put other", tmp_path)


def test_many_classes_are_shortened_and_empty_ones_named(tmp_path):
    counts = {f"class{i:02}": 16 - i for i in range(15)}
    top = pictures.write(tmp_path, counts)
    for path in (top / "class14").iterdir():
        damage(path)
    survey = survey_photographs(find_photographs(top))
    lines = [" ".join(line.split()) for line in survey.lines()]
    assert lines[:2] == ["class images", "class00 16"]
    assert lines[12:14] == ["class11 5", "3 more classes 7"]
    assert "warning: Classes without a readable image: class14." in lines
    labels = {label for row in split_photographs(survey) for label in row.labels}
    assert labels == {*counts} - {"class14"}


def test_a_test_folder_is_held_out_and_the_rest_divided(tmp_path):
    pictures.write(tmp_path, {"cat": 10, "dog": 10})
    pictures.write(tmp_path / "test", {"cat": 2, "dog": 2}, seed=2)
    parts = parts_of(split_photographs(survey_photographs(find_photographs(tmp_path))))
    held_out = {name for name, part in parts.items() if part == "test"}
    assert held_out == {x for x in parts if x.startswith("test/")}
    assert sorted({*parts.values()}) == ["test", "train", "validation"]


def test_a_table_may_give_several_labels(tmp_path):
    top = pictures.write(tmp_path / "photographs", {"all": 12})
    lines = [f"all/{i:02}.jpg,{'a;b' if i % 3 else 'a'}" for i in range(12)]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["file,label", *lines]))
    photographs = find_photographs(top, table)
    assert photographs.multi_label and photographs.class_names == ["a", "b"]
    assert photographs.rows[1] == LabelledFile("all/01.jpg", ("a", "b"))
    rows = split_photographs(survey_photographs(photographs))
    assert {"train", "validation"} == {row.part for row in rows}


def test_labels_and_files_need_not_be_of_utf_8(tmp_path):
    top = pictures.write(tmp_path / "p", {"all": 12})
    name = os.fsdecode(b"caf\xe9.jpg")
    (top / "all" / "00.jpg").rename(top / "all" / name)
    labels = [b"H\xfcndin", b"caf\xc3\xa9", b"cafe\xcc\x81"]
    table = tmp_path / "labels.csv"
    lines = [b"all/caf\xe9.jpg,H\xfcndin"]
    lines += [b"all/%02d.jpg,%s" % (i, labels[i % 3]) for i in range(1, 12)]
    table.write_bytes(b"\n".join([b"file,label", *lines]))
    survey = survey_photographs(find_photographs(top, table))
    assert json.loads(survey.to_json())["classes"] == {"H\\xfcndin": 4, "caf\xe9": 8}
    rows = split_photographs(survey)
    (tmp_path / "split.csv").write_bytes(table_text(rows))
    assert read_table(tmp_path / "split.csv", multi_label=False) == rows


def test_each_of_several_labels_keeps_an_image_to_train_on(tmp_path):
    """Each image of `all` is held out or not as an example of another label."""
    names = [f"label{index}" for index in range(5)]
    top = pictures.write(tmp_path, {name: 2 for name in names})
    lines = [f"{name}/{index:02}.jpg,{name}" for name in names for index in range(2)]
    shared = [f"{x};all" if "00" in x and "4" not in x else x for x in lines]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *shared]))
    survey = survey_photographs(find_photographs(top, tmp_path / "labels.csv"))
    for seed in range(100):
        rows = split_photographs(survey, seed)
        known = {label for x in rows if x.part == "train" for label in x.labels}
        assert known == {"all", *names} and "validation" in {x.part for x in rows}


def refused(message, folder, labels=None):
    with pytest.raises(InputError, match=message) as caught:
        split_photographs(survey_photographs(find_photographs(folder, labels)))
    assert "\n" not in str(caught.value)


def test_what_no_classifier_can_be_made_of(tmp_path):
    refused("There is no folder", tmp_path / "absent")
    refused("has no images", tmp_path)
    top = pictures.write(tmp_path / "one", {"cat": 3})
    refused("is a file. Expected a folder", top / "cat" / "00.jpg")
    refused("3 images directly in it", top / "cat")
    refused("has only one class, 'cat'", top)
    pictures.write(top, {"dog": 1}, seed=5)
    refused("1 of the 2 classes .* fewer than 2 different images: dog", top)
    pictures.write(top, {"dog": 3}, seed=5)
    refused("6 different images. At least 10", top)
    for path in top.rglob("*.jpg"):
        damage(path)
    refused("None of the 6 images .* can be read. The first one, cat/00.jpg", top)
    papers = tmp_path / "papers" / "cat"
    papers.mkdir(parents=True)
    (papers / "x.pdf").write_bytes(b"%PDF")
    refused("has no images, only other files. Expected files", papers.parent)


def test_tables_that_do_not_fit(tmp_path):
    top, table = pictures.write(tmp_path / "p", {"cat": 2}), tmp_path / "labels.csv"
    refused("cannot be read: No such file", top, table)
    table.write_text("name,class\na,b\n")
    refused("names the columns file and label. Received: 'name,class'", top, table)
    table.write_text("file,label\nother.jpg,cat\n")
    refused("None of the 1 files .*: other.jpg. Is it the table of other", top, table)
    table.write_text("file,label\ncat/00.jpg,cat\ncat/00.jpg,dog\n")
    refused("more than once: cat/00.jpg", top, table)
    table.write_text("file,label,part\ncat/00.jpg,cat,dev\n")
    refused("may be train, validation, test or empty. Received: dev", top, table)
