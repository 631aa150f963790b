"""Strict on both sides: everything fits, or nothing is assigned and the error names it.

Damaged and hostile files are in `test_bad_files.py`.
"""

import dataclasses
import logging

import keras
import numpy as np
import pytest

from keras_effnetv2.models import create_model
from keras_effnetv2.networks.functional import named_variables
from keras_effnetv2.networks.variants import get_variant
from keras_effnetv2.preprocessing import record
from keras_effnetv2.weights import names
from keras_effnetv2.weights.loading import assign, open_weights
from tests.tiny_networks import NANO, tiny
from tests.weights.weight_files import (
    CLASSES,
    TINY,
    assert_equal,
    checkpoint_variables,
    random_arrays,
    read_all,
    timm_arrays,
    write_checkpoint,
    write_keras_2,
    write_timm,
)


class Variable:
    """As much of a Keras variable as loading needs."""

    def __init__(self, shape):
        self.shape = shape
        self.value = None

    def assign(self, value):
        assert value.shape == self.shape
        self.value = value


def variables(num_classes=CLASSES, input_channels=3):
    shapes = names.canonical_shapes(TINY, num_classes, input_channels)
    return {name: Variable(shape) for name, shape in shapes.items()}


def load(path, into, **options):
    with open_weights(path, TINY) as source:
        assign(source, into, **{"fresh_classifier": False, **options})
    return {name: v.value for name, v in into.items() if v.value is not None}


@pytest.fixture(scope="module")
def arrays():
    return random_arrays()


def write(tmp_path, arrays, kind):
    """A file of `arrays`, some perhaps renamed or reshaped, in one of three formats."""
    if kind == "HDF5":
        return write_keras_2(tmp_path / "a.h5", arrays, names.APPLICATIONS)
    if kind == "timm":
        return write_timm(tmp_path / "a.safetensors", arrays)
    return write_checkpoint(tmp_path / "folder/model", checkpoint_variables(arrays))


KINDS = pytest.mark.parametrize("kind", ["HDF5", "timm", "checkpoint"])


@KINDS
def test_everything_is_assigned(kind, arrays, tmp_path):
    assert_equal(load(write(tmp_path, arrays, kind), variables()), arrays)


@KINDS
def test_missing_array_is_named(kind, arrays, tmp_path):
    path = write(tmp_path, dict(list(arrays.items())[:-3]), kind)
    name = list(arrays)[-3]
    with pytest.raises(
        ValueError, match=rf"(?s)does not belong to tiny-b0.*Missing: {name}\."
    ):
        read_all(path)


@KINDS
def test_wrong_shape_is_named_with_both(kind, arrays, tmp_path):
    name = "block4a/expand_conv/kernel"
    cut = arrays | {name: arrays[name][..., :-1]}
    message = (
        r"(?s)does not belong to tiny-b0.*"
        rf"Wrong shape: {name} \(1, 1, 16, 63\) instead of \(1, 1, 16, 64\)\."
    )
    with pytest.raises(ValueError, match=message):
        read_all(write(tmp_path, cut, kind))


@KINDS
def test_not_a_number_is_named_and_nothing_assigned(kind, arrays, tmp_path):
    broken = arrays["block5a/bn/gamma"].copy()
    broken[3] = np.nan
    path = write(tmp_path, arrays | {"block5a/bn/gamma": broken}, kind)
    into = variables()
    with pytest.raises(ValueError, match=r"NaN in block5a/bn/gamma\."):
        load(path, into)
    assert all(v.value is None for v in into.values())


def test_renamed_array_is_missing_and_unexpected(arrays, tmp_path):
    found = timm_arrays(arrays)
    found["blocks.3.0.conv_pv.weight"] = found.pop("blocks.3.0.conv_pw.weight")
    from safetensors.numpy import save_file

    save_file(found, tmp_path / "a")
    with pytest.raises(ValueError) as error:
        read_all(tmp_path / "a")
    assert "Missing: block4a/expand_conv/kernel.\n" in str(error.value)
    assert "Unexpected: blocks.3.0.conv_pv.weight." in str(error.value)


def test_extra_array_is_unexpected(arrays, tmp_path):
    extra = [("attention", "kernel", np.zeros((2, 2)))]
    path = tmp_path / "a.h5"
    write_keras_2(path, arrays, names.APPLICATIONS, extra=extra)
    with pytest.raises(ValueError, match=r"Unexpected: attention/kernel\."):
        read_all(path)


def test_half_a_classifier_is_missing_the_other(arrays, tmp_path):
    cut = {k: x for k, x in arrays.items() if k != "predictions/kernel"}
    path = write(tmp_path, cut, "HDF5")
    with pytest.raises(ValueError, match="Missing: predictions/kernel"):
        read_all(path)


def test_long_lists_end_in_a_number(arrays, tmp_path):
    cut = {k: x for k, x in arrays.items() if not k.startswith("block6")}
    with pytest.raises(ValueError, match=r"block6a/expand_conv/kernel.* and 66 more\."):
        read_all(write(tmp_path, cut, "HDF5"))


