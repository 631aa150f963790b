"""Every option of create_model survives `.keras`, `.weights.h5` and a clone."""

import keras
import numpy as np
import pytest

from keras_effnetv2 import create_model
from tests.tiny_networks import PADDED, SMALL, pixels, spread_weights

OPTIONS = {
    "no top": {"include_top": False},
    "pooling": {"include_top": False, "pooling": "max"},
    "logits": {"classifier_activation": None},
    "sigmoid": {"classifier_activation": "sigmoid"},
    "grey": {"input_shape": (None, 40, 1)},
    "rates": {"dropout_rate": 0.7, "drop_path_rate": 0.6},
    "relu6": {"activation": "relu6"},
    "norms": {"bn_momentum": 0.5, "bn_epsilon": 0.1, "bn_synchronized": True},
    "groups of replicas": {"bn_synchronized": 8},
    "remat": {"remat": True},
}


# The others are left to make test-long: each builds a network of its own.
FAST = ("pooling", "logits", "grey", "relu6", "norms")
CASES = [
    pytest.param(
        *(SMALL, options), id=name, marks=[] if name in FAST else pytest.mark.long
    )
    for name, options in OPTIONS.items()
]


@pytest.mark.parametrize(
    ("variant", "options"), [*CASES, pytest.param(PADDED, {}, id="PyTorch's")]
)
def test_options_are_kept(variant, options, tmp_path):
    model = create_model(variant, **{"classes": 4, **options})
    images = pixels(channels=model.input.shape[-1])
    spread_weights(model, images)
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    copies = [
        clone,
        keras.models.load_model(tmp_path / "m.keras"),
        create_model(variant, weights=tmp_path / "m.keras", **options),
        create_model(variant, weights=tmp_path / "m.weights.h5", **options),
    ]
    expected = np.asarray(model(images))
    assert np.ptp(expected) > 0.01
    for copy in copies:
        np.testing.assert_array_equal(copy(images), expected)
        assert copy.preprocessing == model.preprocessing
    for copy in copies[:2]:
        assert type(copy) is type(model)
        for layer in model.layers[2:]:
            assert copy.get_layer(layer.name).get_config() == layer.get_config()


def test_normalised_images_are_still_expected_after_loading(tmp_path):
    model = create_model(SMALL, classes=2, include_preprocessing=False)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    with pytest.warns(UserWarning, match="include_preprocessing=False"):
        loaded(pixels())
