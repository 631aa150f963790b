"""Backends other than TensorFlow and JAX: right, or refused in one line."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_effnetv2 import (
    create_model,
    feature_pyramid,
    freeze,
    inner_layers,
    optimizers,
)
from keras_effnetv2.explanation import activation_maps
from keras_effnetv2.layers import StochasticDepth
from keras_effnetv2.training.progressive.learning import set_rates
from keras_effnetv2.training.progressive.stages import Ramp, plan_stages
from tests.conftest import ROOT
from tests.tiny_networks import NANO, pixels, spread_weights

# Made by the Makefile: PyTorch, and the packages of .venv.
TORCH = ROOT / ".venv-torch/bin/python"
STAGES = {
    "epochs": 2,
    "num_stages": 2,
    "image_size": Ramp(8, 8),
    "batch_size": 2,
    "drop_path_rate": Ramp(0.1, 0.4),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with a network that is partly frozen, and TensorFlow's numbers of it."""
    folder = tmp_path_factory.mktemp("backends")
    images = pixels(48, 40, batch=4)
    model = create_model(NANO, classes=3, dropout_rate=0.0)
    spread_weights(model, images)
    freeze(model, "stage3")
    path = folder / "model.keras"
    model.save(path)
    body = create_model(NANO, include_top=False, weights=path)
    found = {
        "images": images,
        "scores": model.predict(images, verbose=0),
        "features": feature_pyramid(model, [3])(images)["reduction_3"],
        "body": body.predict(images, verbose=0),
        "trainable": [variable.path for variable in model.trainable_variables],
        "maps": activation_maps.class_activation_maps(model, images, [0, 2]),
        "rates": last_rates(model),
        "SGD": trained(path, keras.optimizers.SGD, images),
        "Adam": trained(path, optimizers.Adam, images),
    }
    assert np.ptp(found["scores"], axis=0).min() > 0.01
    np.savez(folder / "expected.npz", **found)
    return folder


def trained(path, optimizer, images):
    model = keras.models.load_model(path)
    model.compile(optimizer(1e-3), "sparse_categorical_crossentropy")
    labels = np.arange(len(images)) % 3
    model.fit(images, labels, batch_size=2, shuffle=False, verbose=0)
    return np.concatenate([x.ravel() for x in model.get_weights()])


def last_rates(model):
    model = keras.models.clone_model(model)
    stages = plan_stages(**STAGES)
    set_rates(model, stages[-1])
    layers = [x for x in inner_layers(model) if isinstance(x, StochasticDepth)]
    return [layer.rate for layer in layers]


def check(folder, backend, python=sys.executable):
    """Runs the checks; what the backend then saves gives the same network here."""
    result = subprocess.run(
        [python, "-m", "tests.backends.backend_checks", folder],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout.strip().endswith("passed"), result.stdout + result.stderr
    path = folder / "again.weights.h5"
    copy = create_model(NANO, weights=path)
    path.unlink()
    expected = np.load(folder / "expected.npz")
    np.testing.assert_allclose(
        copy.predict(expected["images"], verbose=0), expected["scores"], atol=1e-5
    )


@pytest.mark.long
def test_torch_gives_the_numbers_of_tensorflow_and_trains(saved):
    if not TORCH.exists():
        pytest.skip("needs .venv-torch: make .venv-torch/installed")
    check(saved, "torch", TORCH)


@pytest.mark.slow
def test_openvino_predicts_and_refuses_the_rest(saved):
    pytest.importorskip("openvino", reason="needs openvino")
    check(saved, "openvino")
