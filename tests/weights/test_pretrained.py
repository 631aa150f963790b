"""From what a user names as weights to a model that has them."""

import dataclasses
import logging
import shutil

import h5py
import keras
import numpy as np
import pytest

import keras_effnetv2
from keras_effnetv2 import create_model
from keras_effnetv2.networks.functional import named_variables
from keras_effnetv2.preprocessing import Preprocessing
from keras_effnetv2.weights import at_hand, releases
from tests.servers import local_servers
from tests.tiny_networks import NANO, pixels, tiny


@pytest.fixture(scope="module", name="tiny_file")
def fixture_tiny_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.weights.h5"
    create_model(NANO, classes=10).save_weights(path)
    return path


def body(model):
    return {
        name: np.array(variable)
        for name, variable in named_variables(model).items()
        if not name.startswith("predictions")
    }


def assert_same_body(a, b):
    a, b = body(a), body(b)
    assert a.keys() == b.keys()
    for name, value in a.items():
        np.testing.assert_array_equal(value, b[name])


def test_imagenet_by_name_is_downloaded_once(mirror_server):
    first = keras_effnetv2.EfficientNetV2B0()
    second = keras_effnetv2.EfficientNetV2B0(weights="imagenet")
    assert_same_body(first, second)
    assert mirror_server.requests == ["/efficientnetv2-b0.h5"]
    assert first.output.shape == (None, 1000)
    assert first.preprocessing.labels == "imagenet"
    assert first.preprocessing.interpolation == "bicubic"
    assert first.get_layer("predictions").activation is keras.activations.softmax


def test_the_address_of_a_release_is_as_good_as_its_name(mirror_server):
    release = releases.find("efficientnetv2-b0", "imagenet", include_top=True)
    model = keras_effnetv2.EfficientNetV2B0(weights=release.url)
    assert mirror_server.requests == ["/efficientnetv2-b0.h5"]
    assert model.preprocessing.labels == "imagenet"


def test_a_file_of_any_server_is_known_by_the_name_of_a_release(
    mirror_server, monkeypatch
):
    monkeypatch.delenv("KERAS_EFFNETV2_MIRROR")
    url = f"{local_servers.address(mirror_server)}/efficientnetv2-b0.h5"
    model = keras_effnetv2.EfficientNetV2B0(weights=url)
    assert "/efficientnetv2-b0.h5" in mirror_server.requests
    assert model.preprocessing.labels == "imagenet"


def test_weights_are_at_hand_once_they_are_downloaded(mirror_server):
    weights = "efficientnetv2-b0", "imagenet"
    assert not at_hand.is_at_hand(*weights) and at_hand.is_reachable(*weights)
    keras_effnetv2.EfficientNetV2B0(include_top=False)
    assert at_hand.is_at_hand(*weights)
    for unpublished in ("efficientnetv2-xl", "imagenet"), ("small", "imagenet"):
        assert not at_hand.is_at_hand(*unpublished)
        assert not at_hand.is_reachable(*unpublished)


def test_without_a_mirror_a_server_is_asked_whether_it_has_weights(
    mirror_server, monkeypatch
):
    monkeypatch.delenv("KERAS_EFFNETV2_MIRROR")
    address = local_servers.address(mirror_server)
    rows = [
        dataclasses.replace(row, url=f"{address}/{row.file_name}")
        for row in releases.RELEASES
    ]
    monkeypatch.setattr(releases, "RELEASES", tuple(rows))
    assert at_hand.is_reachable("efficientnetv2-b0", "imagenet")
    assert not at_hand.is_reachable("efficientnetv2-b1", "imagenet")
    asked = {"/efficientnetv2-b0_notop.h5", "/efficientnetv2-b1_notop.h5"}
    assert {*mirror_server.requests} == asked


def test_the_smaller_file_is_enough_without_the_classifier(mirror_server):
    model = keras_effnetv2.EfficientNetV2B0(include_top=False, pooling="avg")
    assert mirror_server.requests == ["/efficientnetv2-b0_notop.h5"]
    assert model.preprocessing.labels is None
    assert model.output.shape == (None, 128)


def test_the_smaller_file_is_enough_for_other_classes(mirror_server):
    model = keras_effnetv2.EfficientNetV2B0(weights="imagenet", classes=5)
    assert mirror_server.requests == ["/efficientnetv2-b0_notop.h5"]
    assert model.output.shape == (None, 5)


def test_features_have_no_labels_though_their_file_has(mirror_server):
    model = keras_effnetv2.EfficientNetV2B0(include_top=False, weights="imagenet21k")
    assert model.preprocessing.mean == (128.0,)
    assert model.preprocessing.labels is None


def test_imagenet21k_has_its_own_preprocessing_and_sigmoid(mirror_server):
    model = keras_effnetv2.EfficientNetV2B0(weights="imagenet21k")
    assert model.output.shape == (None, 21843)
    assert model.get_layer("predictions").activation is keras.activations.sigmoid
    assert model.preprocessing.mean == (128.0,)
    assert model.preprocessing.interpolation == "bilinear"
    assert model.preprocessing.image_size == 224
    assert model.preprocessing.labels == "imagenet21k"


