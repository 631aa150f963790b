"""The tool compares every format there is, on images that differ."""

import importlib
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from keras_effnetv2 import create_model, export
from tests.tiny_networks import NANO

TOOLS = pathlib.Path(__file__).parents[3] / "tools"


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("comparisons.exports")


@pytest.fixture
def classifiers(tool):
    return importlib.import_module("export_comparison.classifiers")


def test_what_is_there_is_compared(tool):
    readings = tool.available()
    titles = [reading.title for reading in readings]
    assert len(set(titles)) == len(titles)
    for title in ("SavedModel", "ONNX in ONNX Runtime", "ONNX in OpenVINO"):
        assert title in titles
    from export_comparison import stopwatch

    for reading in readings:
        assert callable(getattr(export, reading.format))
        assert reading.engine in stopwatch.LOADERS


def test_a_format_that_is_not_there_is_left_out(tool, monkeypatch):
    monkeypatch.setattr(tool, "FORMATS", {"onnx": ""})
    assert {reading.format for reading in tool.available()} == {"onnx"}


def test_the_table_is_markdown(tool):
    correct = tool._correct(np.eye(3), np.array([0, 1, 1]))
    row = tool.Row("B0", "ONNX in OpenVINO", 28.41, 3.14e-6, 0.96875, 0.512, correct)
    assert tool.table([row]).splitlines()[2] == (
        "| B0 | ONNX in OpenVINO | 28.4 | 3.1e-06 | 97% | 2 of 3 | 0.51 |"
    )


def test_folding_is_a_median_with_quartiles(tool):
    assert (
        tool._median_and_quartiles([0.5, 0.9, 0.7, 0.6, 0.8]) == "0.70 (0.60 to 0.80)"
    )
    assert tool._median_and_quartiles([]) == "not measured"


def test_sizes_are_those_of_files(tool, tmp_path):
    (tmp_path / "variables").mkdir()
    (tmp_path / "variables" / "data").write_bytes(bytes(1_500_000))
    (tmp_path / "saved_model.pb").write_bytes(bytes(500_000))
    assert tool._megabytes(tmp_path) == 2
    assert tool._megabytes(tmp_path / "saved_model.pb") == 0.5


def test_the_pieces_of_photographs_differ(tool):
    pytest.importorskip("skimage")
    from export_comparison import photographs

    pieces = photographs.pieces(14)
    assert all(x.dtype == np.uint8 and x.shape[2] == 3 for x in pieces)
    assert len({x.tobytes() for x in pieces}) == 14
    np.testing.assert_array_equal(pieces[13], photographs.pieces(14)[13])


def test_spread_weights_tell_images_apart(classifiers):
    model = create_model(NANO, classes=5)
    rates = [x.rate for x in model._flatten_layers() if hasattr(x, "rate")]
    images = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3)).astype("float32")
    classifiers.spread_weights(model, images)
    found = classifiers.logits(model, images)
    assert np.std(found) == pytest.approx(0.1, rel=1e-3)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-4)
    assert len(set(found.argmax(1))) > 1
    assert rates == [x.rate for x in model._flatten_layers() if hasattr(x, "rate")]


def test_a_stopwatch_that_cannot_load_says_why(tool, tmp_path):
    from export_comparison.stopwatch import Stopwatch

    np.save(tmp_path / "image.npy", np.zeros((1, 8, 8, 3), "float32"))
    with pytest.raises(RuntimeError, match="(?s)onnx .*none.onnx failed:.*none.onnx"):
        Stopwatch("onnx", tmp_path / "none.onnx", tmp_path / "image.npy")


@pytest.mark.slow
def test_the_custom_model_in_every_format(tool):
    words = ["--subjects", "custom", "--num_images", "4", "--repeats", "2"]
    command = [sys.executable, str(TOOLS / "comparisons" / "exports.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [x for x in done.stdout.splitlines() if x.startswith("| custom")]
    assert len(rows) == len(tool.available())
    assert "timing, round 2 of 2" in done.stderr
