"""SavedModels do what the model does, for pixels and for image files."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2 import create_model, export, feature_pyramid
from keras_effnetv2.classification.inputs import items
from keras_effnetv2.classification.preparation import Preparation
from keras_effnetv2.export.checks import roundtrip
from keras_effnetv2.export.folding import in_float32
from keras_effnetv2.networks import constants
from keras_effnetv2.preprocessing import Preprocessing
from tests import image_files
from tests.export import micro
from tests.export.conftest import LABELS
from tests.tiny_networks import NANO, spread_weights


@pytest.fixture(scope="module")
def exported(classifier, tmp_path_factory):
    """Folder, manifest, and the SavedModel, which another process has checked."""
    folder = tmp_path_factory.mktemp("exports") / "small"
    manifest = export.saved_model(classifier, folder, top=3, source={"variant": "tiny"})
    return folder, manifest, tf.saved_model.load(folder, tags=["serve"])


@pytest.fixture(scope="module")
def signatures(exported):
    return exported[2].signatures


def numbers(outputs):
    return {name: value.numpy() for name, value in outputs.items()}


def assert_close(found, wanted, tolerance=1e-4):
    assert found.shape == wanted.shape
    assert np.max(np.abs(found - wanted)) <= tolerance * np.max(np.abs(wanted))


@pytest.mark.parametrize("batch, size", [(1, 48), (3, 64), (4, 33)])
def test_pixels_of_any_batch_and_size(classifier, signatures, batch, size):
    random = np.random.default_rng(size)
    pixels = random.uniform(0, 255, (batch, size, size, 3)).astype("float32")
    outputs = numbers(signatures["serving_default"](images=tf.constant(pixels)))
    assert_close(outputs["probabilities"], np.asarray(classifier(pixels)))
    softmax = tf.nn.softmax(outputs["logits"]).numpy()
    assert_close(softmax, outputs["probabilities"])


def test_features_and_pyramid(classifier, signatures, images):
    head = classifier.layers[-1]
    wanted = keras.Model(classifier.input, head.input)(images).numpy()
    found = numbers(signatures["features"](images=tf.constant(images)))
    assert_close(found["features"], wanted)
    levels = numbers(feature_pyramid(classifier)(images))
    found = numbers(signatures["pyramid"](images=tf.constant(images)))
    assert set(found) == set(levels)
    for name, features in levels.items():
        assert_close(found[name], features)


def test_the_graph_has_the_weights_once_as_constants(classifier, exported):
    folder, _, loaded = exported
    kernel = np.asarray(classifier.layers[-1].kernel).tobytes()
    assert (folder / "saved_model.pb").read_bytes().count(kernel) == 1
    assert not loaded.signatures["serving_default"].variables


@pytest.mark.long
def test_weights_too_large_for_a_graph_are_variables(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "MAX_BYTES", 1000)
    model = create_model(NANO, classes=3)
    export.saved_model(model, tmp_path / "exported", image_size=32)  # It is checked.
    loaded = tf.saved_model.load(tmp_path / "exported")
    assert loaded.signatures["serving_default"].variables
    assert (tmp_path / "exported" / "saved_model.pb").stat().st_size < 1_000_000


def test_pixels_have_the_gradients_of_the_model(classifier, signatures, images):
    pixels = tf.constant(images, "float32")
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(pixels)
        found = signatures["serving_default"](images=pixels)["probabilities"][:, 0]
        wanted = classifier(pixels)[:, 0]
    gradients = (tape.gradient(score, pixels).numpy() for score in (found, wanted))
    assert_close(*gradients, tolerance=1e-3)


FILES = {
    "odd.jpg": image_files.encode(image_files.RGB.resize((97, 61)), "JPEG"),
    "gray.jpg": image_files.encode(image_files.GRAY, "JPEG"),
    "cmyk.jpg": image_files.encode(image_files.RGB.convert("CMYK"), "JPEG"),
    "alpha.png": image_files.encode(image_files.with_alpha(image_files.RGB), "PNG"),
    "palette.png": image_files.encode(image_files.PALETTE, "PNG"),
    "turned.jpg": image_files.encode(image_files.RGB, "JPEG", exif=image_files.exif(6)),
}


def test_image_files_as_predict_reads_them(classifier, signatures, tmp_path):
    for name, contents in FILES.items():
        (tmp_path / name).write_bytes(contents)
    prepare = Preparation(classifier.preprocessing)
    paths, pixels = zip(*((x.source, prepare(x)) for x in items(tmp_path)), strict=True)
    assert {path.name for path in paths} == set(FILES)
    wanted = np.asarray(classifier(np.stack(pixels)))
    encoded = tf.constant([path.read_bytes() for path in paths])  # Of many sizes.
    found = numbers(signatures["serving_bytes"](image_bytes=encoded))
    assert_close(found["probabilities"], wanted)
    best = numbers(signatures["classify"](image_bytes=encoded))
    # Not the places of the classes: rounding may swap two that are all but equal.
    assert_close(best["scores"], -np.sort(-wanted, axis=1)[:, :3])
    classes = best["classes"]
    assert_close(best["scores"], np.take_along_axis(wanted, classes, axis=1))
    assert all(len(set(row)) == 3 for row in classes.tolist())
    names = [[LABELS[i].encode() for i in row] for row in classes]
    np.testing.assert_array_equal(best["labels"], names)


def test_damaged_files_are_said_and_the_next_batch_works(signatures):
    serve = signatures["serving_bytes"]
    for contents in (b"", b"no image", image_files.JPEG[:200]):
        with pytest.raises(tf.errors.InvalidArgumentError):
            serve(image_bytes=tf.constant([image_files.JPEG, contents]))
    assert serve(image_bytes=tf.constant([image_files.JPEG]))["logits"].shape == (1, 7)


def test_tensorflow_1_loads_it(exported, classifier, images):
    folder, *_ = exported
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        graph = tf.compat.v1.saved_model.load(session, ["serve"], str(folder))
        signature = graph.signature_def["serving_default"]
        found = session.run(
            signature.outputs["probabilities"].name,
            {signature.inputs["images"].name: images},
        )
    assert_close(found, np.asarray(classifier(images)))


def test_card_and_labels(exported):
    folder, manifest, _ = exported
    contents = json.loads((folder / "model.json").read_text())
    assert contents == json.loads(json.dumps(manifest.contents))
    assert contents["preprocessing"]["labels"] == list(LABELS)
    assert contents["variant"] == "tiny"
    inputs = contents["signatures"]["serving_default"]["inputs"]
    assert inputs == {"images": "float32 (?, ?, ?, 3)"}
    assert 0 < max(contents["differences"].values()) < 1e-4
    assert (folder / "assets" / "labels.txt").read_text().split() == list(LABELS)


@pytest.mark.slow
def test_a_head_on_mixed_precision_and_images_of_one_size_in_bytes(
    images, tmp_path, engines_here
):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        body = create_model(NANO, include_top=False, pooling="avg")
        spread_weights(body, images)
        head = keras.layers.Dense(2, "sigmoid")
        model = keras.Sequential([keras.Input((None, None, 3)), body, head])
    finally:
        keras.config.set_dtype_policy("float32")
    manifest = export.saved_model(
        model, tmp_path / "own", image_size=48, input_dtype="uint8", fold=False
    )
    assert max(manifest.contents["differences"].values()) < 1e-4
    inputs = manifest.contents["signatures"]["serving_default"]["inputs"]
    assert inputs == {"images": "uint8 (?, 48, 48, 3)"}
    loaded = tf.saved_model.load(tmp_path / "own")
    outputs = loaded.signatures["serving_default"](images=images.astype("uint8"))
    found = outputs["probabilities"].numpy()
    assert_close(found, np.asarray(in_float32(model)(images)))
    assert "pyramid" not in loaded.signatures


def test_an_export_that_differs_is_not_kept(tmp_path, monkeypatch, engines_here):
    folder = tmp_path / "export"
    run = roundtrip.run_engine

    def wrong(engine, path, inputs):
        outputs = run(engine, path, inputs)
        outputs["features"]["features"] *= 1.01
        return outputs

    monkeypatch.setattr(roundtrip, "run_engine", wrong)
    with pytest.raises(ValueError, match="features/features differs .* by 0.01"):
        export.saved_model(micro.classifier(), folder, fold=False)
    assert not any(tmp_path.iterdir())


def without_head():
    return create_model(NANO, include_top=False, pooling="avg")


def normalised_outside():
    return create_model(NANO, include_preprocessing=False)


def of_one_size():
    return create_model(NANO, input_shape=(64, 64, 3))


def of_vectors():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])


@pytest.mark.parametrize(
    "make, options, message",
    [
        (without_head, {}, "ends in GlobalAveragePooling2D"),
        (normalised_outside, {}, "include_preprocessing=True"),
        (of_one_size, {"image_size": 32}, "takes images of 64x64 pixels"),
        (of_vectors, {}, "need a model of images"),
        (of_one_size, {"input_dtype": "int8"}, "input_dtype must be one of"),
        (of_one_size, {"image_size": 0}, "image_size must be at least 1"),
        (of_one_size, {"top": 0}, "top must be at least 1"),
    ],
)
def test_what_cannot_be_exported(make, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export.saved_model(make(), tmp_path / "export", **options)
    assert not any(tmp_path.iterdir())


def test_other_backends_are_refused(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow"):
        export.saved_model(classifier, tmp_path / "export")


@pytest.mark.parametrize(
    "crop",
    [
        "center",
        *(pytest.param(x, marks=pytest.mark.slow) for x in ("squash", "border")),
    ],
)
def test_image_files_are_cropped_as_timm_does(crop, tmp_path, engines_here):
    record = Preprocessing(
        (128,), (128,), "bicubic", crop, 32, tuple("abcdefg"), crop_pct=0.9
    )
    model = micro.classifier_of(record, 7)
    folder = tmp_path / "small"
    manifest = export.saved_model(model, folder, fold=False)
    assert manifest.contents["preprocessing"]["crop_pct"] == 0.9
    (tmp_path / "odd.jpg").write_bytes(FILES["odd.jpg"])
    (pixels,) = map(Preparation(record), items(tmp_path / "odd.jpg"))
    served = tf.saved_model.load(folder, tags=["serve"]).signatures["serving_bytes"]
    found = numbers(served(image_bytes=tf.constant([FILES["odd.jpg"]])))
    assert_close(found["probabilities"], np.asarray(model(pixels[None])))