def test_another_number_of_classes_starts_a_fresh_classifier(mirror_server, caplog):
    with caplog.at_level(logging.INFO):
        model = keras_effnetv2.EfficientNetV2B0(weights="imagenet21k", classes=5)
    assert "classifier of 5 classes starts from scratch" in caplog.text
    whole = keras_effnetv2.EfficientNetV2B0(weights="imagenet21k")
    assert_same_body(model, whole)
    assert model.get_layer("predictions").activation is keras.activations.softmax
    assert model.preprocessing.mean == (128.0,)
    assert model.preprocessing.labels is None


def test_a_renamed_file_is_recognised(tiny_file, tmp_path):
    renamed = shutil.copy(tiny_file, tmp_path / "something.tgz")
    assert_same_body(
        create_model(NANO, weights=renamed), create_model(NANO, weights=tiny_file)
    )


def test_own_weights_say_whose_preprocessing_they_need(tmp_path, caplog):
    path = tmp_path / "tiny-21k-ft1k.weights.h5"
    tuned = create_model(NANO, classes=3, preprocessing="imagenet21k")
    tuned.save_weights(str(path))
    again = create_model(NANO, weights=path)
    assert again.preprocessing == tuned.preprocessing
    assert again.preprocessing.mean == (128.0,)
    assert again.preprocessing.labels is None
    assert "how its images were made" not in caplog.text


def test_files_may_say_whose_preprocessing_they_need(tiny_file, tmp_path, caplog):
    b0 = dataclasses.replace(NANO, name="small-b0")  # Has another record than S.

    def mean(**arguments):
        return create_model(b0, **arguments).preprocessing.mean

    silent = shutil.copy(tiny_file, tmp_path / "tiny.h5")
    with h5py.File(silent, "r+") as file:
        file.attrs.clear()
    named = shutil.copy(silent, tmp_path / "tiny-21k-ft1k.h5")
    assert mean(weights=named) == (127.5,)
    assert mean(weights=named, preprocessing="imagenet21k") == (128.0,)
    assert "how its images were made" not in caplog.text
    assert mean(weights=silent)[0] == pytest.approx(255 * 0.485)
    assert "does not say how its images were made" in caplog.text
    record = Preprocessing((1,), (2,), "bicubic", "squash", 48, tuple("abcdefghij"))
    model = create_model(NANO, weights=named, preprocessing=record)
    assert model.preprocessing == record
    model.save(tmp_path / "model.keras")
    again = create_model(NANO, weights=tmp_path / "model.keras")
    assert again.preprocessing == record


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_channels_adapt_the_stem(tiny_file, channels):
    options = {"include_preprocessing": False, "classifier_activation": None}
    model = create_model(
        NANO, weights=tiny_file, input_shape=(None, None, channels), **options
    )
    assert len(model.preprocessing.mean) == 1
    rgb = create_model(NANO, weights=tiny_file, **options)
    grey = pixels(channels=1) / 255
    np.testing.assert_allclose(
        model(np.repeat(grey, channels, axis=-1)),
        rgb(np.repeat(grey, 3, axis=-1)),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_users_layers_before_the_network_keep_their_weights(tiny_file):
    infrared = keras.Input((None, None, 5))
    colours = keras.layers.Conv2D(3, 1, name="colours")(infrared)
    model = create_model(NANO, input_tensor=colours, weights=tiny_file)
    assert_same_body(model, create_model(NANO, weights=tiny_file))
    assert model.input is infrared


@pytest.mark.parametrize("channels", [1, 4])
def test_own_weights_for_other_channels_load(channels, tmp_path):
    shape = (32, 32, channels)
    model = create_model(NANO, classes=3, input_shape=shape)
    model.save_weights(tmp_path / "model.weights.h5")
    again = create_model(NANO, weights=tmp_path / "model.weights.h5", input_shape=shape)
    assert again.preprocessing == model.preprocessing
    images = pixels(32, 32, channels=channels)
    np.testing.assert_allclose(again(images), model(images), atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (32, 32, 1)}, "include_preprocessing=False"),
        ({"variant": tiny("tiny-s")}, "does not belong to tiny-s"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tiny_file, arguments, message):
    with pytest.raises(ValueError, match=message):
        create_model(**{"variant": NANO, "weights": tiny_file, **arguments})


def test_a_file_without_classifier_needs_a_word(tmp_path):
    path = tmp_path / "body.weights.h5"
    create_model(NANO, include_top=False).save_weights(path)
    with pytest.raises(ValueError, match="has no classifier"):
        create_model(NANO, weights=path)
    model = create_model(NANO, weights=path, classes=3)
    assert model.output.shape == (None, 3)


def test_labels_must_be_as_many_as_classes(tiny_file):
    record = Preprocessing((1,), (2,), "bicubic", "squash", 48, ("cat", "dog"))
    with pytest.raises(ValueError, match="names 2 labels"):
        create_model(NANO, weights=tiny_file, preprocessing=record)


def test_unreachable_weights_say_what_to_do(mirror_server, monkeypatch):
    monkeypatch.setenv("KERAS_EFFNETV2_MIRROR", "http://127.0.0.1:1")
    monkeypatch.setattr("keras_effnetv2.weights.downloads.https.BACKOFF_SECONDS", 0.0)
    with pytest.raises(ConnectionError, match="KERAS_EFFNETV2_MIRROR"):
        keras_effnetv2.EfficientNetV2B0(weights="imagenet")
