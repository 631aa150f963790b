"""The tools that measure chunk order."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2.data.records.record_files import find_records
from keras_effnetv2.training import get_experiment, override
from tests.conftest import ROOT


@pytest.fixture
def tools(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))


def test_orders_are_compared_in_the_same_experiment(tools):
    from comparisons import orders

    experiment = override(get_experiment("fashion-mnist"), orders._SETTINGS)
    assert experiment.data.order == "auto"
    assert experiment.data.chunk_mb == orders._CHUNK_MB
    assert experiment.batch_size == orders._BATCH_SIZE


def test_files_of_the_benchmark_hold_every_image_once(tools, tmp_path):
    import benchmark_storage

    benchmark_storage.write_files(tmp_path, images=50, files=4, kb=1)
    paths = sorted(map(str, pathlib.Path(tmp_path).iterdir()))
    records = find_records(paths)
    read = records.reader()
    labels = [
        tf.train.Example.FromString(read(index).numpy())
        .features.feature["image/class/label"]
        .int64_list.value[0]
        for index in range(len(records))
    ]
    assert sorted(labels) == [*range(1, 51)]
    assert 500 < np.median(records.lengths) < 1600


def test_bytes_and_opens_are_of_what_was_read(tools):
    import benchmark_storage

    report = {
        "way": "indexed",
        "first": 1.26,
        "images_per_second": 12345.6,
        "images": 500,
        "bytes": 520,
        "opens": 20,
        "chunks": 20,
    }
    result = benchmark_storage.result(report, num_images=1000, num_bytes=1000)
    row = benchmark_storage.row(result)
    assert row == ("indexed", "1.3 s", "12,346", "1.04", "2.00")
