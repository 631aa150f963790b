"""Inputs of other types and layouts than float pixels, channels last."""

import keras
import numpy as np
import pytest

from keras_effnetv2 import create_model
from keras_effnetv2.layers import (
    FusedMBConv,
    MBConv,
    PixelNormalization,
    SqueezeExcite,
)
from keras_effnetv2.preprocessing import record
from tests.tiny_networks import SMALL, pixels

RECORD = record("efficientnetv2-s", "imagenet", 300)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64", "float16"])
@pytest.mark.parametrize("normalization", ["legacy", "centered"])
def test_pixels_of_any_type_are_normalised_in_float32(dtype, normalization):
    record_ = (
        RECORD
        if normalization == "centered"
        else record("efficientnetv2-b0", "imagenet", 224)
    )
    images = np.arange(0, 120, dtype=dtype).reshape((1, 5, 8, 3))
    layer = PixelNormalization(record_)
    expected = (images.astype("float64") - record_.mean) / record_.std
    found = layer(images)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    symbolic = layer(keras.Input((5, 8, 3), dtype=dtype))
    assert symbolic.dtype == "float32"


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_a_network_of_integer_pixels_gives_what_one_of_floats_gives(dtype):
    model = create_model(SMALL, classes=3)
    inputs = keras.Input((40, 40, 3), dtype=dtype)
    same = create_model(SMALL, classes=3, input_tensor=inputs)
    same.set_weights(model.get_weights())
    images = pixels().astype(dtype)
    np.testing.assert_array_equal(same(images), model(images.astype("float32")))
    np.testing.assert_array_equal(
        same.predict(images, verbose=0), model.predict(images, verbose=0)
    )


@pytest.mark.parametrize(
    "shape", [(3, 64, 64), (1, 64, 64), (4, 32, 64), (3, None, 64), (3, None, None)]
)
def test_channels_first_is_refused_with_the_remedy(shape):
    with pytest.raises(ValueError, match="channels last"):
        create_model(SMALL, input_shape=shape)
    if None not in shape:
        with pytest.raises(ValueError, match="transpose"):
            create_model(SMALL, input_tensor=keras.Input(shape))


@pytest.mark.parametrize("shape", [(64, 64, 3), (64, 64, 13), (3, 64, 3), (64, 3, 1)])
def test_unusual_images_are_not_taken_for_channels_first(shape):
    model = create_model(SMALL, input_shape=shape, include_preprocessing=False)
    assert model.input_shape == (None, *shape)


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


@pytest.mark.usefixtures("channels_first")
@pytest.mark.parametrize("layer", [MBConv, FusedMBConv])
def test_keras_set_to_channels_first_is_refused(layer):
    with pytest.raises(ValueError, match="set_image_data_format"):
        layer(8)(np.zeros((1, 8, 4, 4), "float32"))
    with pytest.raises(ValueError, match="set_image_data_format"):
        create_model(SMALL)


@pytest.mark.parametrize("layer", [MBConv, FusedMBConv, SqueezeExcite])
def test_square_images_channels_first_are_refused_by_layers(layer):
    with pytest.raises(ValueError, match="channels first.*transpose"):
        layer(8)(keras.Input((3, 64, 64)))
    for shape in ((3, 32, 64), (4, 64, 64), (1, 1, 64), (64, 64, 3), (3, 3, 3)):
        assert layer(8)(keras.Input(shape)).shape[1:3] == shape[:2]


def test_two_shapes_that_contradict_each_other_are_refused():
    images = keras.Input((64, 64, 3))
    message = r"Received: \(64, 64, 3\) and \(32, 32, 3\)"
    with pytest.raises(ValueError, match=message):
        create_model(SMALL, input_tensor=images, input_shape=(32, 32, 3))


@pytest.mark.parametrize("dtype", ["string", "complex64"])
def test_what_pixels_cannot_be_is_refused(dtype):
    with pytest.raises(ValueError, match=f"input_tensor.*{dtype}"):
        create_model(SMALL, input_tensor=keras.Input((64, 64, 3), dtype=dtype))


@pytest.mark.parametrize("shape", [(True, 64, 3), (64, 64, True), (0, 64, 3)])
def test_sides_are_positive_whole_numbers(shape):
    with pytest.raises(ValueError, match="input_shape must be"):
        create_model(SMALL, input_shape=shape)


@pytest.mark.parametrize("shape", [(2, 8), (2, 8, 8), (2, 8, 8, 8, 3)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(ValueError, match="height, width, channels"):
        MBConv(8)(np.zeros(shape, "float32"))
