"""The same numbers as keras.applications with the same weights."""

import keras
import numpy as np
import pytest

from keras_effnetv2 import create_model
from tests.tiny_networks import copy_from_applications, spread_weights, without_drops

PEERS = {
    "efficientnetv2-b0": keras.applications.EfficientNetV2B0,
    "efficientnetv2-b3": keras.applications.EfficientNetV2B3,
    "efficientnetv2-s": keras.applications.EfficientNetV2S,
}


def assert_logits_close(found, expected):
    assert np.abs(expected).max() > 0.01
    tolerance = 1e-4 * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def equal_models(name):
    """Keras's model and ours with the same weights, and images."""
    theirs = PEERS[name](
        weights=None, input_shape=(128, 96, 3), classifier_activation=None
    )
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (8, 128, 96, 3)).astype("float32")
    spread_weights(theirs, images)
    ours = without_drops(create_model(name, classifier_activation=None))
    copy_from_applications(theirs, ours)
    return theirs, ours, images


@pytest.mark.parametrize(
    "name",
    [
        "efficientnetv2-b0",
        pytest.param("efficientnetv2-b3", marks=pytest.mark.slow),
        pytest.param("efficientnetv2-s", marks=pytest.mark.slow),
    ],
)
def test_logits_are_those_of_keras_applications(name):
    theirs, ours, images = equal_models(name)
    for training in (False, True):
        expected = np.asarray(theirs(images, training=training))
        assert_logits_close(np.asarray(ours(images, training=training)), expected)


@pytest.mark.long
def test_scores_are_those_of_keras_applications():
    theirs = keras.applications.EfficientNetV2B0(
        weights=None, classes=7, input_shape=(64, 64, 3)
    )
    ours = create_model("efficientnetv2-b0", classes=7)
    copy_from_applications(theirs, ours)
    images = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3))
    np.testing.assert_allclose(
        ours.predict(images, verbose=0), theirs.predict(images, verbose=0), atol=1e-6
    )
