"""Networks of PyTorch's kind are exported as all others: checked in each engine."""

import numpy as np
import pytest

from keras_effnetv2 import create_model, export
from keras_effnetv2.export.checks.roundtrip import relative_difference, run_engine
from tests.tiny_networks import PADDED, spread_weights


@pytest.fixture(scope="module")
def model(images):
    model = create_model(PADDED, classes=7)
    spread_weights(model, images)
    return model


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_onnx_files_give_the_scores_in_every_runtime(model, images, engine, tmp_path):
    for package in ("tf2onnx", "onnxruntime", "openvino"):
        pytest.importorskip(package)
    export.onnx(model, tmp_path / "network")
    for batch in (images, images[:1, :33, :40]):
        found = run_engine(
            engine, tmp_path / "network" / "model.onnx", {"batch": {"images": batch}}
        )["batch"]["probabilities"]
        assert relative_difference(np.asarray(model(batch)), found) < 1e-4


@pytest.mark.slow
def test_a_saved_model_gives_the_scores(model, images, tmp_path):
    export.saved_model(model, tmp_path / "network")
    inputs = {"serving_default": {"images": images}}
    outputs = run_engine("saved_model", tmp_path / "network", inputs)
    found = outputs["serving_default"]["probabilities"]
    assert relative_difference(np.asarray(model(images)), found) < 1e-4


@pytest.mark.slow
def test_litert_gives_the_scores(model, images, tmp_path):
    folder = tmp_path / "network"
    export.litert(model, folder, formats=["float32", "int8"], representative=images)
    for name, largest in (("float32", 1e-4), ("int8", 0.1)):
        outputs = run_engine("litert", folder, {name: {"images": images}})[name]
        found = outputs["probabilities"]
        assert relative_difference(np.asarray(model(images)), found) < largest
