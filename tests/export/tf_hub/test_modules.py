"""TF Hub modules do what the model does, and are trained where there is no Keras 3."""

import json
import os
import subprocess
import sys
import tarfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2 import __main__ as command_line
from keras_effnetv2 import export, freeze
from keras_effnetv2.export.tf_hub import module_archives, modules
from tests import engines
from tests.export.tf_hub import hub_modules
from tests.export.tf_hub.hub_modules import assert_close, images, moved, values

NAMES = ("classification", "feature_vector")


@pytest.fixture(scope="module")
def model():
    return hub_modules.mini()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """Written by the command."""
    folder = tmp_path_factory.mktemp("hub")
    model.save(folder / "mini.keras")
    target = folder / "exported"
    command = ["", "export", "hub", "--weights", f"{folder}/mini.keras"]
    args = command_line.parse([*command, "--output", str(target)])
    with engines.here():
        assert command_line.main(args) == 0
    return target


@pytest.mark.slow
def test_another_process_checks_what_is_written(tmp_path):
    manifest = export.hub(hub_modules.mini(hub_modules.ONE), tmp_path / "hub")
    assert max(manifest.contents["differences"].values()) <= 1e-4


def wanted(model, name, pixels):
    """What a module should give for images in [0, 1], by Keras."""
    features = keras.Model(model.input, model.get_layer("avg_pool").output)
    outputs = features(255 * pixels).numpy()
    if name == "feature_vector":
        return outputs
    kernel, bias = model.layers[-1].get_weights()
    return outputs @ kernel + bias


def test_the_folder_says_what_is_in_it(model, folder):
    archives_found = [f"{name}.tar.gz" for name in NAMES]
    assert sorted(os.listdir(folder)) == sorted([*NAMES, *archives_found, "model.json"])
    manifest = json.loads((folder / "model.json").read_text())
    assert manifest["input_range"] == [0, 1]
    assert set(manifest["differences"]) == {
        "classification/probabilities",
        "classification/logits",
        "feature_vector/features",
    }
    assert max(manifest["differences"].values()) <= 1e-4
    whole, features = (manifest["modules"][name] for name in NAMES)
    assert whole["variables"] == len(model.weights)
    assert whole["trainable_variables"] == len(model.trainable_weights)
    assert whole["outputs"] == {"logits": "float32 (?, 5)"}
    assert features["inputs"] == "float32 (?, ?, ?, 3)"


@pytest.mark.parametrize("name", NAMES)
def test_images_of_any_batch_and_size(model, folder, name):
    module = tf.saved_model.load(folder / name)
    for shape in ((1, 48, 48), (3, 33, 64)):
        pixels = images(*shape)
        outputs = module(tf.constant(pixels))
        assert_close(outputs.numpy(), wanted(model, name, pixels))
        again = module(pixels, training=False)
        assert np.array_equal(again, outputs)
        (served,) = module.signatures["serving_default"](images=pixels).values()
        assert np.array_equal(served, outputs)
    text = tf.io.read_file(module.labels.asset_path).numpy().decode()
    assert text.splitlines() == list(hub_modules.LABELS)


def test_feature_vectors_have_no_classifier(model, folder):
    module = tf.saved_model.load(folder / "feature_vector")
    names = {x.name for x in module.variables}
    expected = {x.value.name for x in model.weights if "predictions" not in x.path}
    assert names == expected
    trained = {x.name for x in module.trainable_variables}
    assert trained == {
        x.value.name for x in model.trainable_weights if "predictions" not in x.path
    }


def test_training_moves_statistics_as_keras_does(model, folder):
    module = tf.saved_model.load(folder / "feature_vector")
    before = values(module.variables)
    module(images())
    assert not any(moved(before, module.variables))
    module(images(seed=1), training=True)
    are_statistics = ["/moving_" in x.name for x in module.variables]
    assert moved(before, module.variables) == are_statistics
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    copy(255 * images(seed=1), training=True)
    for variable in copy.get_layer("stem_bn").non_trainable_variables:
        (found,) = (x for x in module.variables if x.name.startswith(variable.path))
        assert_close(found.numpy(), variable.value.numpy())


def test_drops_follow_training_but_features_are_not_dropped():
    model = hub_modules.mini()
    model.get_layer("top_dropout").rate = 0.5
    logits, features = (x.function for x in hub_modules.modules(model))
    pixels = images()
    assert not np.array_equal(logits(pixels, True), logits(pixels, True))
    assert np.array_equal(logits(pixels), logits(pixels, False))
    assert np.array_equal(features(pixels, True), features(pixels, True))
    model.get_layer("block2b").stochastic_depth.rate = 0.5
    _, features = (x.function for x in hub_modules.modules(model))
    assert not np.array_equal(features(pixels, True), features(pixels, True))
    assert np.array_equal(features(pixels), features(pixels))


