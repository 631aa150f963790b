"""What people save with Keras gives a network its weights: whole models, theirs too."""

import json
import logging

import h5py
import keras
import numpy as np
import pytest

from keras_effnetv2 import create_model
from keras_effnetv2.networks.functional import named_variables
from keras_effnetv2.weights import names
from tests.networks.test_models import pixels
from tests.tiny_networks import spread_weights, tiny
from tests.weights.weight_files import (
    CLASSES,
    TINY,
    assert_equal,
    random_arrays,
    read_all,
    write_keras_2,
)

ENDINGS = (".weights.h5", ".keras", ".h5")
PEERS = {
    "efficientnetv2-b0": keras.applications.EfficientNetV2B0,
    "efficientnet-b0": keras.applications.EfficientNetB0,
}


def save(model, path):
    if path.name.endswith(".weights.h5"):
        model.save_weights(path)
    else:
        model.save(path)
    return path


def assert_same(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.fixture(scope="module", params=PEERS)
def theirs(request):
    """Name and model of keras.applications, with weights that images tell apart."""
    images = pixels(64, 64, batch=4)
    model = PEERS[request.param](
        weights=None, input_shape=(64, 64, 3), classes=7, classifier_activation=None
    )
    spread_weights(model, images)
    return request.param, model, images, model.predict(images, verbose=0)


@pytest.mark.parametrize("ending", ENDINGS)
def test_keras_applications_is_read_and_gives_its_scores(theirs, ending, tmp_path):
    name, model, images, scores = theirs
    path = save(model, tmp_path / f"a{ending}")
    ours = create_model(name, weights=path, classifier_activation=None)
    assert np.ptp(scores, axis=0).min() > 0.01
    assert_same(ours.predict(images, verbose=0), scores)


def test_adapted_statistics_of_pixels_are_kept(tmp_path):
    images = pixels(64, 64, batch=4)
    model = keras.applications.EfficientNetB0(
        weights=None, input_shape=(64, 64, 3), include_top=False
    )
    kind = keras.layers.Normalization
    (layer,) = (x for x in model.layers if isinstance(x, kind))
    layer.adapt(images / 255)
    spread_weights(model, images)
    path = save(model, tmp_path / "a.keras")
    ours = create_model("efficientnet-b0", include_top=False, weights=path)
    expected = keras.models.load_model(path).predict(images, verbose=0)
    assert_same(ours.predict(images, verbose=0), expected)


@pytest.mark.parametrize(
    "is_flat, ending",
    [
        (True, ".weights.h5"),
        pytest.param(False, ".keras", marks=pytest.mark.slow),
        pytest.param(False, ".h5", marks=pytest.mark.slow),
    ],
)
def test_a_model_around_keras_applications_gives_its_network(
    theirs, is_flat, ending, tmp_path, caplog
):
    name, model, images, _ = theirs
    features = keras.Model(model.input, model.get_layer("top_activation").output)
    inputs = model.input if is_flat else keras.Input((64, 64, 3))
    x = features.output if is_flat else features(keras.layers.RandomFlip()(inputs))
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(5, name="hidden")(x)
    around = keras.Model(inputs, keras.layers.Dense(3, name="out")(x))
    path = save(around, tmp_path / f"a{ending}")
    with caplog.at_level(logging.WARNING):
        ours = create_model(name, include_top=False, weights=path)
    assert f"is a model around {name}" in caplog.text
    assert "hidden, out" in caplog.text
    expected = features.predict(images, verbose=0)
    assert_same(ours.predict(images, verbose=0), expected)


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
    return create_model(TINY, classes=CLASSES, preprocessing="imagenet21k-ft1k")


def test_whole_model_as_h5_is_loaded(ours, tmp_path):
    images = pixels(40, 40, batch=2)
    path = save(ours, tmp_path / "a.h5")
    expected = ours.predict(images, verbose=0)
    for copy in (keras.models.load_model(path), create_model(TINY, weights=path)):
        assert copy.preprocessing == ours.preprocessing
        np.testing.assert_allclose(copy.predict(images, verbose=0), expected, atol=1e-6)


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


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("build", [sequential, functional, flat, Subclassed])
def test_a_model_around_ours_gives_its_network(build, ending, tmp_path, caplog):
    if build is Subclassed and ending == ".h5":
        pytest.skip("Keras saves no such model")
    record = {"preprocessing": "imagenet21k-ft1k"}
    network = create_model(TINY, include_top=False, pooling="avg", **record)
    around = build(network)
    around(pixels(40, 40, batch=2))
    around.compile("adam", "mse")
    around.optimizer.build(around.trainable_variables)
    path = save(around, tmp_path / f"a{ending}")
    expected = {k: v.numpy() for k, v in named_variables(network).items()}
    message = r"has no classifier of tiny-b0, but a model around it \(.*out\)"
    with pytest.raises(ValueError, match=message):
        create_model(TINY, weights=path)
    with caplog.at_level(logging.WARNING):
        copy = create_model(TINY, weights=path, classes=2)
    assert "is a model around tiny-b0" in caplog.text
    found = {k: v.numpy() for k, v in named_variables(copy).items() if k in expected}
    assert_equal(found, expected)
    if not ending.startswith(".weights") and build is not Subclassed:
        assert copy.preprocessing == network.preprocessing


def test_a_classifier_of_ours_in_a_model_keeps_its_classes(ours, tmp_path):
    path = save(functional(ours), tmp_path / "a.keras")
    copy = create_model(TINY, weights=path)
    expected = {k: v.numpy() for k, v in named_variables(ours).items()}
    assert_equal({k: v.numpy() for k, v in named_variables(copy).items()}, expected)


@pytest.mark.parametrize("config", ["[", "[1]", json.dumps({"config": 5})])
def test_h5_with_bad_configuration_is_refused(ours, config, tmp_path):
    path = save(ours, tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = config
    with pytest.raises(ValueError, match="damaged HDF5 file: model_config"):
        read_all(path)


@pytest.mark.parametrize("value", [np.nan, -1.0])
def test_statistics_that_cannot_be_are_refused(value, tmp_path):
    variant = tiny("tiny-v1b0")
    path = tmp_path / "a"
    statistics = [
        ("normalization", "mean", np.zeros(3)),
        ("normalization", "variance", np.full(3, value)),
    ]
    arrays = random_arrays(variant)
    write_keras_2(path, arrays, names.APPLICATIONS_V1, variant, extra=statistics)
    with pytest.raises(ValueError, match="variance of .* which cannot be"):
        create_model(variant, weights=path)
    create_model(variant, weights=path, preprocessing="imagenet")
