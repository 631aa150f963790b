"""Folded models have no batch norms and give the same outputs."""

import keras
import numpy as np
import pytest

from keras_effnetv2 import create_model
from keras_effnetv2.export import fold_batch_norm
from keras_effnetv2.export.folding import in_float32
from tests.networks import spread_weights, tiny


def batch_norms(model):
    layers = model._flatten_layers()
    return [x for x in layers if isinstance(x, keras.layers.BatchNormalization)]


def difference(model, other, images):
    wanted, found = (x.predict(images, verbose=0) for x in (model, other))
    return np.max(np.abs(wanted - found)) / np.max(np.abs(wanted))


@pytest.mark.parametrize("name", ["tiny-s", "tiny-b0", "tiny-v1b0"])
def test_outputs_stay(name, images):
    model = create_model(tiny(name), classes=7, classifier_activation=None)
    spread_weights(model, images)
    folded = fold_batch_norm(model)
    assert batch_norms(model) and not batch_norms(folded)
    assert difference(model, folded, images) < 1e-4
    assert folded.preprocessing == model.preprocessing


def test_outputs_depend_on_the_statistics(images):
    model = create_model(tiny("tiny-s"), classes=7, classifier_activation=None)
    fresh = fold_batch_norm(model)
    spread_weights(model, images)
    assert difference(model, fresh, images) > 0.01


def test_a_network_within_a_model_is_folded_and_the_rest_stays(images):
    body = create_model(tiny("tiny-s"), include_top=False, pooling="avg")
    spread_weights(body, images)
    head = [keras.layers.BatchNormalization(), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((48, 48, 3)), body, *head])
    folded = fold_batch_norm(model)
    assert len(batch_norms(folded)) == 1
    assert difference(model, folded, images) < 1e-4


def test_operations_between_layers_stay(images):
    body = create_model(tiny("tiny-b0"), include_top=False, pooling="avg")
    spread_weights(body, images)
    scaled = keras.ops.multiply(body.output, 2.0)
    model = keras.Model(body.input, keras.layers.Dense(3)(scaled))
    assert difference(model, fold_batch_norm(model), images) < 1e-4


def test_a_folded_model_is_saved_and_loaded(classifier, images, tmp_path):
    folded = fold_batch_norm(classifier)
    folded.save(tmp_path / "folded.keras")
    loaded = keras.saving.load_model(tmp_path / "folded.keras")
    assert difference(folded, loaded, images) < 1e-5


def test_mixed_precision_becomes_float32(images):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = create_model(tiny("tiny-s"), classes=7, classifier_activation=None)
        spread_weights(model, images)
    finally:
        keras.config.set_dtype_policy("float32")
    exact = in_float32(model)
    assert difference(exact, fold_batch_norm(model), images) < 1e-4
    assert 1e-5 < difference(exact, model, images) < 0.3
    assert in_float32(exact) is exact


def test_nothing_to_fold(classifier):
    with pytest.raises(ValueError, match="no batch norms to fold.*--no-fold"):
        fold_batch_norm(fold_batch_norm(classifier))
    with pytest.raises(ValueError, match="has no batch norms to fold"):
        fold_batch_norm(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))
