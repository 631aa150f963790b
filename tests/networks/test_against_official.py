"""The same numbers as the official code, timm and Keras with the same weights.

Reference values were computed in float32 by the independent implementations; theirs
differ from float64 by up to 1e-5 of the largest logit.
"""

import functools

import numpy as np
import pytest

from keras_effnetv2 import create_model, feature_pyramid, preprocess_input
from keras_effnetv2.networks.functional import named_variables
from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.preprocessing import NORMALIZATIONS
from keras_effnetv2.weights import names
from tests.tiny_networks import TINY, tiny, without_drops

TOLERANCE = 1e-4  # Of the largest value.

# File, variant, which of the reference's weights it holds.
FILES = [
    *(
        (f"checkpoints/{tag}{suffix}.tgz", tag, values)
        for tag in TINY
        for suffix, values in (("-tf2", "raw"), ("", "ema"), ("-train", "ema"))
    ),
    ("checkpoints/efficientnetv2-b0-tf2.tgz", "efficientnetv2-b0", "raw"),
    ("keras_h5/efficientnetv2-b0.h5", "efficientnetv2-b0", "raw"),
    ("timm/tf_efficientnetv2_b0.safetensors", "efficientnetv2-b0", "raw"),
]


@functools.cache
def outputs_of(reference, tag):
    return np.load(reference / f"outputs/{tag}.npz")


def load(path, tag):
    variant = tiny(tag) if tag in TINY else get_variant(tag)
    model = create_model(
        variant,
        weights=path,
        include_preprocessing=False,
        classifier_activation=None,
    )
    return without_drops(model)


def sizes(outputs):
    return [key.removeprefix("inputs/") for key in outputs if key.startswith("inputs/")]


def assert_close(found, expected, tolerance=TOLERANCE):
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


def assert_features(features, expected, prefix):
    """Compares what the reference keeps of each pyramid level."""
    for name, feature in features.items():
        feature = np.asarray(feature, "float64")
        assert feature.shape == tuple(expected[f"{prefix}/{name}/shape"])
        found = {
            "first": feature[0, 0, 0, :16],
            "last": feature[-1, -1, -1, -16:],
            "channel_mean": feature.mean((1, 2)),
            "row_mean": feature.mean((0, 2, 3)),
            "col_mean": feature.mean((0, 1, 3)),
        }
        scale = expected[f"{prefix}/{name}/absmax"]
        for key, value in found.items():
            reference = expected[f"{prefix}/{name}/{key}"]
            np.testing.assert_allclose(value, reference, rtol=0, atol=1e-4 * scale)


@pytest.mark.parametrize(("file", "tag", "values"), FILES)
def test_logits_and_pyramid_are_the_official_ones(reference, file, tag, values):
    model = load(reference / file, tag)
    pyramid = feature_pyramid(model)
    expected = outputs_of(reference, tag)
    assert sizes(expected)
    for size in sizes(expected):
        images = expected[f"inputs/{size}"]
        prefix = f"{values}/{size}"
        assert_close(model(images), expected[f"{prefix}/logits"])
        assert_features(pyramid(images), expected, prefix)


@pytest.mark.parametrize(
    "tag", [*TINY, pytest.param("efficientnetv2-b0", marks=pytest.mark.slow)]
)
def test_training_mode_is_the_official_one(reference, tag):
    expected = outputs_of(reference, tag)
    for size in sizes(expected):
        images = expected[f"inputs/{size}"]
        model = load(reference / f"checkpoints/{tag}-tf2.tgz", tag)
        assert_close(
            model(images, training=True), expected[f"raw/{size}/train_logits"], 2e-4
        )
        assert_statistics(model, tag, expected, f"raw/{size}/train_updated/")
        model = load(reference / f"checkpoints/{tag}-tf2.tgz", tag)
        features = feature_pyramid(model)(images, training=True)
        assert_features(features, expected, f"raw/{size}/train")


def assert_statistics(model, tag, expected, prefix):
    """Moving means after one step; the official variances are over n - 1."""
    variant = tiny(tag) if tag in TINY else get_variant(tag)
    ours = {
        theirs: name
        for name, theirs in names.file_names(variant, names.CHECKPOINT).items()
    }
    variables = named_variables(model)
    keys = [key for key in expected if key.startswith(prefix)]
    means = [key for key in keys if key.endswith("moving_mean")]
    assert means
    for key in means:
        theirs = key.removeprefix(prefix).partition("/")[2]
        found = np.asarray(variables[ours[theirs]])
        np.testing.assert_allclose(found, expected[key], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("tag", [*TINY, "efficientnetv2-b0"])
def test_normalisation_is_the_official_one(reference, tag):
    outputs = outputs_of(reference, tag)
    mode = "centered" if tag in ("tiny-s", "tiny-xl") else "torch"
    for size in sizes(outputs):
        found = preprocess_input(outputs[f"u8/{size}"], mode=mode)
        np.testing.assert_allclose(found, outputs[f"inputs/{size}"], atol=1e-5)


def test_scores_of_pixels_are_those_of_keras(reference):
    expected = np.load(reference / "outputs/keras3_applications_efficientnetv2-b0.npz")
    pixels = outputs_of(reference, "efficientnetv2-b0")["u8/224x224"]
    path = reference / "keras_h5/efficientnetv2-b0.h5"
    model = create_model("efficientnetv2-b0", weights=path)
    assert model.preprocessing.mean == NORMALIZATIONS["torch"][0]
    assert model.preprocessing.labels == "imagenet"
    np.testing.assert_allclose(
        model.predict(pixels, verbose=0), expected["softmax/224x224"], atol=1e-5
    )


def test_logits_are_those_of_timm(reference):
    expected = np.load(reference / "outputs/timm_tf_efficientnetv2_b0.npz")
    inputs = outputs_of(reference, "efficientnetv2-b0")
    model = load(
        reference / "timm/tf_efficientnetv2_b0.safetensors", "efficientnetv2-b0"
    )
    for size in sizes(inputs):
        assert_close(model(inputs[f"inputs/{size}"]), expected[f"logits/{size}"])
