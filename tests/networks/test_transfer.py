"""Feature pyramids, freezing and class names."""

import keras
import numpy as np
import pytest

from keras_effnetv2 import (
    create_model,
    feature_pyramid,
    freeze,
    inner_layers,
    name_classes,
)
from keras_effnetv2.layers import BatchNorm
from tests.tiny_networks import SMALL, pixels, tiny


@pytest.mark.parametrize("include_top", [True, False])
def test_pyramid_levels_have_their_strides(include_top):
    model = create_model(tiny("tiny-s"), include_top)
    features = feature_pyramid(model)(pixels(70, 50))
    assert list(features) == [f"reduction_{level}" for level in range(1, 6)]
    for level, (name, feature) in enumerate(features.items(), start=1):
        sides = tuple(-(-side // 2**level) for side in (70, 50))
        assert feature.shape[1:3] == sides, name


def test_pyramid_levels_can_be_chosen():
    model = create_model(SMALL)
    pyramid = feature_pyramid(model, levels=(3, 1))
    assert list(pyramid.output) == ["reduction_3", "reduction_1"]
    assert pyramid.preprocessing == model.preprocessing


@pytest.mark.parametrize("activation", ["softmax", None])
def test_a_pyramid_has_the_scores_where_asked(activation):
    model = create_model(SMALL, classes=4, classifier_activation=activation)
    pyramid = feature_pyramid(model, levels=(2,), include_top=True)
    outputs = pyramid.predict(pixels(), verbose=0)
    scores = model.predict(pixels(), verbose=0)
    name = "logits" if activation is None else "probabilities"
    assert list(outputs) == [
        "reduction_2", *(["logits"] if activation is None else []), "probabilities"
    ]  # fmt: skip
    np.testing.assert_allclose(outputs[name], scores, rtol=1e-5)
    np.testing.assert_allclose(outputs["probabilities"].sum(-1), 1, rtol=1e-5)
    assert {id(x) for x in pyramid.weights} == {id(x) for x in model.weights}


def test_pyramids_of_other_things_are_refused():
    with pytest.raises(ValueError, match="include_top=True needs a classifier"):
        feature_pyramid(create_model(SMALL, False), (1,), include_top=True)
    with pytest.raises(ValueError, match=r"levels \[1, 2, 3\]"):
        feature_pyramid(create_model(SMALL), levels=(4,))
    with pytest.raises(ValueError, match="from create_model"):
        feature_pyramid(keras.Sequential([keras.Input((8, 8, 3))]))


def test_names_of_classes_are_kept_with_the_model(tmp_path):
    model = name_classes(create_model(SMALL, weights=None, classes=2), ["cat", "dog"])
    model.save(tmp_path / "pets.keras")
    loaded = keras.models.load_model(tmp_path / "pets.keras")
    assert loaded.preprocessing.labels == ("cat", "dog")


@pytest.mark.parametrize(
    "names, message",
    [
        (["cat"], "has 2 classes and needs a name for each. Received: 1 names"),
        ("ab", "Received: 'ab'"),
        (["cat", ""], "A class's name is a line of text. Received: ''"),
        (["cat", "a\ndog"], "A class's name is a line of text"),
        ([0, 1], "A class's name is a line of text. Received: 0"),
    ],
)
def test_names_that_cannot_be_are_refused(names, message):
    model = create_model(SMALL, weights=None, classes=2)
    with pytest.raises(ValueError, match=message):
        name_classes(model, names)


def in_models(base):
    """`base` inside models of the kinds that users build around it."""
    images = keras.Input((40, 40, 3))
    yield keras.Sequential([base, keras.layers.Dense(2)])
    yield keras.Model(images, keras.layers.Dense(2)(base(images)))
    frames = keras.Input((3, 40, 40, 3))
    yield keras.Model(frames, keras.layers.TimeDistributed(base)(frames))


def test_every_inner_layer_is_listed_once():
    base = create_model(SMALL, include_top=False, pooling="avg")
    for model in (base, *in_models(base)):
        layers = inner_layers(model)
        assert len({id(layer) for layer in layers}) == len(layers)
        assert model not in layers
        weights = {id(x) for layer in layers for x in layer.weights}
        assert weights == {id(x) for x in model.weights}
        norms = [x for x in layers if isinstance(x, BatchNorm)]
        assert sum(len(norm.weights) for norm in norms) == sum(
            "bn/" in variable.path for variable in model.weights
        )
        names = [norm.name for norm in norms]
        assert (names[0], names[-1]) == ("stem_bn", "top_bn")
    block = base.get_layer("block2a")
    assert inner_layers(block)[0] is block.stochastic_depth


def fit(model):
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = {v.path: np.array(v) for v in model.weights}
    model.fit(pixels(batch=4), np.arange(4) % 2, verbose=0)
    return {v.path for v in model.weights if (before[v.path] != np.array(v)).any()}


def parts(paths):
    return {path.partition("/")[0].rstrip("abcdefghij").split("_")[0] for path in paths}


def test_frozen_parts_stay_and_the_rest_learns():
    model = create_model(SMALL, classes=2, drop_path_rate=0)
    changed = fit(freeze(model, until="stage2", batch_norm="trainable"))
    assert parts(changed) == {"block3", "top", "predictions"}
    assert any("moving_mean" in path for path in changed)
    changed = fit(freeze(model, until="top"))
    assert parts(changed) == {"predictions"}
    changed = fit(freeze(model, until=None, batch_norm="trainable"))
    assert parts(changed) == {
        "stem",
        "block1",
        "block2",
        "block3",
        "top",
        "predictions",
    }


def test_frozen_batch_norms_stay_everywhere():
    model = create_model(SMALL, classes=2, drop_path_rate=0)
    changed = fit(freeze(model, until="stem"))
    assert changed
    assert not any("bn/" in path for path in changed)


def test_freezing_reaches_into_a_users_model():
    base = create_model(SMALL, include_top=False, pooling="avg")
    outputs = [keras.layers.Dense(2, activation="softmax", name="mine")]
    model = keras.Sequential([base, *outputs])
    changed = fit(freeze(model, until="top"))
    assert {path.split("/")[-2] for path in changed} == {"mine"}


def freeze_all(model):
    model.trainable = False


def freeze_what_a_loop_reaches(model):
    for layer in model.layers:
        layer.trainable = False


def freeze_inside(model):
    for layer in inner_layers(model):
        if not inner_layers(layer):
            layer.trainable = False


@pytest.mark.parametrize(
    "freeze_first", [freeze_all, freeze_what_a_loop_reaches, freeze_inside]
)
@pytest.mark.parametrize("batch_norm", ["frozen", "trainable"])
def test_freezing_sets_a_model_anew_whatever_was_frozen(freeze_first, batch_norm):
    def trainable(model):
        return [x.path for x in model.trainable_weights]

    base = create_model(SMALL, include_top=False, pooling="avg")
    for model in (create_model(SMALL, classes=2), base, *in_models(base)):
        for until in ("stage2", None):
            base.trainable = True
            wanted = trainable(freeze(model, until, batch_norm))
            assert wanted
            freeze_first(model)
            assert not trainable(model)
            assert trainable(freeze(model, until, batch_norm)) == wanted
            base.trainable = False  # Within the model, where there is one.
            assert trainable(freeze(model, until, batch_norm)) == wanted


def test_freezing_keeps_what_lora_has_fixed():
    model = create_model(SMALL, classes=2)
    model.get_layer("predictions").enable_lora(2)
    freeze(model, "top")
    names = [x.path.rpartition("/")[2] for x in model.trainable_weights]
    assert names == ["bias", "lora_kernel_a", "lora_kernel_b"]


def test_freezing_spares_a_users_layers_of_like_names():
    images = keras.Input((40, 40, 1))
    mine = keras.layers.Conv2D(3, 1, name="block1_conv")
    model = create_model(SMALL, input_tensor=mine(images))
    freeze(model, until="stage1")
    assert mine.trainable
    assert not model.get_layer("block1a").trainable


def test_a_frozen_model_is_frozen_and_equal_after_loading(tmp_path):
    model = freeze(create_model(SMALL, classes=2), until="stage2")
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert [v.path for v in loaded.trainable_weights] == [
        v.path for v in model.trainable_weights
    ]
    norm = loaded.get_layer("block3a").bn
    assert isinstance(norm, BatchNorm)
    assert not norm.trainable
    np.testing.assert_array_equal(
        loaded.predict(pixels(), verbose=0), model.predict(pixels(), verbose=0)
    )
    changed = fit(loaded)
    assert parts(changed) == {"block3", "top", "predictions"}
    assert not any("bn/" in path for path in changed)


def test_unknown_parts_are_refused():
    model = create_model(SMALL)
    with pytest.raises(ValueError, match="'stem', 'stage1', 'stage2', 'stage3', 'top'"):
        freeze(model, until="stage9")
    with pytest.raises(ValueError, match="batch_norm must be"):
        freeze(model, until="stem", batch_norm="maybe")
    with pytest.raises(ValueError, match="from create_model"):
        freeze(keras.Sequential([keras.Input((8, 8, 3))]), until="stem")
