"""Models compiled for inference give what the models give."""

import keras
import numpy as np
import pytest

from keras_effnetv2 import compile_for_inference, create_model
from keras_effnetv2.errors import InputError
from tests.networks.test_fit import IMAGES
from tests.tiny_networks import NANO, require_quantization, spread_weights


@pytest.fixture
def model():
    network = create_model(NANO, classes=3)
    spread_weights(network, IMAGES)
    return network


def test_it_gives_what_the_model_gives(model):
    fast = compile_for_inference(model)
    assert not any(isinstance(x, keras.layers.BatchNormalization)
                   for x in fast.model.layers)  # fmt: skip
    for images in (IMAGES, IMAGES[:1], np.tile(IMAGES, (1, 2, 2, 1)).astype("uint8")):
        found = fast(images)
        assert type(found) is np.ndarray
        np.testing.assert_allclose(found, np.asarray(model(images)), rtol=1e-4)


def test_what_is_changed_later_does_not_count(model):
    fast = compile_for_inference(model)
    wanted = np.asarray(model(IMAGES))
    dense = model.layers[-1]
    dense.set_weights([0 * x for x in dense.get_weights()])
    np.testing.assert_allclose(fast(IMAGES), wanted, rtol=1e-4)


def test_models_larger_than_a_graph_give_the_same(model, monkeypatch):
    monkeypatch.setattr("keras_effnetv2.networks.constants.MAX_BYTES", 100)
    found = compile_for_inference(model)(IMAGES)
    assert type(found) is np.ndarray
    np.testing.assert_allclose(found, np.asarray(model(IMAGES)), rtol=1e-4)


def test_models_of_lower_precision_are_not_folded():
    half = create_model(NANO, classes=3, dtype="mixed_bfloat16")
    spread_weights(half, IMAGES)
    fast = compile_for_inference(half)
    assert fast.model is half
    wanted = np.asarray(half(IMAGES))
    half.layers[-1].bias.assign([9.0, 0.0, 0.0])
    np.testing.assert_allclose(fast(IMAGES), wanted, rtol=0.02)


def test_quantized_models_are_not_folded(model):
    require_quantization("int8")
    model.layers[-1].quantize("int8")
    fast = compile_for_inference(model)
    assert fast.model is model
    np.testing.assert_allclose(fast(IMAGES), model.predict_on_batch(IMAGES), rtol=1e-4)


def test_models_built_on_a_network_may_have_several_outputs(model):
    images = keras.Input((32, 32, 3))
    scores = model(images)
    outer = keras.Model(images, {"scores": scores, "twice": 2 * scores})
    found = compile_for_inference(outer)(IMAGES)
    wanted = np.asarray(model(IMAGES))
    np.testing.assert_allclose(found["scores"], wanted, rtol=1e-4)
    np.testing.assert_allclose(found["twice"], 2 * wanted, rtol=1e-4)


def test_images_of_another_range_warn_once(model):
    fast = compile_for_inference(model)
    with pytest.warns(UserWarning, match="pixels from 0 to 255"):
        fast(IMAGES / 255)
    fast(IMAGES / 255)


class Subclassed(keras.Model):
    def call(self, images):
        return images


def test_other_models_are_refused():
    for shapeless in (Subclassed(), keras.Sequential([keras.layers.Dense(2)])):
        with pytest.raises(InputError, match="functional .*ed: (Subcl|Sequen)"):
            compile_for_inference(shapeless)
    with pytest.raises(ValueError, match="Received: str"):
        compile_for_inference("efficientnetv2-b0")
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="does not say how its images are made"):
        compile_for_inference(plain)
