"""Folded models have no batch norms and give the same outputs."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_effnetv2 import create_model
from keras_effnetv2.export import fold_batch_norm
from keras_effnetv2.export.checks.roundtrip import keras_outputs
from keras_effnetv2.export.classifier import Classifier
from keras_effnetv2.export.folding import in_float32
from keras_effnetv2.networks.architecture import FUSED_MBCONV, MBCONV, BlockSpec
from tests.tiny_networks import NANO, PADDED, require_quantization, spread_weights


def batch_norms(model):
    layers = model._flatten_layers()
    return [x for x in layers if isinstance(x, keras.layers.BatchNormalization)]


def difference(model, other, images):
    wanted, found = (np.asarray(x(images)) for x in (model, other))
    return np.max(np.abs(wanted - found)) / np.max(np.abs(wanted))


V1 = dataclasses.replace(
    NANO,
    name="V1",
    blocks=(
        BlockSpec(MBCONV, 3, 1, 1, 8, 1, 0.25),
        BlockSpec(MBCONV, 5, 2, 6, 16, 2, 0.25),
        BlockSpec(FUSED_MBCONV, 3, 1, 4, 16, 1, 0.25),
    ),
)


@pytest.mark.parametrize("variant", [NANO, V1, PADDED], ids=lambda x: x.name)
def test_outputs_stay(variant, images):
    model = create_model(variant, classes=7, classifier_activation=None)
    spread_weights(model, images)
    folded = fold_batch_norm(model)
    assert batch_norms(model) and not batch_norms(folded)
    assert difference(model, folded, images) < 1e-4
    assert folded.preprocessing == model.preprocessing


def test_outputs_depend_on_the_statistics(images):
    model = create_model(NANO, classes=7, classifier_activation=None)
    fresh = fold_batch_norm(model)
    spread_weights(model, images)
    assert difference(model, fresh, images) > 0.01


def test_a_network_within_a_model_is_folded_and_the_rest_stays(images):
    body = create_model(NANO, include_top=False, pooling="avg")
    spread_weights(body, images)
    head = [keras.layers.BatchNormalization(), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((48, 48, 3)), body, *head])
    folded = fold_batch_norm(model)
    assert len(batch_norms(folded)) == 1
    assert difference(model, folded, images) < 1e-4


def test_operations_between_layers_stay(images):
    body = create_model(NANO, include_top=False, pooling="avg")
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
        model = create_model(NANO, classes=7, classifier_activation=None)
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


def with_lora(images):
    """LoRA in the classifier and in a convolution inside a block, and it does much."""
    model = create_model(NANO, classes=7)
    spread_weights(model, images)
    plain = model(images)
    block = next(x for x in model.layers if hasattr(x, "sublayers"))
    conv = next(x for x in block.sublayers() if isinstance(x, keras.layers.Conv2D))
    for layer in (conv, model.layers[-1]):
        layer.enable_lora(2)
        b = layer.lora_kernel_b
        b.assign(np.random.default_rng(0).normal(0, 1, b.shape))
    assert np.abs(model(images) - plain).max() > 0.01
    return model


def test_lora_is_merged(images):
    model = with_lora(images)
    folded = fold_batch_norm(model)
    wanted = np.asarray(model(images))
    # Large logits: what rounding changes in them, probabilities show more of.
    np.testing.assert_allclose(folded(images), wanted, atol=1e-3)
    assert not any("lora" in x.name for x in folded.weights)
    for fold in (True, False):
        opened = Classifier.open(model, fold)
        found = opened.outputs(images)["probabilities"]
        np.testing.assert_allclose(found, wanted, atol=1e-3)
        logits = keras_outputs(opened, images)["serving_default"]["logits"]
        np.testing.assert_allclose(
            opened.outputs(images)["logits"], logits, rtol=1e-4, atol=1e-2
        )


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_quantized_layers_are_refused_by_name(mode):
    require_quantization(mode)
    model = create_model(NANO, classes=7)
    model.layers[-1].quantize(mode)
    for refuse in (fold_batch_norm, lambda x: Classifier.open(x, fold=False)):
        with pytest.raises(ValueError, match=f"'predictions' .*[(]{mode}[)].* before"):
            refuse(model)
