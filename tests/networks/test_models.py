"""create_model and the constructors: arguments, shapes, precision, saving."""

import dataclasses
import inspect
import pydoc
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_effnetv2
from keras_effnetv2 import create_model, fuse_stages, get_variant, inner_layers
from keras_effnetv2.layers import MBConv
from keras_effnetv2.networks.block_list import layout
from keras_effnetv2.networks.functional import EfficientNet
from keras_effnetv2.preprocessing import record
from keras_effnetv2.weights import releases
from tests.tiny_networks import SMALL, pixels, spread_weights, tiny


def predict(model, images):
    return model.predict(images, verbose=0)


def test_arguments_come_in_the_order_of_keras_applications():
    def names(function):
        return list(inspect.signature(function).parameters)

    expected = names(keras.applications.EfficientNetV2S)
    assert names(keras_effnetv2.EfficientNetV2S)[: len(expected)] == expected
    assert names(create_model)[1 : len(expected) + 1] == expected


def test_constructors_show_the_arguments_of_create_model():
    _, *wanted = inspect.signature(create_model).parameters.values()
    for suffix, weights in {"S": "imagenet", "XL": "imagenet21k-ft1k"}.items():
        constructor = getattr(keras_effnetv2, f"EfficientNetV2{suffix}")
        found = inspect.signature(constructor).parameters
        assert [x.replace(default=None) for x in found.values()] == [
            x.replace(default=None) for x in wanted
        ]
        assert found["weights"].default == weights
    text = pydoc.render_doc(keras_effnetv2.EfficientNetV2S, renderer=pydoc.plaintext)
    assert text.splitlines()[2].startswith("EfficientNetV2S(include_top: bool = True")
    assert "21.5M parameters, 8.4B FLOPs, 83.9% on ImageNet-1k" in text
    assert "drop_path_rate: rate of stochastic depth" in text
    assert "variant: a name of" not in text


def test_constructors_refuse_arguments_that_are_not_there():
    with pytest.raises(TypeError, match="dropout"):
        keras_effnetv2.EfficientNetV2B0(dropout=0.5)


@pytest.mark.parametrize(
    "suffix",
    [
        *("B0", "B1", "B2", "B3", "S"),
        *(pytest.param(size, marks=pytest.mark.slow) for size in ("M", "L", "XL")),
    ],
)
def test_every_constructor_builds_its_variant(suffix):
    model = getattr(keras_effnetv2, f"EfficientNetV2{suffix}")(
        weights=None, include_top=False
    )
    variant = get_variant(f"efficientnetv2-{suffix.lower()}")
    names = [layer.name for layer in model.layers]
    assert model.name == variant.name
    assert [n for n in names if n.startswith("block")] == [
        block.name for block in layout(variant)
    ]
    assert "predictions" not in names


@pytest.mark.parametrize("suffix", ["B0", "B1", "B2", "B3", "S", "M", "L", "XL"])
def test_every_constructors_default_weights_exist(suffix):
    constructor = getattr(keras_effnetv2, f"EfficientNetV2{suffix}")
    default = inspect.signature(constructor).parameters["weights"].default
    assert default in releases.datasets(f"efficientnetv2-{suffix.lower()}")


@pytest.mark.parametrize("name", ["efficientnetv2-b1", "efficientnetv2-b3"])
def test_drop_rates_grow_with_the_real_number_of_blocks(name):
    model = create_model(name)
    rates = [
        x.stochastic_depth.rate for x in model.layers if x.name.startswith("block")
    ]
    expected = [0.2 * i / len(rates) for i in range(len(rates))]
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "rate"),
    [("b0", 0.2), ("b2", 0.3), ("s", 0.2), ("m", 0.3), ("l", 0.4)],
)
def test_top_dropout_is_the_variants(name, rate):
    variant = dataclasses.replace(
        get_variant(f"efficientnetv2-{name}"), depth_coefficient=0.01
    )
    assert create_model(variant).get_layer("top_dropout").rate == rate


def test_rates_and_activation_can_be_set():
    model = create_model(
        SMALL, dropout_rate=0.5, drop_path_rate=0.8, activation="relu6"
    )
    assert model.get_layer("top_dropout").rate == 0.5
    block = model.get_layer("block3b")
    assert block.stochastic_depth.rate == pytest.approx(0.8 * 4 / 5)
    assert block.activation is keras.activations.relu6
    assert model.get_layer("top_activation").activation is keras.activations.relu6


def test_norm_options_reach_every_batch_norm():
    model = create_model(SMALL, bn_momentum=0.5, bn_epsilon=0.1, bn_synchronized=True)
    block = model.get_layer("block3a")
    for norm in (model.get_layer("stem_bn"), block.bn, block.project_bn):
        assert (norm.momentum, norm.epsilon, norm.synchronized) == (0.5, 0.1, True)


def test_custom_names_work():
    assert create_model("efficientnetv2-b0", name="mine").name == "mine"


