"""A small classifier with uneven weights that tests of exports share."""

import dataclasses

import numpy as np
import pytest

from keras_effnetv2 import create_model
from keras_effnetv2.networks.architecture import FUSED_MBCONV, MBCONV, BlockSpec
from keras_effnetv2.preprocessing import record
from tests.tiny_networks import NANO, spread_weights

# Five levels of features in as few blocks.
PYRAMID = dataclasses.replace(
    NANO,
    name="pyramid",
    blocks=(
        BlockSpec(FUSED_MBCONV, 3, 1, 1, 8, 1),
        BlockSpec(FUSED_MBCONV, 3, 2, 4, 8, 1),
        BlockSpec(MBCONV, 3, 2, 4, 16, 1, 0.25),
        BlockSpec(MBCONV, 3, 2, 4, 16, 1, 0.25),
        BlockSpec(MBCONV, 3, 2, 4, 16, 1, 0.25),
    ),
)
LABELS = ("tee", "bag", "boot", "coat", "dress", "shirt", "heel")


@pytest.fixture(scope="session")
def images():
    """Four photographs' worth of random pixels 0..255."""
    pixels = np.random.default_rng(0).uniform(0, 255, (4, 48, 48, 3))
    return pixels.round().astype("float32")


@pytest.fixture(scope="session")
def classifier(images):
    """Of seven classes with names, evaluated at 48 pixels."""
    contract = record("efficientnetv2-s", "imagenet", 48).unlabelled()
    model = create_model(
        PYRAMID,
        weights=None,
        classes=len(LABELS),
        preprocessing=dataclasses.replace(contract, labels=LABELS),
    )
    spread_weights(model, images)
    return model
