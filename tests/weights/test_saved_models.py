"""What people save with Keras gives a network its weights: whole models, theirs too."""

import dataclasses
import itertools
import json
import logging

import h5py
import keras
import numpy as np
import pytest
from keras.src.applications import efficientnet, efficientnet_v2

from keras_effnetv2 import create_model
from keras_effnetv2.networks.functional import named_variables
from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.preprocessing import record
from keras_effnetv2.weights import names
from tests.tiny_networks import NANO, pixels, spread_weights
from tests.weights.weight_files import (
    CLASSES,
    TINY,
    assert_equal,
    random_arrays,
    read_all,
    write_keras_2,
)

ENDINGS = (".weights.h5", ".keras", ".h5")
# What makes the models of keras.applications, and the name it knows a network by.
PEERS = {
    "efficientnetv2-b0": (efficientnet_v2.EfficientNetV2, "efficientnetv2-b0"),
    "efficientnet-b0": (efficientnet.EfficientNet, "efficientnetb0"),
}
WIDTH, DEPTH = 0.25, 0.1


def save(model, path):
    if path.name.endswith(".weights.h5"):
        model.save_weights(path)
    else:
        model.save(path)
    return path


def outputs(model, images):
    """As `predict` gives them, without a graph to trace."""
    return np.asarray(model(images))


