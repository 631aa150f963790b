"""The benchmark of `predict` does its kinds of work, and says their ratios."""

import pathlib

import pytest

from keras_effnetv2.preprocessing import record
from tests.export import micro

TOOLS = str(pathlib.Path(__file__).parents[3] / "tools")


@pytest.fixture(autouse=True)
def tools(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)


def test_each_kind_of_work_is_done(tmp_path):
    pytest.importorskip("skimage", reason="needs scikit-image's photographs")
    pytest.importorskip("foolbox", reason="needs foolbox's photographs")
    import benchmark_predict
    from benchmarks.processes import predict_side

    photographs = tmp_path / "photographs"
    photographs.mkdir()
    benchmark_predict.write_photographs(photographs, 5)
    assert len([*photographs.rglob("*.jpg")]) == 5
    contract = record("efficientnetv2-b0", "imagenet", 32).unlabelled()
    micro.classifier_of(contract, 6).save(tmp_path / "network.keras")
    words = (str(photographs), str(tmp_path / "network.keras"), "2")
    _, questions = predict_side.prepare(*words)
    assert all(questions[name]() > 0 for name in ("predict", "decoding", "network"))
    assert len(questions["megabytes"]()) == 3  # Quarters of five are of two.


def test_the_slower_part_is_what_predict_is_measured_by(capsys):
    import benchmark_predict

    rates = {"predict": [9.0, 18.0], "decoding": [90.0, 90.0], "network": [10, 20]}
    benchmark_predict.report(rates, [1000.0] * 4)
    lines = capsys.readouterr().out.splitlines()
    assert "predict / the slower alone: 0.90" in lines
    assert "predict / both, one after the other: 1.05" in lines
