"""Modules of TF Hub as layers of Keras 3: frozen, trained, saved; what is refused."""

import gzip
import io
import tarfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2.export import HubLayer
from keras_effnetv2.export.tf_hub import module_archives
from tests.export.tf_hub import hub_modules
from tests.export.tf_hub.hub_modules import assert_close, images, labels, moved, values
from tests.servers import local_servers, mirror

L2 = 1e-2


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    """Folder of a feature vector, with the L2 of one kernel."""
    model = hub_modules.mini(hub_modules.ONE)
    model.get_layer("stem_conv").kernel.regularizer = keras.regularizers.L2(L2)
    _, features = hub_modules.modules(model)
    folder = tmp_path_factory.mktemp("hub") / "feature_vector"
    features.write(folder, hub_modules.LABELS)
    return folder


def classifier(layer):
    model = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            layer,
            keras.layers.Dense(len(hub_modules.LABELS), activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    return model


def fit(model):
    return model.fit(images(), labels(), epochs=4, verbose=0).history["loss"]


def test_it_does_what_the_module_does(module):
    layer = HubLayer(module)
    loaded = tf.saved_model.load(module)
    pixels = images(3, 33, 64)
    assert np.array_equal(layer(pixels), loaded(pixels))
    assert layer.compute_output_shape((None, None, None, 3)) == (None, 16)
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, 2 * layer(inputs))
    assert model.output_shape == (None, 16)
    assert_close(model.predict(pixels, verbose=0), 2 * loaded(pixels).numpy())


def test_frozen_nothing_in_it_changes(module):
    layer = HubLayer(module)
    model = classifier(layer)
    assert len(model.trainable_weights) == 2
    assert not layer.losses
    before = values(layer.weights)
    losses = fit(model)
    assert losses[-1] < losses[0]
    assert not any(moved(before, layer.weights))
    assert np.array_equal(layer(images(), training=True), layer(images()))


@pytest.mark.long
def test_trained_everything_in_it_learns_and_is_saved(module, tmp_path):
    layer = HubLayer(module, trainable=True)
    model = classifier(layer)
    names = [x.name for x in tf.saved_model.load(module).trainable_variables]
    assert len(layer.trainable_weights) == len(names)
    before = values(layer.weights)
    model.predict(images(), verbose=0)
    model.evaluate(images(), labels(), verbose=0)
    assert not any(moved(before, layer.weights))
    losses = fit(model)
    assert losses[-1] < losses[0]
    assert all(moved(before, layer.weights))
    _check_saving(model, tmp_path)


def _check_saving(model, folder):
    wanted = model.predict(images(), verbose=0)
    model.save(folder / "model.keras")
    with pytest.raises(ValueError, match="safe_mode=False"):
        keras.saving.load_model(folder / "model.keras")
    again = keras.saving.load_model(folder / "model.keras", safe_mode=False)
    assert np.array_equal(again.predict(images(), verbose=0), wanted)
    assert again.layers[0].trainable
    model.save_weights(folder / "model.weights.h5")
    fresh = keras.models.clone_model(model)
    fresh.load_weights(folder / "model.weights.h5")
    assert_close(fresh.predict(images(), verbose=0), wanted)
    model.export(folder / "exported", verbose=False)
    exported = tf.saved_model.load(folder / "exported")
    assert_close(exported.serve(images()).numpy(), wanted)


def test_trainable_can_be_changed(module):
    learns = len(tf.saved_model.load(module).trainable_variables)
    layer = HubLayer(module)
    assert not layer.trainable_weights and not layer.losses
    before = values(layer.weights)
    layer(images(seed=1), training=True)
    assert not any(moved(before, layer.weights))
    layer.trainable = True
    assert len(layer.trainable_weights) == learns
    layer(images(seed=1), training=True)
    assert 0 < sum(moved(before, layer.weights)) == len(layer.non_trainable_weights)


def test_losses_of_the_module_count_once(module):
    layer = HubLayer(module, trainable=True)
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, layer(inputs) + layer(1 - inputs))
    (kernel,) = (x for x in layer.weights if x.name == "stem_conv_kernel")
    (loss,) = model.losses
    wanted = L2 * np.sum(np.square(kernel.numpy()))
    np.testing.assert_allclose(float(loss), wanted, rtol=1e-5)


def test_mixed_precision_leaves_it_alone(module):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = classifier(HubLayer(module))
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.layers[0].output.dtype == "float32"
    assert model.predict(images(), verbose=0).shape == (8, 5)


def test_archives_are_modules(module, tmp_path, monkeypatch):
    wanted = HubLayer(module)(images())
    module_archives.pack(module, tmp_path / "feature_vector.tar.gz")
    local = HubLayer(tmp_path / "feature_vector.tar.gz")
    assert np.array_equal(local(images()), wanted)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    with mirror.serving(tmp_path) as server:
        url = f"{local_servers.address(server)}/feature_vector.tar.gz"
        hosted = HubLayer(url)
        with pytest.raises(
            ValueError, match="cannot be downloaded: the server answered 4"
        ):
            HubLayer(url + ".none")
        again = HubLayer(url)
    assert np.array_equal(hosted(images()), wanted)
    assert np.array_equal(again(images()), wanted)
    asked = ["/feature_vector.tar.gz", "/feature_vector.tar.gz.none"]
    assert server.requests[0] == asked[0]
    assert server.requests.count(asked[0]) == 1
    assert not list((tmp_path / "home").rglob("*.part"))


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/module.tar.gz",
        "HTTP://tfhub.dev/google/module/1",
        "ftp://127.0.0.1/module.tar.gz",
        "file:///etc/module.tar.gz",
        "https:///module.tar.gz",
        "gs://bucket/module.tar.gz",
    ],
)
def test_modules_come_over_https_alone(url):
    with pytest.raises(
        ValueError, match="downloaded only over https. Received: .*Expect"
    ):
        HubLayer(url)