@pytest.mark.parametrize(
    "file, given",
    [
        ("keras_h5/efficientnetv2-b0.h5", "efficientnetv2-s"),
        ("timm/tf_efficientnetv2_b0.safetensors", "efficientnet-b0"),
        ("checkpoints/efficientnetv2-b0-tf2.tgz", "efficientnetv2-b1"),
    ],
)
def test_wrong_variant_is_told_the_right_one(reference, file, given):
    message = (
        rf"does not belong to {given}. It fits 'efficientnetv2-b0': pass that variant."
    )
    with pytest.raises(ValueError, match=message):
        read_all(reference / file, get_variant(given))


def test_wrong_number_of_classes(arrays, tmp_path):
    path = write(tmp_path, arrays, "timm")
    into = variables(num_classes=7)
    message = r"predictions/kernel \(320, 10\) instead of \(320, 7\)"
    with pytest.raises(ValueError, match=message):
        load(path, into)
    loaded = load(path, into, fresh_classifier=True)
    body = {k: x for k, x in arrays.items() if not k.startswith("predictions")}
    assert_equal(loaded, body)


@pytest.mark.parametrize("in_file", [True, False])
def test_network_without_classifier(in_file, arrays, tmp_path):
    body = {k: x for k, x in arrays.items() if not k.startswith("predictions")}
    path = write(tmp_path, arrays if in_file else body, "HDF5")
    assert_equal(load(path, variables(num_classes=None)), body)


def test_network_with_classifier_needs_one(arrays, tmp_path):
    body = {k: x for k, x in arrays.items() if not k.startswith("predictions")}
    path = write(tmp_path, body, "HDF5")
    with pytest.raises(ValueError, match="Missing: predictions/kernel"):
        load(path, variables())
    assert len(load(path, variables(), fresh_classifier=True)) == len(body)


@pytest.mark.parametrize("channels", [1, 2, 4, 13])
def test_stem_gives_grey_images_what_it_gave_as_rgb(channels, arrays, tmp_path):
    path = write(tmp_path, arrays, "timm")
    into = variables(input_channels=channels)
    loaded = load(path, into, adapt_stem=True)["stem_conv/kernel"]
    assert loaded.shape == (3, 3, channels, 8)
    np.testing.assert_allclose(
        loaded.sum(axis=2), arrays["stem_conv/kernel"].sum(axis=2), atol=1e-5
    )
    assert np.ptp(loaded, axis=2).max() == 0


def test_stem_is_adapted_on_request_only(arrays, tmp_path):
    path = write(tmp_path, arrays, "timm")
    message = "for images of 3 channels, but the network for 1. .*include_preprocessing"
    with pytest.raises(ValueError, match=message):
        load(path, variables(input_channels=1))


def test_stem_of_other_channels_is_not_adapted(tmp_path):
    path = write_timm(tmp_path / "a", random_arrays(input_channels=4))
    assert len(load(path, variables(input_channels=4))) == len(variables())
    with pytest.raises(ValueError, match="Only weights for 3 channels"):
        load(path, variables(), adapt_stem=True)


@pytest.fixture(scope="module")
def model():
    preprocessing = dataclasses.replace(
        record("efficientnetv2-s", "imagenet", 48), labels=None
    )
    return create_model(
        NANO, classes=CLASSES, preprocessing=preprocessing, drop_path_rate=0.5
    )


def saved(model, tmp_path, ending):
    path = tmp_path / f"model{ending}"
    if ending == ".keras":
        model.save(path)
    else:
        model.save_weights(path)
    return path


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
def test_own_files_carry_their_preprocessing(model, tmp_path, ending):
    path = saved(model, tmp_path, ending)
    found, source = read_all(path, NANO)
    expected = {k: v.numpy() for k, v in named_variables(model).items()}
    assert_equal(found, expected)
    assert source.format.startswith("keras_effnetv2, ")
    assert source.preprocessing == dataclasses.asdict(model.preprocessing)
    copy = create_model(NANO, weights=path)
    assert copy.preprocessing == model.preprocessing
    images = np.random.default_rng(0).uniform(0, 255, (2, 40, 40, 3))
    np.testing.assert_allclose(copy(images), model(images), atol=1e-6)
    if ending == ".weights.h5":
        copy.load_weights(path)  # Keras itself doesn't mind the record.


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
def test_own_files_of_trained_models(model, tmp_path, ending):
    """Optimizer slots and seeds are in the file too; some layers are frozen."""
    model = keras.models.clone_model(model)
    model.get_layer("block2a").trainable = False
    model.compile(keras.optimizers.Adam(use_ema=True), "mse")
    model.optimizer.build(model.trainable_variables)
    found, _ = read_all(saved(model, tmp_path, ending), NANO)
    assert_equal(found, {k: v.numpy() for k, v in named_variables(model).items()})


def test_own_file_with_another_classifier(model, tmp_path, caplog):
    path = saved(model, tmp_path, ".keras")
    with caplog.at_level(logging.INFO):
        copy = create_model(NANO, weights=path, classes=3)
    assert "3 classes starts from scratch" in caplog.text
    assert copy.output_shape == (None, 3)
    np.testing.assert_array_equal(copy.get_weights()[0], model.get_weights()[0])
    features = create_model(NANO, include_top=False, weights=path)
    np.testing.assert_array_equal(features.get_weights()[-1], model.get_weights()[-3])


def test_own_file_of_another_network(model, tmp_path):
    path = saved(model, tmp_path, ".weights.h5")
    with pytest.raises(
        ValueError, match=r"keras_effnetv2, HDF5 .* does not belong to tiny-s"
    ):
        read_all(path, tiny("tiny-s"))
