"""One folder of every kind of file, through all that the package does with images."""

import base64
import json
import pathlib
import urllib.error
import urllib.request

import keras
import numpy as np
import pytest

from keras_effnetv2 import export
from keras_effnetv2.__main__ import main, parse
from keras_effnetv2.classification.inputs import items
from keras_effnetv2.classification.preparation import Preparation
from keras_effnetv2.data.decoding import cropping, images
from keras_effnetv2.data.sources import open_source
from keras_effnetv2.export.classifier import Classifier
from keras_effnetv2.export.lite import sample_images
from keras_effnetv2.layers import PixelNormalization
from tests.data import every_file, image_folders
from tests.data.batches import SQUASH, evaluate
from tests.data.image_folders import DECOMPOSED, NOT_UTF8
from tests.export.tf_serving import model_server

# One is called as a split is, the others as nobody should.
CLASSES = ("train", NOT_UTF8, DECOMPOSED)
# What no graph of TensorFlow decodes, and servers refuse.
FOR_PILLOW = ("tiff", "bmp_gray", "bmp_palette", "bmp_1_bit", "webp")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    files = every_file.EVERY | every_file.NAMED
    every_file.write(root / "train", CLASSES, files)
    # Of one class there is none to evaluate on.
    every_file.write(root.with_name("linked"), CLASSES[:2], files)
    (root / "validation").symlink_to(root.with_name("linked"))
    for folder in (root, root / "train", root / "train" / CLASSES[0]):
        image_folders.leave_behind(folder)
    return root


@pytest.fixture(scope="module")
def paths(root):
    """Every file that is an image to read."""
    return sorted(x for x in (root / "train").glob("[!._@]*/[!.]*.jpg") if x.is_file())


@pytest.fixture(scope="module")
def model():
    """A classifier whose logits are the pixels that reach it."""
    pixels = keras.Input((SQUASH.image_size, SQUASH.image_size, 3))
    x = keras.layers.Flatten()(PixelNormalization(SQUASH)(pixels))
    dense = keras.layers.Dense(x.shape[-1])
    model = keras.Model(pixels, dense(x))
    dense.set_weights(
        [np.eye(x.shape[-1]) * SQUASH.std[0], dense.bias + SQUASH.mean[0]]
    )
    return model


@pytest.fixture(scope="module")
def expected(paths):
    """The pixels that evaluation makes of each file, read by its own path."""
    return {
        path: cropping.evaluation_image(images.read(path), SQUASH).numpy()
        for path in paths
    }


def run(*arguments):
    return main(parse(["keras_effnetv2", *map(str, arguments)]))


@pytest.mark.slow
def test_all_commands_take_it(root, paths, tmp_path, capfd):
    settings = {
        "data.source": "folder",
        "data.directory": root,
        "data.num_classes": len(CLASSES),
        "data.num_train_images": "none",
        "data.eval_split": "validation",
        "data.on_error": "raise",
        "batch_size": 8,
        "epochs": 1,
        "progressive.num_stages": 1,
    }
    flags = [f"--set={name}={value}" for name, value in settings.items()]
    workdir = tmp_path / "run"
    assert not run("train", "--experiment=digits-smoke", f"--workdir={workdir}", *flags)
    capfd.readouterr()
    assert not run("evaluate", f"--workdir={workdir}")
    assert "accuracy" in capfd.readouterr().out
    folders = [root / "train" / name for name in CLASSES]
    assert not run("predict", *folders, f"--workdir={workdir}", "--top=1")
    output = capfd.readouterr().out
    assert len(output.splitlines()) == 2 * len(paths) and "caf\\xe9" in output
    flags = (
        "--formats=int8",
        "--classifier_activation=softmax",
        f"--output={tmp_path / 'lite'}",
    )
    assert not run("export", "litert", f"--workdir={workdir}", *flags)
    assert "int8" in (tmp_path / "lite" / "report.md").read_text()


def test_training_and_evaluation_have_the_pixels_of_prediction(root, expected):
    source = open_source(
        "folder", "train", num_classes=len(CLASSES), directory=str(root)
    )
    assert source.num_examples == len(expected)
    (batch,) = evaluate(source, source.num_examples)
    found = sorted(batch[0].round().astype("u1").tolist())
    wanted = sorted(x.round().astype("u1").tolist() for x in expected.values())
    assert np.abs(np.subtract(found, wanted, dtype=int)).max() <= 1


def test_prediction_and_calibration_have_the_same_pixels(root, model, expected):
    prepare = Preparation(SQUASH)
    examples = [(item.source, prepare(item)) for item in items(root / "train")]
    assert {path for path, _ in examples} == {*expected}
    inputs = np.stack([pixels for _, pixels in examples])
    scores = model.predict(inputs, verbose=0).reshape(inputs.shape)
    for (path, _), found in zip(examples, scores, strict=True):
        np.testing.assert_allclose(found, expected[path], atol=1)
    classifier = Classifier.open(model, False, "sigmoid")
    pixels = sample_images.evaluation_samples(root / "train", classifier, True).pixels
    assert len(pixels) == len(expected)
    found, wanted = (
        sorted(x.tolist()) for x in (pixels, np.stack([*expected.values()]))
    )
    np.testing.assert_allclose(found, wanted, atol=1)


def test_a_server_has_the_pixels_of_prediction(model, expected, tmp_path, engines_here):
    base = tmp_path / "pixels"
    export.serving(
        model,
        base,
        fold=False,
        classifier_activation="sigmoid",
        server_path=str(base),
    )
    refused = set()
    with model_server.running(base / "models.config") as (_, address, _):
        for path, wanted in expected.items():
            try:
                found = ask(f"{address}/v1/models/pixels:predict", path)
            except urllib.error.HTTPError:
                refused.add(path.stem)
            else:
                found = np.reshape(found, wanted.shape)
                np.testing.assert_allclose(found, wanted, atol=1, err_msg=str(path))
    assert all(name.startswith(FOR_PILLOW) for name in refused)
    assert len(refused) >= 11


def ask(url: str, path: pathlib.Path):
    contents = {"b64": base64.b64encode(path.read_bytes()).decode()}
    body = {
        "signature_name": "serving_bytes",
        "instances": [{"image_bytes": contents}],
    }
    with urllib.request.urlopen(url, json.dumps(body).encode()) as answer:
        return json.load(answer)["predictions"][0]["logits"]
