"""Records of epochs survive kills and resumes."""

import math
import os

import pytest

from keras_effnetv2.files import replace_file
from keras_effnetv2.training.reporting.records import Records
from tests.training.reporting.run_records import make_record


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "metrics.jsonl")


def test_records_come_back_in_order(records):
    written = [make_record(epoch) for epoch in (1, 2, 3)]
    for record in written:
        records.append(record)
    assert records.read() == written
    assert len(records.path.read_text().splitlines()) == 3


def test_a_run_that_has_not_begun_has_no_records(records):
    assert records.read() == []
    records.drop_after(0)
    assert not records.path.exists()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_in_json_becomes_null(records, value):
    records.append(make_record(1, loss=value))
    assert '"loss": null' in records.path.read_text()
    assert records.read()[0]["loss"] is None


def test_resuming_forgets_what_came_after_the_checkpoint(records):
    for epoch in (1, 2, 3):
        records.append(make_record(epoch))
    records.drop_after(step=10)
    assert [record["epoch"] for record in records.read()] == [1, 2]
    records.append(make_record(3))
    assert [record["epoch"] for record in records.read()] == [1, 2, 3]


@pytest.mark.parametrize("torn", [b'{"epoch": 2, "st', b'{"step": 10}', b"\0\0\0"])
def test_a_torn_last_line_does_not_count(records, torn):
    records.append(make_record(1))
    whole = records.path.read_bytes()
    records.path.write_bytes(whole + torn)
    assert records.read() == [make_record(1)]
    records.drop_after(step=100)
    assert records.path.read_bytes() == whole


@pytest.mark.parametrize("damaged", [b'{"epo', b"[5]", b'{"epoch": 2}', b"\xff", b""])
def test_damage_in_the_middle_names_the_line(records, damaged):
    records.append(make_record(1))
    whole = records.path.read_bytes()
    records.path.write_bytes(whole + damaged + b"\n" + whole)
    with pytest.raises(ValueError, match="Line 2 of .*metrics.jsonl is damaged"):
        records.read()
    with pytest.raises(ValueError, match="Line 2"):
        records.drop_after(step=5)
    assert records.path.read_bytes() == whole + damaged + b"\n" + whole


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    replace_file(path, b"old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
