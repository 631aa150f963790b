"""A network of three blocks, and what tests of TF Hub modules do with modules."""

import dataclasses

import keras
import numpy as np

from keras_effnetv2 import create_model
from keras_effnetv2.export.classifier import Classifier
from keras_effnetv2.export.tf_hub.modules import take_apart
from keras_effnetv2.networks.architecture import FUSED_MBCONV, MBCONV, BlockSpec
from keras_effnetv2.preprocessing import record
from tests.tiny_networks import spread_weights, tiny

LABELS = ("cat", "dög", "hen", "owl", "pig")
MINI = dataclasses.replace(
    tiny("tiny-s"),
    name="mini",
    depth_coefficient=1.0,
    drop_path_rate=0.5,
    blocks=(
        BlockSpec(FUSED_MBCONV, 3, 2, 4, 32, 1),
        BlockSpec(MBCONV, 3, 2, 4, 64, 2, 0.25),
    ),
)

# For what goes for any module.
ONE = dataclasses.replace(MINI, blocks=MINI.blocks[:1], top_filters=64)


def images(batch=8, height=48, width=48, seed=0):
    """Random, in [0, 1]."""
    random = np.random.default_rng(seed)
    return random.uniform(0, 1, (batch, height, width, 3)).astype("float32")


def labels(batch=8):
    return np.arange(batch) % len(LABELS)


def mini(variant=MINI):
    """Its drops are off: they would make it hard to say what changed."""
    contract = record("efficientnetv2-s", "imagenet", 48).unlabelled()
    contract = dataclasses.replace(contract, labels=LABELS)
    model = create_model(
        variant, weights=None, classes=len(LABELS), preprocessing=contract
    )
    spread_weights(model, 255 * images())
    return model


def modules(model):
    """Classification and feature vector, not saved."""
    return take_apart(Classifier.open(model, fold=False)).values()


def values(variables):
    return [np.array(keras.ops.convert_to_numpy(x)) for x in variables]


def moved(before, variables):
    """Which of the variables are not what they were."""
    pairs = zip(before, values(variables), strict=True)
    return [not np.array_equal(old, new) for old, new in pairs]


def assert_close(found, wanted):
    assert found.shape == wanted.shape
    assert np.max(np.abs(found - wanted)) <= 1e-4 * np.max(np.abs(wanted))