def member(name="variables", size=0, **attributes):
    info = tarfile.TarInfo(name)
    info.size = size
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


def tar_bytes(*members):
    """A tar file of members whose contents are zeros."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for info in members:
            tar.addfile(info, io.BytesIO(bytes(info.size)))
    return file.getvalue()


HEADER = {"type": tarfile.XHDTYPE, "size": 4 << 20}
LINKS = {"type": tarfile.SYMTYPE, "linkname": "saved_model.pb"}


@pytest.mark.parametrize(
    ("contents", "problem"),
    [
        (lambda: tar_bytes(member("/etc/module")), "'/etc/module', which is a link"),
        (lambda: tar_bytes(member("a/../../b")), "leads out of the archive"),
        (lambda: tar_bytes(member(**LINKS)), "is a link"),
        (lambda: tar_bytes(member(**(LINKS | {"type": tarfile.LNKTYPE}))), "is a link"),
        (lambda: tar_bytes(member(type=tarfile.FIFOTYPE)), "a device"),
        (lambda: tar_bytes(*[member(f"f{i}") for i in range(9)]), "more than 8 files"),
        (lambda: gzip.compress(tar_bytes(member(size=4 << 20)), 1), "far more than"),
        (lambda: gzip.compress(tar_bytes(member(**HEADER))), "far more than"),
        (lambda: gzip.compress(tar_bytes(member(size=9)))[:-20], "cannot be unpacked"),
        (lambda: gzip.compress(tar_bytes(member(size=9)))[:-8] + bytes(8), "CRC check"),
        (lambda: tar_bytes(member(size=2 << 20))[: 1 << 20], "cannot be unpacked"),
    ],
)
def test_archives_that_are_not_safe_are_refused(
    contents, problem, tmp_path, monkeypatch
):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(module_archives, "_MAX_MEMBERS", 8)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "module.tar.gz").write_bytes(contents())
    with pytest.raises(ValueError, match=f"cannot be unpacked: .*{problem}|{problem}"):
        HubLayer(tmp_path / "module.tar.gz")
    assert not list((tmp_path / "scratch").iterdir())


def test_modules_of_keras_2(tmp_path):
    tf_keras = pytest.importorskip("tf_keras")
    theirs = tf_keras.Sequential(
        [
            tf_keras.layers.Conv2D(4, 3, kernel_regularizer="l2"),
            tf_keras.layers.BatchNormalization(),
            tf_keras.layers.GlobalAveragePooling2D(),
        ]
    )
    wanted = theirs(images()).numpy()
    theirs.save(tmp_path / "theirs")
    layer = HubLayer(tmp_path / "theirs", trainable=True)
    assert np.array_equal(layer(images()), wanted)
    before = values(layer.weights)
    np.testing.assert_allclose(layer.losses, theirs.losses)
    fit(classifier(layer))
    assert all(moved(before, layer.weights))


def save_plain(folder, **attributes):
    """A module of one operation."""

    def call(inputs, scale=1.0):
        return scale * inputs

    module = tf.train.Checkpoint()
    module.__call__ = tf.function(call)
    for scale in (1.0, 3.0):
        spec = tf.TensorSpec((None, 2))
        module.__call__.get_concrete_function(spec, scale=scale)
    for name, value in attributes.items():
        setattr(module, name, value)
    tf.saved_model.save(module, folder)
    return folder


def test_arguments_reach_the_module(tmp_path):
    folder = save_plain(tmp_path / "module")
    layer = HubLayer(folder, arguments={"scale": 3.0}, name="three")
    assert np.array_equal(layer(np.ones((1, 2))), [[3, 3]])
    again = HubLayer.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert np.array_equal(again(np.ones((1, 2))), [[3, 3]])


def test_what_is_no_module_is_refused(tmp_path):
    with pytest.raises(ValueError, match="There is no module .*nowhere. Expected"):
        HubLayer(tmp_path / "nowhere")
    (tmp_path / "outer/feature_vector").mkdir(parents=True)
    with pytest.raises(ValueError, match="saved_model.pb is missing.*feature_vector"):
        HubLayer(tmp_path / "outer")
    (tmp_path / "broken.tar.gz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="cannot be unpacked"):
        HubLayer(tmp_path / "broken.tar.gz")
    tf.saved_model.save(tf.Module(), str(tmp_path / "uncallable"))
    with pytest.raises(ValueError, match="cannot be called"):
        HubLayer(tmp_path / "uncallable")
    folder = save_plain(tmp_path / "fixed")
    with pytest.raises(ValueError, match="no trainable variables"):
        HubLayer(folder, trainable=True)


def test_other_backends_are_refused(module, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="Received: KERAS_BACKEND=jax"):
        HubLayer(module)
