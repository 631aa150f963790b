"""The smallest classifier that can be exported, and exports that take no time."""

import keras

from keras_effnetv2.export.tf_serving import server_config, versions
from keras_effnetv2.layers import PixelNormalization
from keras_effnetv2.preprocessing import Preprocessing


def classifier(classes=3, image_size=32, labels=None):
    record = Preprocessing((128,), (128,), "bilinear", "center", image_size, labels)
    return classifier_of(record, classes)


def classifier_of(record, classes, side=None):
    """Of images of any size, or of one."""
    images = keras.Input((side, side, 3))
    x = PixelNormalization(record)(images)
    x = keras.layers.Conv2D(8, 3, 2, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, keras.layers.Dense(classes, activation="softmax")(x))


def write_quickly(monkeypatch):
    """Exports without their contents: what happens to folders stays the same."""

    def write_checked(signatures, manifest, folder):
        (folder / "saved_model.pb").touch()
        manifest.write(folder)
        return manifest

    def write_warmup(folder, *_):
        (folder / "assets.extra").mkdir()

    monkeypatch.setattr(versions, "write_checked", write_checked)
    monkeypatch.setattr(versions, "write_warmup", write_warmup)


def check_whole(base):
    """Every version is complete, and models.config names only such; returns its own."""
    there = {int(path.name) for path in base.iterdir() if path.name.isdecimal()}
    for number in there:
        for name in ("saved_model.pb", "model.json", "batching_params.pbtxt"):
            assert (base / str(number) / name).is_file()
        assert (base / str(number) / "assets.extra").is_dir()
    models = server_config.read_models(base).model_config_list.config
    named = {
        x for model in models for x in model.model_version_policy.specific.versions
    }
    labelled = {x for model in models for x in model.version_labels.values()}
    assert labelled <= named <= there
    return named
