"""Stock `fit` and `train_on_batch` of the networks."""

import numpy as np
import pytest

from keras_effnetv2 import create_model
from tests.tiny_networks import NANO

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
CLASSES = np.array([0, 2])


@pytest.fixture
def model():
    return create_model(NANO, weights=None, classes=3)


@pytest.fixture
def calls(model, monkeypatch):
    """The arguments of the model's calls: one for each that TensorFlow traces."""
    received = []
    original = type(model).call

    def call(self, *args, **kwargs):
        received.append(args)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(type(model), "call", call)
    return received


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_the_first_step_is_traced_once(model, calls, optimizer):
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    for _ in range(2):
        logs = model.train_on_batch(IMAGES, CLASSES, return_dict=True)
    assert len(calls) == 1
    assert int(model.optimizer.iterations) == 2
    assert sorted(logs) == ["accuracy", "loss"]


def test_evaluation_is_traced_once(model, calls):
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    for _ in range(2):
        _, accuracy = model.evaluate(IMAGES, CLASSES, verbose=0)
    assert len(calls) == 1
    assert accuracy == np.mean(model.predict(IMAGES, verbose=0).argmax(-1) == CLASSES)


def test_what_is_unfrozen_after_compile_is_trained(model):
    model.trainable = False
    model.get_layer("predictions").trainable = True
    model.compile("adam", "sparse_categorical_crossentropy")
    model.trainable = True
    before = np.array(model.get_layer("stem_conv").kernel)
    model.fit(IMAGES, CLASSES, verbose=0)
    assert np.abs(np.array(model.get_layer("stem_conv").kernel) - before).max() > 0