def test_a_single_class_is_a_yes_or_no(tmp_path):
    model = create_model(SMALL, classes=1)
    spread_weights(model, pixels())
    scores = predict(model, pixels(batch=8))
    assert scores.shape == (8, 1)
    assert 0 < scores.min() < scores.max() < 1
    logits = create_model(SMALL, classes=1, classifier_activation=None)
    logits.set_weights(model.get_weights())
    expected = 1 / (1 + np.exp(-predict(logits, pixels(batch=8)).astype("float64")))
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    assert {model.preprocessing.activation, logits.preprocessing.activation} == {
        "sigmoid"
    }
    model.save(tmp_path / "m.keras")
    again = create_model(SMALL, weights=tmp_path / "m.keras")
    np.testing.assert_allclose(predict(again, pixels(batch=8)), scores, rtol=1e-5)


@pytest.mark.parametrize(
    "activation", ["softmax", keras.activations.log_softmax, keras.layers.Softmax()]
)
def test_an_activation_that_makes_a_single_class_constant_is_refused(activation):
    with pytest.raises(ValueError, match="single class is the same for every image"):
        create_model(SMALL, classes=1, classifier_activation=activation)
    assert create_model(SMALL, False, classes=1, classifier_activation=activation)


def test_classes_may_be_counted_with_numpy(tmp_path):
    model = create_model(SMALL, classes=np.array([2, 0, 1]).max() + 1)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert loaded.output.shape == (None, 3)


def test_letters_go_on_past_z():
    variant = dataclasses.replace(SMALL, depth_coefficient=15)
    names = [block.name for block in layout(variant)]
    assert "block2z" in names
    assert "block2aa" in names
    assert "block2ad" in names