def assert_same(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def scaled(name):
    """A variant with a block a stage, and few channels."""
    coefficients = {"width_coefficient": WIDTH, "depth_coefficient": DEPTH}
    return dataclasses.replace(get_variant(name), **coefficients)


def of_applications(name, **options):
    """The same network by keras.applications, with weights that images tell apart."""
    build, their_name = PEERS[name]
    options = {"weights": None, "input_shape": (64, 64, 3), **options}
    return build(WIDTH, DEPTH, 64, name=their_name, **options)


def pairs(firsts, fast):
    """Each of `firsts` with each ending; those that are not `fast` are slow."""
    return [
        pytest.param(x, y, marks=() if (x, y) in fast else pytest.mark.slow)
        for x, y in itertools.product(firsts, ENDINGS)
    ]


@pytest.fixture(scope="module")
def peers():
    """By name: a variant, its model of keras.applications, and what that gives."""
    images = pixels(64, 64, batch=4)
    found = {}
    for name in PEERS:
        model = of_applications(name, classes=7, classifier_activation=None)
        spread_weights(model, images)
        found[name] = scaled(name), model, images, outputs(model, images)
    return found


@pytest.mark.parametrize(
    "name, ending",
    pairs(
        PEERS,
        {
            ("efficientnetv2-b0", ".keras"),
            ("efficientnetv2-b0", ".h5"),
            ("efficientnet-b0", ".weights.h5"),
        },
    ),
)
def test_keras_applications_is_read_and_gives_its_scores(peers, name, ending, tmp_path):
    variant, model, images, scores = peers[name]
    path = save(model, tmp_path / f"a{ending}")
    ours = create_model(variant, weights=path, classifier_activation=None)
    assert np.ptp(scores, axis=0).min() > 0.01
    assert_same(outputs(ours, images), scores)


def test_adapted_statistics_of_pixels_are_kept(tmp_path):
    images = pixels(64, 64, batch=4)
    model = of_applications("efficientnet-b0", include_top=False)
    kind = keras.layers.Normalization
    (layer,) = (x for x in model.layers if isinstance(x, kind))
    layer.adapt(images / 255)
    spread_weights(model, images)
    path = save(model, tmp_path / "a.keras")
    ours = create_model(scaled("efficientnet-b0"), include_top=False, weights=path)
    expected = outputs(keras.models.load_model(path), images)
    assert_same(outputs(ours, images), expected)


@pytest.mark.parametrize(
    "name, ending",
    pairs(PEERS, {("efficientnet-b0", ".weights.h5"), ("efficientnetv2-b0", ".keras")}),
)
def test_a_model_around_keras_applications_gives_its_network(
    peers, name, ending, tmp_path, caplog
):
    is_flat = ending == ".weights.h5"
    variant, model, images, _ = peers[name]
    features = keras.Model(model.input, model.get_layer("top_activation").output)
    inputs = model.input if is_flat else keras.Input((64, 64, 3))
    x = features.output if is_flat else features(keras.layers.RandomFlip()(inputs))
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(5, name="hidden")(x)
    around = keras.Model(inputs, keras.layers.Dense(3, name="out")(x))
    path = save(around, tmp_path / f"a{ending}")
    with caplog.at_level(logging.WARNING):
        ours = create_model(variant, include_top=False, weights=path)
    assert f"is a model around {variant.name}" in caplog.text
    assert "hidden, out" in caplog.text
    expected = outputs(features, images)
    assert_same(outputs(ours, images), expected)


def write_without_names(path, arrays):
    """As versions of Keras 3 before 3.10 did."""
    numbers = {"kernel": "0", "bias": "1"} | {
        name: str(i)
        for i, name in enumerate(("gamma", "beta", "moving_mean", "moving_variance"))
    }
    file_names = names.file_names(TINY, names.APPLICATIONS_UNNAMED)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            layer, variable = file_names[name].split("/")
            file[f"layers/{layer}/vars/{numbers[variable]}"] = array
    return path


def test_layers_without_names_go_by_their_order(tmp_path):
    arrays = random_arrays()
    found, source = read_all(write_without_names(tmp_path / "a", arrays))
    assert source.num_classes == CLASSES
    assert_equal(found, arrays)


@pytest.fixture(scope="module")
def ours():
    return create_model(NANO, classes=CLASSES, preprocessing="imagenet21k-ft1k")


def test_whole_model_as_h5_is_loaded(ours, tmp_path):
    images = pixels(40, 40, batch=2)
    path = save(ours, tmp_path / "a.h5")
    expected = outputs(ours, images)
    for copy in (keras.models.load_model(path), create_model(NANO, weights=path)):
        assert copy.preprocessing == ours.preprocessing
        np.testing.assert_allclose(outputs(copy, images), expected, atol=1e-6)


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """As in many a notebook."""

    def __init__(self, network, **kwargs):
        super().__init__(**kwargs)
        self.network = network
        self.out = keras.layers.Dense(2, name="out")

    def get_config(self):
        return {"network": keras.saving.serialize_keras_object(self.network)}

    def call(self, images):
        return self.out(self.network(images))


def sequential(network):
    return keras.Sequential(
        [keras.Input((40, 40, 3)), network, keras.layers.Dense(2, name="out")]
    )


def functional(network):
    images = keras.Input((40, 40, 3))
    x = keras.layers.RandomFlip()(images)
    return keras.Model(images, keras.layers.Dense(2, name="out")(network(x)))


def flat(network):
    x = keras.layers.Dense(2, name="out")(network.output)
    return keras.Model(network.input, x)


@pytest.mark.parametrize(
    "build, ending",
    pairs(
        [sequential, functional, flat, Subclassed],
        {
            (sequential, ".keras"),
            (functional, ".weights.h5"),
            (flat, ".h5"),
            (Subclassed, ".keras"),
        },
    ),
)
def test_a_model_around_ours_gives_its_network(build, ending, tmp_path, caplog):
    if build is Subclassed and ending == ".h5":
        pytest.skip("Keras saves no such model")
    record = {"preprocessing": "imagenet21k-ft1k"}
    network = create_model(NANO, include_top=False, pooling="avg", **record)
    around = build(network)
    around(pixels(40, 40, batch=2))
    around.compile("adam", "mse")
    around.optimizer.build(around.trainable_variables)
    path = save(around, tmp_path / f"a{ending}")
    expected = {k: v.numpy() for k, v in named_variables(network).items()}
    message = r"has no classifier of nano, but a model around it \(.*out\)"
    with pytest.raises(ValueError, match=message):
        create_model(NANO, weights=path)
    with caplog.at_level(logging.WARNING):
        copy = create_model(NANO, weights=path, classes=2)
    assert "is a model around nano" in caplog.text
    found = {k: v.numpy() for k, v in named_variables(copy).items() if k in expected}
    assert_equal(found, expected)
    if not ending.startswith(".weights") and build is not Subclassed:
        assert copy.preprocessing == network.preprocessing


def test_a_classifier_of_ours_in_a_model_keeps_its_classes(ours, tmp_path):
    path = save(functional(ours), tmp_path / "a.keras")
    copy = create_model(NANO, weights=path)
    expected = {k: v.numpy() for k, v in named_variables(ours).items()}
    assert_equal({k: v.numpy() for k, v in named_variables(copy).items()}, expected)


@pytest.mark.parametrize("config", ["[", "[1]", json.dumps({"config": 5})])
def test_h5_with_bad_configuration_is_refused(ours, config, tmp_path):
    path = save(ours, tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = config
    with pytest.raises(ValueError, match="damaged HDF5 file: model_config"):
        read_all(path, NANO)


def test_released_statistics_are_those_of_the_record(tmp_path):
    """Their variances are ImageNet's deviations; another layer has the rest."""
    variant = scaled("efficientnet-b0")
    expected = record(variant.name, "imagenet", variant.eval_size).unlabelled()
    path = tmp_path / "a"
    statistics = [
        ("normalization", "mean", np.divide(expected.mean, 255)),
        ("normalization", "variance", np.divide(expected.std, 255)),
    ]
    arrays = random_arrays(variant)
    write_keras_2(path, arrays, names.APPLICATIONS_V1, variant, extra=statistics)
    assert create_model(variant, weights=path).preprocessing == expected


@pytest.mark.parametrize("value", [np.nan, -1.0])
def test_statistics_that_cannot_be_are_refused(value, tmp_path):
    variant = scaled("efficientnet-b0")
    path = tmp_path / "a"
    statistics = [
        ("normalization", "mean", np.zeros(3)),
        ("normalization", "variance", np.full(3, value)),
    ]
    arrays = random_arrays(variant)
    write_keras_2(path, arrays, names.APPLICATIONS_V1, variant, extra=statistics)
    with pytest.raises(ValueError, match="variance of .* which is impossible"):
        create_model(variant, weights=path)
    create_model(variant, weights=path, preprocessing="imagenet")
