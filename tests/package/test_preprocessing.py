"""Records of preprocessing, and normalisation in the model and outside of it."""

import keras
import numpy as np
import pytest

from keras_effnetv2 import Preprocessing, create_model, preprocess_input
from keras_effnetv2.preprocessing import record
from tests.tiny_networks import SMALL, pixels, tiny

TORCH, CENTERED, TF = 255 * 0.485, 128.0, 127.5
SIZE = 300


@pytest.mark.parametrize(
    ("name", "dataset", "expected"),
    [
        ("efficientnet-b7", "imagenet", (TORCH, "bicubic", "center", SIZE)),
        ("efficientnet-lite2", "imagenet", (127.0, "bicubic", "center", SIZE)),
        ("efficientnetv2-b3", "imagenet", (TORCH, "bicubic", "center", SIZE)),
        ("efficientnetv2-s", "imagenet", (CENTERED, "bilinear", None, SIZE)),
        ("efficientnetv2-b3", "imagenet21k", (CENTERED, "bilinear", None, 224)),
        ("efficientnetv2-xl", "imagenet21k", (CENTERED, "bilinear", None, 224)),
        ("efficientnetv2-b3", "imagenet21k-ft1k", (TF, "bilinear", "squash", SIZE)),
        ("efficientnetv2-l", "imagenet21k-ft1k", (TF, "bilinear", "squash", SIZE)),
    ],
)
def test_preprocessing_follows_from_variant_and_weights(name, dataset, expected):
    found = record(name, dataset, SIZE)
    mean, interpolation, crop, size = expected
    assert found.mean[0] == pytest.approx(mean)
    assert (found.interpolation, found.image_size) == (interpolation, size)
    assert found.crop == (crop or "center_below_320")
    is_21k = dataset == "imagenet21k"
    assert found.activation == ("sigmoid" if is_21k else "softmax")
    assert found.num_labels == (21843 if is_21k else 1000)


def test_the_model_normalises_as_preprocess_input_does():
    inside = create_model(tiny("tiny-b0"), classes=3, classifier_activation=None)
    outside = create_model(
        tiny("tiny-b0"),
        classes=3,
        classifier_activation=None,
        include_preprocessing=False,
    )
    outside.set_weights(inside.get_weights())
    normalised = preprocess_input(pixels(), mode=outside.preprocessing)
    assert np.abs(normalised).max() < 3
    np.testing.assert_allclose(outside(normalised), inside(pixels()), atol=1e-5)


@pytest.mark.parametrize("kind", [np.asarray, keras.ops.convert_to_tensor])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_modes_by_name(kind, dtype):
    images = kind(np.array([[[[0, 128, 255]]]], dtype))
    assert preprocess_input(images) is images
    expected = {
        "torch": [-0.485 / 0.229, (128 / 255 - 0.456) / 0.224, 0.594 / 0.225],
        "centered": [-1, 0, 127 / 128],
        "tf": [-1, 0.5 / 127.5, 1],
    }
    for mode, values in expected.items():
        found = preprocess_input(images, mode=mode)
        np.testing.assert_allclose(np.ravel(found), values, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels_are_normalised_alike(channels):
    model = create_model(
        tiny("tiny-b0"), input_shape=(32, 32, channels), include_preprocessing=False
    )
    images = pixels(32, 32, channels=channels)
    normalised = preprocess_input(images, mode=model.preprocessing)
    assert normalised.shape == images.shape
    assert -2.2 < normalised.min() < 0 < normalised.max() < 2.7


@pytest.mark.parametrize("channels", [1, 4])
def test_channels_that_a_record_is_not_for_are_refused(channels):
    images = pixels(32, 32, channels=channels)
    with pytest.raises(ValueError, match="for 3 channels"):
        preprocess_input(images, mode="torch")
    rgb = Preprocessing((1, 2, 3), (1, 2, 3), "bilinear", "squash", 32)
    with pytest.raises(ValueError, match="normalises 3 channels.*Received: images"):
        create_model(SMALL, input_shape=(32, 32, channels), preprocessing=rgb)


def test_positions_are_those_of_keras_applications():
    images = pixels()
    theirs = keras.applications.efficientnet_v2.preprocess_input
    for arguments in ((), (None,), ("channels_last",)):
        assert preprocess_input(images, *arguments) is theirs(images, *arguments)
    with pytest.raises(ValueError, match=r"last.*numpy.moveaxis\(images, -3, -1\)"):
        preprocess_input(images, "channels_first")
    wanted = preprocess_input(images, mode="tf")
    for arguments in (("tf",), ("tf", "channels_last")):
        np.testing.assert_array_equal(preprocess_input(images, *arguments), wanted)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "caffe"}, "mode must be None, a Preprocessing or one of"),
        ({"mode": "tf", "data_format": "channels_first"}, "channels last"),
    ],
)
def test_unknown_modes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        preprocess_input(pixels(), **arguments)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("interpolation", "nearest"),
        ("crop", "random"),
        ("crop_pct", 0),
        ("crop_pct", 1.1),
        ("labels", "imagenet-22k"),
        ("activation", "relu"),
        ("std", (0.0,)),
        ("std", (1.0, 1.0)),
        ("image_size", 0),
    ],
)
def test_records_are_checked(field, value):
    good = {
        "mean": (0,),
        "std": (1,),
        "interpolation": "bicubic",
        "crop": "center",
        "image_size": 32,
    }
    with pytest.raises(ValueError, match=field):
        Preprocessing(**{**good, field: value})
    with pytest.raises(ValueError, match="dataset must be"):
        record("efficientnetv2-s", "imagenet22k", 32)
