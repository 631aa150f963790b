"""What tests of several commands take."""

import keras
import pytest

from keras_effnetv2.preprocessing import record
from tests.export import micro


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """A `.keras` file of a small classifier with random weights."""
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("models") / "network.keras"
    unlabelled = record("efficientnetv2-b0", "imagenet", 32).unlabelled()
    micro.classifier_of(unlabelled, 4).save(path)
    return path