@pytest.mark.parametrize("include_top", [True, False])
@pytest.mark.parametrize("size", [(32, 32), (33, 50), (64, 32), (7, 5)])
def test_one_model_takes_any_size(include_top, size):
    model = create_model(SMALL, include_top, classes=4)
    shape = predict(model, pixels(*size, batch=1)).shape
    sides = tuple(-(-side // 8) for side in size)
    assert shape == ((1, 4) if include_top else (1, *sides, 32))


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_pooling_gives_vectors(pooling):
    features = create_model(SMALL, include_top=False)
    pooled = create_model(SMALL, include_top=False, pooling=pooling)
    pooled.set_weights(features.get_weights())
    reduce = {"avg": np.mean, "max": np.max}[pooling]
    expected = reduce(predict(features, pixels()), axis=(1, 2))
    np.testing.assert_allclose(
        predict(pooled, pixels()), expected, rtol=1e-5, atol=1e-7
    )


def test_input_tensor_is_built_on():
    images = keras.Input((48, 48, 3), name="mine")
    scaled = keras.layers.Rescaling(255.0)(images)
    model = create_model(SMALL, input_tensor=scaled, classes=3)
    assert model.input is images
    expected = create_model(SMALL, classes=3)
    expected.set_weights(model.get_weights())
    np.testing.assert_allclose(
        model(pixels(48, 48) / 255), predict(expected, pixels(48, 48)), atol=1e-6
    )


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_gives_float32_scores(policy):
    full = create_model(SMALL, classes=5)
    keras.config.set_dtype_policy(policy)
    try:
        mixed = create_model(SMALL, classes=5)
        features = create_model(SMALL, include_top=False)
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.set_weights(full.get_weights())
    scores = mixed(pixels())
    assert keras.backend.standardize_dtype(scores.dtype) == "float32"
    np.testing.assert_allclose(np.sum(scores, axis=-1), 1, rtol=1e-6)
    np.testing.assert_allclose(scores, predict(full, pixels()), atol=0.02)
    assert features.output.dtype == policy.removeprefix("mixed_")
    block = mixed.get_layer("block3a")
    assert block.compute_dtype == policy.removeprefix("mixed_")


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16", None])
def test_a_dtype_is_that_of_all_layers(policy):
    by_argument = create_model(SMALL, classes=5, dtype=policy)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy or before)
    try:
        by_setting = create_model(SMALL, classes=5)
    finally:
        keras.config.set_dtype_policy(before)
    policies = [
        [layer.dtype_policy.name for layer in inner_layers(model) if layer.weights]
        for model in (by_argument, by_setting)
    ]
    assert policies[0] == policies[1]
    assert (policy or "float32") in policies[0]
    assert keras.config.dtype_policy() == before
    with pytest.raises(ValueError, match="float99"):
        create_model(SMALL, dtype="float99")
    assert keras.config.dtype_policy() == before


def test_a_model_says_in_a_line_what_it_is():
    model = create_model("efficientnetv2-b0", classes=7, preprocessing="imagenet21k")
    assert repr(model) == (
        "<EfficientNet efficientnetv2-b0: images 224x224 of pixels 0..255, "
        "(x - 128) / 128 inside, bilinear, crop center_below_320, no labels, "
        "outputs (None, 7)>"
    )
    assert "images 32x48" in repr(create_model(SMALL, input_shape=(32, 48, 3)))
    trained_on = record("efficientnetv2-s", "imagenet", 32)
    named = create_model(SMALL, classes=1000, preprocessing=trained_on)
    assert "imagenet, outputs (None, 1000)" in repr(named)
    inner = keras.Input((4,))
    assert repr(EfficientNet(inner, keras.layers.Dense(2)(inner)))


def test_grayscale_and_many_channels_build_untrained():
    for channels in (1, 4):
        model = create_model(SMALL, input_shape=(32, 32, channels))
        assert predict(model, pixels(32, 32, channels=channels)).shape == (2, 1000)


RELOAD = """
import sys, keras, numpy as np, keras_effnetv2
folder = sys.argv[1]
saved = keras.models.load_model(folder + "/m.keras")
built = keras_effnetv2.create_model("efficientnetv2-b0", classes=5)
built.load_weights(folder + "/m.weights.h5")
images, expected = np.load(folder + "/images.npy"), np.load(folder + "/scores.npy")
for model in (saved, built):
    np.testing.assert_array_equal(model.predict(images, verbose=0), expected)
assert type(saved).__name__ == "EfficientNet"
assert saved.preprocessing.interpolation == "bicubic"
print(saved.preprocessing == built.preprocessing)
"""


@pytest.mark.slow
def test_saved_models_give_the_same_scores_in_a_fresh_process(tmp_path):
    model = create_model("efficientnetv2-b0", classes=5)
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    np.save(tmp_path / "images.npy", pixels())
    np.save(tmp_path / "scores.npy", predict(model, pixels()))
    command = [sys.executable, "-c", RELOAD, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "True"


@pytest.mark.slow
def test_xl_builds_calls_saves_and_reloads(tmp_path):
    model = keras_effnetv2.EfficientNetV2XL(weights=None)
    assert len({layer.name for layer in model.layers}) == len(model.layers)
    images = pixels(batch=1)
    expected = predict(model, images)
    model.save(tmp_path / "xl.keras")
    del model
    loaded = keras.models.load_model(tmp_path / "xl.keras")
    np.testing.assert_array_equal(predict(loaded, images), expected)


def test_a_variant_with_fused_stages_builds():
    model = create_model(fuse_stages(tiny("tiny-v1b0"), {1, 2, 3}), classes=2)
    kinds = {layer.name: type(layer).__name__ for layer in model.layers}
    assert kinds["block3a"] == "FusedMBConv"
    assert kinds["block4a"] == "MBConv"
    assert model.get_layer("block3a").kernel_size == 3


def test_clones_and_submodels_work():
    model = create_model(SMALL, classes=3)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(predict(clone, pixels()), predict(model, pixels()))
    middle = keras.Model(model.input, model.get_layer("block2b").output)
    assert predict(middle, pixels()).shape == (2, 10, 10, 16)


def test_training_moves_weights_and_statistics_of_every_block():
    model = create_model(SMALL, classes=3)
    before = model.get_weights()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(pixels(batch=8), np.arange(8) % 3, batch_size=4, verbose=0)
    for old, new, weight in zip(
        before, model.get_weights(), model.weights, strict=True
    ):
        assert (old != new).any(), weight.path


def test_only_the_deepest_block_reads_squeeze_channels_from_its_input():
    block = create_model(SMALL).get_layer("block3b")
    assert isinstance(block, MBConv)
    assert block.se.filters == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "efficientnetv2-b9"}, "Unknown variant 'efficientnetv2-b9'"),
        ({"pooling": "mean"}, "pooling must be"),
        ({"classes": 0}, "classes must be"),
        ({"classes": -1}, "classes must be"),
        ({"classes": True}, "classes must be"),
        ({"classes": 2.0}, "classes must be"),
        ({"input_shape": 32}, "input_shape must be"),
        ({"input_shape": "big"}, "input_shape must be"),
        ({"input_shape": (32, 32)}, "input_shape must be"),
        ({"input_shape": (32, 32, None)}, "input_shape must be"),
        ({"input_shape": (0, 32, 3)}, "input_shape must be"),
        ({"input_tensor": np.zeros((1, 8, 8, 3))}, "input_tensor must be symbolic"),
        ({"dropout_rate": 1.0}, "dropout_rate must be"),
        ({"drop_path_rate": -0.1}, "drop_path_rate must be"),
        ({"weights": "imagenet22k"}, "Unknown weights 'imagenet22k'"),
        ({"variant": SMALL, "weights": "imagenet"}, "custom variant"),
        (
            {"variant": "efficientnetv2-xl", "weights": "imagenet"},
            "no weights 'imagenet' for 'efficientnetv2-xl'",
        ),
    ],
)
def test_bad_arguments_are_refused_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        create_model(**{"variant": "efficientnetv2-b0", **arguments})
