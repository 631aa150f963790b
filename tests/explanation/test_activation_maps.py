"""Class-activation maps: closed forms, models of every build, and JAX."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_effnetv2 import create_model
from keras_effnetv2.explanation.activation_maps import (
    METHODS,
    class_activation_maps,
    split_classifier,
)
from keras_effnetv2.networks.architecture import BlockSpec, Variant
from tests.tiny_networks import require_quantization, spread_weights

CHECKS = pathlib.Path(__file__).with_name("explanation_checks.py")
BLOCKS = (
    BlockSpec("fused_mbconv", 3, 2, 4, 16, 1),
    BlockSpec("mbconv", 3, 2, 4, 24, 1, 0.25),
)
SMALL = Variant("small", BLOCKS, 8, 32, 32, 0.2, top_filters=40)
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 24, 32, 3)).astype("float32")
CLASSES = np.array([[0, 2], [1, 3]])

layers = keras.layers


def network(**options):
    keras.utils.set_random_seed(0)
    model = create_model(SMALL, **options)
    spread_weights(model, IMAGES)
    return model


def classifier(**options):
    """Ours, whose last two classes weigh against what the first two weigh for."""
    model = network(classes=4, **options)
    return contrasted(model)


def plain(activation):
    """The same of one convolution: for what goes for any model."""
    keras.utils.set_random_seed(0)
    conv = layers.Conv2D(16, 8, strides=8, activation="relu")
    dense = layers.Dense(4, activation=activation, name="predictions")
    pixels = [keras.Input((24, 32, 3)), layers.Rescaling(1 / 255), conv]
    return contrasted(
        keras.Sequential([*pixels, layers.GlobalAveragePooling2D(), dense])
    )


def contrasted(model):
    dense = model.get_layer("predictions")
    kernel, _ = dense.get_weights()
    kernel[:, 2:] = -kernel[:, :2]
    dense.set_weights([kernel, np.array([0.5, -1, 2, 0])])
    return model


@pytest.fixture(scope="module")
def ours():
    return classifier()


@pytest.fixture(scope="module")
def body():
    return network(include_top=False)


def chosen(by_class):
    """`(batch, rows, columns, classes)` -> `(batch, n, rows, columns)` of CLASSES."""
    picked = [x[..., c] for x, c in zip(by_class, CLASSES, strict=True)]
    return np.moveaxis(picked, -1, 1)


@pytest.mark.parametrize(
    "build",
    [classifier, lambda: plain("sigmoid"), lambda: plain(None)],
    ids=["ours", "sigmoid", "none"],
)
def test_behind_average_pooling_maps_are_weighted_features(build):
    model = build()
    parts = split_classifier(model)
    features = parts.features(IMAGES)
    kernel, _ = model.get_layer("predictions").get_weights()
    expected = np.maximum(chosen(features.astype("float64") @ kernel / (3 * 4)), 0)
    assert expected.shape == (2, 2, 3, 4) and 0 < (expected > 0).mean() < 1
    for method in METHODS:
        found = parts.maps(features, CLASSES, method)
        assert found.dtype == np.float32
        atol = 1e-6 * expected.max()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=atol)


@pytest.mark.parametrize(
    ("mode", "tolerance", "activation"),
    [("int8", 0.02, "softmax"), ("int4", 0.2, None), ("float8", 0.1, "softmax")],
)
def test_a_quantized_classifier_has_the_maps_of_its_float_one(
    mode, tolerance, activation
):
    require_quantization(mode)
    model = plain(activation)
    expected = class_activation_maps(model, IMAGES, CLASSES)
    dense = model.get_layer("predictions")
    before = dense.activation
    dense.quantize(mode)
    found = class_activation_maps(model, IMAGES, CLASSES)
    assert np.abs(found - expected).max() <= tolerance * expected.max()
    assert dense.activation is before


def test_lora_is_part_of_the_maps():
    model = plain("softmax")
    dense = model.get_layer("predictions")
    dense.enable_lora(2)
    dense.lora_kernel_b.assign(np.random.default_rng(0).normal(0, 1, (2, 4)))
    parts = split_classifier(model)
    features = parts.features(IMAGES)
    factors = (x.numpy() for x in (dense.lora_kernel_a, dense.lora_kernel_b))
    kernel = dense.get_weights()[0] + np.matmul(*factors)
    expected = np.maximum(chosen(features @ kernel / (3 * 4)), 0)
    np.testing.assert_allclose(
        parts.maps(features, CLASSES), expected, rtol=1e-4, atol=1e-5 * expected.max()
    )


def test_evidence_for_and_against_adds_up_to_the_logit():
    model = plain(None)
    maps = class_activation_maps(model, IMAGES, [0, 1, 2, 3])
    sums = (maps[:, :2] - maps[:, 2:]).sum(axis=(2, 3)) + [0.5, -1]
    logits = model(IMAGES)[:, :2]
    np.testing.assert_allclose(sums, logits, rtol=1e-5, atol=1e-6)


def test_behind_maximum_pooling_hirescam_shows_the_maxima_alone():
    body = network(include_top=False, pooling="max")
    dense = layers.Dense(4, activation="softmax")
    model = keras.Sequential([body, dense])
    features = split_classifier(model).features(IMAGES)
    kernel, _ = dense.get_weights()
    maxima = features * (features == features.max(axis=(1, 2), keepdims=True))
    expected = {"hirescam": maxima, "gradcam": features / (3 * 4)}
    for method, parts in expected.items():
        found = class_activation_maps(model, IMAGES, CLASSES, method)
        np.testing.assert_allclose(
            found, np.maximum(chosen(parts @ kernel), 0), rtol=1e-4, atol=1e-5
        )


def flat(body, head):
    return keras.Model(body.input, head(layers.GlobalAveragePooling2D()(body.output)))


def around(body, head):
    inputs = keras.Input((None, None, 3))
    return keras.Model(inputs, head(layers.GlobalAveragePooling2D()(body(inputs))))


def around_pooled(body, head):
    pooled = keras.Model(
        body.input, layers.GlobalAveragePooling2D(keepdims=True)(body.output)
    )
    inputs = keras.Input((24, 32, 3))
    return keras.Model(inputs, head(layers.Flatten()(pooled(inputs))))


def around_all(body, head):
    return keras.Sequential([layers.RandomFlip(), flat(body, head)])


def with_models_for_head(body, head):
    inputs = keras.Input((24, 32, 3))
    features = keras.Input(body.output_shape[1:])
    pooled = keras.Model(features, layers.GlobalAveragePooling2D()(features))
    return keras.Model(inputs, keras.Sequential([pooled, head])(body(inputs)))


@pytest.mark.parametrize(
    "build", [flat, around, around_pooled, around_all, with_models_for_head]
)
def test_models_built_on_ours_are_opened(build, body):
    keras.utils.set_random_seed(0)
    hidden, dense = layers.Dense(8, activation="relu"), layers.Dense(4)
    softmax = layers.Activation("softmax", dtype="float32")
    head = keras.Sequential([hidden, layers.Dropout(0.5), dense, softmax])
    model = build(body, head)
    model(IMAGES)
    parts = split_classifier(model)
    features = parts.features(IMAGES)
    # Some processors have other kernels for a graph than for one layer.
    np.testing.assert_allclose(features, body(IMAGES), atol=1e-5)
    scores = model(IMAGES, training=False)
    np.testing.assert_allclose(parts.scores(features), scores, rtol=1e-5)
    (first, bias), (second, _) = hidden.get_weights(), dense.get_weights()
    is_active = features.mean(axis=(1, 2)) @ first + bias > 0
    weights = np.einsum("ch,bh,hk->bck", first, is_active, second) / (3 * 4)
    expected = np.maximum(chosen(np.einsum("bijc,bck->bijk", features, weights)), 0)
    found = parts.maps(features, CLASSES)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_a_search_for_orange_finds_the_flower():
    datasets = pytest.importorskip("sklearn.datasets", reason="needs scikit-learn")
    photograph = datasets.load_sample_image("flower.jpg")[:416, :640]
    orange = layers.Conv2D(1, 1, activation="relu", use_bias=False)
    model = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            layers.AveragePooling2D(32),
            orange,
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax", use_bias=False),
        ]
    )
    orange.set_weights([np.reshape([1.0, 0.0, -1.0], (1, 1, 3, 1))])
    model.layers[-1].set_weights([np.array([[1.0, -1.0]])])
    flower, rest = class_activation_maps(model, photograph[None], [0, 1])[0]
    rows, columns = np.nonzero(flower > flower.max() / 2)
    assert 190 < np.median(32 * columns + 16) < 450 and len(columns) > 20
    assert flower.sum() > 0 and not rest.any()


@pytest.mark.parametrize(
    ("end", "found"),
    [
        ([], "no chain of layers"),
        ([layers.Flatten(), layers.Dense(2)], "Flatten, Dense"),
        ([layers.GlobalAveragePooling2D()], "GlobalAveragePooling2D"),
        (
            [layers.GlobalMaxPooling2D(), layers.Dense(2), layers.Dropout(0.1)],
            "GlobalMaxPooling2D, Dense, Dropout",
        ),
    ],
)
def test_other_models_are_refused(end, found):
    model = keras.Sequential([keras.Input((8, 8, 3)), *end], name="mine")
    with pytest.raises(ValueError, match=f"'mine', whose end is: {found}") as error:
        split_classifier(model)
    assert "\n" not in str(error.value)


def test_a_head_that_branches_is_refused(body):
    pooled = layers.GlobalAveragePooling2D()(body.output)
    sums = layers.Add()([pooled, layers.Dense(pooled.shape[-1])(pooled)])
    alone = keras.Model(body.input, layers.Dense(2)(sums))
    images = keras.Input(body.input.shape[1:])
    inner = keras.Model(body.input, sums)
    for model in (alone, keras.Model(images, layers.Dense(2)(inner(images)))):
        with pytest.raises(ValueError, match="whose end is: Dense"):
            split_classifier(model)


@pytest.mark.parametrize(
    "classes", [4, [-1], [0.0], [], [[0], [1], [2]], [[[0]], [[1]]]]
)
def test_wrong_classes_are_refused(ours, classes):
    with pytest.raises(ValueError, match="whole numbers from 0 to 3"):
        class_activation_maps(ours, IMAGES, classes)


def test_an_unknown_method_is_refused(ours):
    with pytest.raises(ValueError, match="Received: 'lime'"):
        class_activation_maps(ours, IMAGES, [0], "lime")


def test_images_of_the_wrong_range_are_noticed(ours):
    fresh = type(ours).from_config(ours.get_config())  # The first ones are looked at.
    with pytest.warns(UserWarning, match="takes pixels from 0 to 255"):
        class_activation_maps(fresh, IMAGES / 255, [0])


@pytest.mark.slow
def test_jax_gives_the_maps_of_tensorflow(tmp_path):
    pytest.importorskip("jax", reason="needs jax")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((24, 32, 3)),
            layers.Conv2D(8, 8, strides=8, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.5),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", IMAGES)
    for method in METHODS:
        maps = class_activation_maps(model, IMAGES, CLASSES, method)
        np.save(tmp_path / f"{method}.npy", maps)
    result = subprocess.run(
        [sys.executable, str(CHECKS), str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout.strip() == "passed", result.stderr