def test_l2_is_that_of_the_variables_a_module_has():
    model = hub_modules.mini()
    assert not any(x.regularization_losses() for x in hub_modules.modules(model))
    kernels = [x for x in model.trainable_variables if x.name == "kernel"]
    for kernel in kernels:
        kernel.regularizer = keras.regularizers.L2(1e-3)
    whole, features = hub_modules.modules(model)
    squares = [1e-3 * np.sum(np.square(x.numpy())) for x in kernels]
    (loss,) = whole.regularization_losses()
    np.testing.assert_allclose(loss(), np.sum(squares), rtol=1e-5)
    (loss,) = features.regularization_losses()
    np.testing.assert_allclose(loss(), np.sum(squares[:-1]), rtol=1e-5)


def test_what_is_frozen_stays_frozen():
    model = freeze(hub_modules.mini(), until="stage1", batch_norm="frozen")
    _, module = hub_modules.modules(model)
    assert len(module.trainable) == len(model.trainable_variables) - 2
    before = values(module.weights)
    module.function(images(), training=True)
    assert not any(moved(before, module.weights))


def test_mixed_precision_is_exported_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = hub_modules.mini()
    finally:
        keras.config.set_dtype_policy("float32")
    model.get_layer("stem_conv").kernel.regularizer = keras.regularizers.L2(1e-3)
    _, module = hub_modules.modules(model)
    reference = hub_modules.mini()
    reference.set_weights(model.get_weights())
    expected = wanted(reference, "feature_vector", images())
    assert_close(module.function(images()).numpy(), expected)
    assert len(module.regularization_losses()) == 1


def test_an_export_that_differs_is_not_kept(model, tmp_path, monkeypatch):
    outputs = {
        "classification": {"logits": np.zeros((3, 5))},
        "feature_vector": {"features": np.zeros((3, 320))},
    }
    monkeypatch.setattr(modules, "run_engine", lambda *_: outputs)
    monkeypatch.setattr(modules.Module, "write", lambda *_: None)
    with pytest.raises(ValueError, match="not kept: its classification/logits"):
        export.hub(model, tmp_path / "module")
    assert not list(tmp_path.iterdir())


def test_archives_are_reproducible(folder, tmp_path):
    module = folder / "feature_vector"
    packed = (folder / "feature_vector.tar.gz").read_bytes()
    for path in module.rglob("*"):
        os.utime(path, (1, 1))
    module_archives.pack(module, tmp_path / "other-name.tar.gz")
    assert (tmp_path / "other-name.tar.gz").read_bytes() == packed
    with tarfile.open(tmp_path / "other-name.tar.gz") as tar:
        members = tar.getmembers()
    assert {(x.uid, x.gid, x.uname, x.gname, x.mtime) for x in members} == {
        (0, 0, "", "", 0)
    }
    names = [x.name for x in members]
    assert names == sorted(names) and "./saved_model.pb" in names


@pytest.fixture(scope="module")
def of_one_block(tmp_path_factory):
    """Folder of a feature vector."""
    _, features = hub_modules.modules(hub_modules.mini(hub_modules.ONE))
    folder = tmp_path_factory.mktemp("hub") / "feature_vector"
    features.write(folder, hub_modules.LABELS)
    return folder


@pytest.mark.long
@pytest.mark.parametrize("trainable", [True, False])
def test_keras_2_trains_them_through_tf_hub(of_one_block, trainable, tmp_path):
    hub = pytest.importorskip("tensorflow_hub")
    tf_keras = pytest.importorskip("tf_keras")
    layer = hub.KerasLayer(str(of_one_block), trainable=trainable)
    model = tf_keras.Sequential([layer, tf_keras.layers.Dense(len(hub_modules.LABELS))])
    loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf_keras.optimizers.Adam(0.01), loss)
    model.build((None, None, None, 3))
    before = values(layer.weights)
    history = model.fit(images(), hub_modules.labels(), epochs=4, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert moved(before, layer.weights) == [trainable] * len(before)
    after = values(layer.weights)
    model.predict(images(), verbose=0)
    assert not any(moved(after, layer.weights))
    if trainable:
        model.save(tmp_path / "saved")
        again = tf.saved_model.load(tmp_path / "saved")
        assert_close(again(images()).numpy(), model.predict(images(), verbose=0))


# With TF_USE_LEGACY_KERAS, TF Hub does not ask for Keras 3.
WITHOUT_KERAS = """
import sys
sys.modules["keras"] = None
import tensorflow as tf
import tensorflow_hub
folder = sys.argv[1]
images = tf.random.uniform((2, 40, 40, 3))
module = tensorflow_hub.load(folder + "/feature_vector")
with tf.GradientTape() as tape:
    loss = tf.reduce_sum(module(images, training=True) ** 2)
gradients = tape.gradient(loss, module.trainable_variables)
assert all(x is not None for x in gradients)
assert tf.saved_model.load(folder + "/classification")(images).shape == (2, 5)
assert not any(x.startswith("keras") for x in sys.modules if sys.modules[x])
"""


@pytest.mark.slow
def test_they_are_trained_where_there_is_no_keras_3(folder):
    pytest.importorskip("tensorflow_hub")
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", WITHOUT_KERAS, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
