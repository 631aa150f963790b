"""Whatever an image comes in, its scores are those of the model on the same crop."""

import dataclasses
import io
import itertools
import pathlib
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_effnetv2
from keras_effnetv2.classification import Prediction
from keras_effnetv2.classification.classifying import Classifier
from keras_effnetv2.data import folders
from keras_effnetv2.data.decoding import cropping, images
from keras_effnetv2.errors import FileError, InputError
from keras_effnetv2.networks.heads import find_head
from keras_effnetv2.preprocessing import record
from tests import image_files as files
from tests.export import micro
from tests.tiny_networks import NANO, spread_weights

NAMES = ("cat", "dog", "cow", "emu", "fox")
RECORD = dataclasses.replace(record("efficientnetv2-b0", "imagenet", 32), labels=NAMES)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return micro.classifier_of(RECORD, len(NAMES))


@pytest.fixture(scope="module")
def classify(model):
    return Classifier(model, batch_size=4)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "more" / "and more").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(files.JPEG)
    (folder / "more" / "b.png").write_bytes(files.encode(files.RGB, "PNG"))
    turned = files.encode(files.RGB, "JPEG", exif=files.exif(6))
    (folder / "more" / "and more" / "c.jpg").write_bytes(turned)
    return folder


def expected(model, pixels):
    crop = cropping.evaluation_image(pixels, RECORD).numpy()[None]
    return np.asarray(model(crop))[0]


def test_files_have_the_scores_of_the_model_by_hand(model, classify, photos):
    predictions = classify(photos)
    names = ["a.jpg", "more/and more/c.jpg", "more/b.png"]
    assert [x.source for x in predictions] == [photos / name for name in names]
    for x in predictions:
        wanted = expected(model, images.read(x.source))
        np.testing.assert_allclose(x.scores, wanted, rtol=1e-5)
        assert (x.index, x.score) == (wanted.argmax(), pytest.approx(wanted.max()))
        assert x.name == NAMES[x.index] and x.error is None


def test_one_image_gives_one_prediction_and_many_a_list(classify, photos):
    path = photos / "a.jpg"
    one = classify(str(path))
    assert isinstance(one, Prediction) and isinstance(classify(path), Prediction)
    for many in (
        [path],
        (path,),
        iter([path]),
        photos,
        [photos],
        np.zeros((2, 9, 9))[None],
    ):
        assert isinstance(classify(many), list)
    assert [len(classify([photos, path])), len(classify([]))] == [4, 0]
    assert repr(one).startswith(f"<Prediction {path}: {one.name} {one.score:.4f}, ")
    assert (
        repr(classify)
        == f"Classifier({classify.model.name!r}: 5 classes, 32x32 pixels)"
    )


def test_the_users_folder_has_its_short_name(classify, photos, monkeypatch):
    for name in ("HOME", "USERPROFILE"):  # On Windows, the second.
        monkeypatch.setenv(name, str(photos.parent))
    for given in ("~/photos", pathlib.Path("~/photos"), ["~/photos"]):
        assert [x.source for x in classify(given)] == folders.find(photos)
    assert classify("~/photos/a.jpg").source == photos / "a.jpg"


def test_names_that_begin_like_a_users_folder_are_files(classify, photos, monkeypatch):
    monkeypatch.chdir((photos / "a.jpg").rename(photos / "~$a.jpg").parent)
    assert [x.source.name for x in classify(".")] == ["c.jpg", "b.png", "~$a.jpg"]
    assert classify("~$a.jpg").source.name == "~$a.jpg"


@pytest.mark.parametrize(
    "given",
    [
        files.JPEG,
        bytearray(files.encode(files.RGB, "PNG")),
        memoryview(files.encode(files.RGB, "WEBP", lossless=True)),
        files.RGB,
        files.with_alpha(files.RGB),
        files.GRADIENT,
        files.GRADIENT.astype("float32"),
        tf.constant(files.GRADIENT),
    ],
    ids=lambda x: type(x).__name__,
)
def test_all_that_can_be_an_image_is_one(model, classify, given):
    wanted = expected(model, files.GRADIENT)
    # A JPEG's levels are not quite those that were encoded.
    tolerance = 0.02 if given is files.JPEG else 1e-6
    np.testing.assert_allclose(classify(given).scores, wanted, atol=tolerance)
    assert classify(given).source is None


def test_gray_images_are_those_of_three_equal_channels(model, classify):
    gray = np.asarray(files.GRAY)
    wanted = expected(model, np.stack([gray] * 3, -1))
    batch = np.stack([gray, gray])[..., None]
    for given in (gray, gray[..., None], files.GRAY):
        np.testing.assert_allclose(classify(given).scores, wanted, rtol=1e-5)
    np.testing.assert_allclose(classify.scores(batch), [wanted] * 2, rtol=1e-5)


def test_pillows_images_are_turned_upright(model, classify, photos):
    path = photos / "more" / "and more" / "c.jpg"
    with Image.open(path) as image:
        found = classify(image).scores
        wanted = expected(
            model, np.asarray(image.transpose(Image.Transpose.ROTATE_270))
        )
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_the_number_of_images_changes_no_score(classify):
    pixels = np.random.default_rng(0).integers(0, 256, (11, 20, 30, 3), "uint8")
    wanted = np.stack([classify.scores(x) for x in pixels])
    for num in (1, 3, 4, 11):
        found = classify.scores([*pixels[:num]])
        np.testing.assert_allclose(found, wanted[:num], rtol=1e-5)


def test_a_damaged_image_among_many_is_a_result_and_alone_an_error(classify, photos):
    (photos / "more" / "b.png").write_bytes(b"<html>")
    a, c, b, absent, empty, number = classify([photos, "absent.jpg", b"", 7])
    assert [x.error is None for x in (a, c)] == [True, True]
    for x in (b, absent, empty, number):
        assert isinstance(x.error, InputError)
        assert x.scores is x.index is x.name is x.score is None and not x.top()
    assert b.source == photos / "more" / "b.png" and "b.png cannot be read" in repr(b)
    assert "image 2 of the input cannot be read as an image: the file is empty" in repr(
        empty
    )
    assert "image 3 of the input must be" in repr(number)
    for call in (classify, classify.scores, classify.features, classify.explain):
        with pytest.raises(InputError, match="b.png cannot be read as an image"):
            call(b.source)
    with pytest.raises(InputError, match="b.png cannot be read as an image"):
        classify.scores(photos)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "the image must be the path of a file or folder.*Received: NoneType"),
        ({"a": 1}, "Received: dict"),
        (
            np.zeros((3, 8, 8), "uint8"),
            r"must be an array .* Received: uint8 \(3, 8, 8",
        ),
        (np.zeros((0, 8, 3), "uint8"), r"Received: uint8 \(0, 8, 3"),
        (np.array([["a"]]), "Received: <U1"),
        (np.full((8, 8, 3), -1.0), r"must have pixels 0..255, before"),
        (np.full((8, 8, 3), np.nan), "must have pixels 0..255"),
        (np.full((8, 8, 3), 0.5), "Multiply by 255"),
    ],
)
def test_what_is_no_image_is_said(classify, given, message):
    with pytest.raises(InputError, match=message):
        classify(given)


def test_file_systems_that_nothing_here_opens_are_said(classify):
    with pytest.raises(FileError, match="TensorFlow knows no nfs:// here"):
        classify("nfs://machine/a.jpg")


def test_a_folder_without_images_is_an_error_in_its_place(classify, tmp_path):
    (found,) = classify(tmp_path)
    assert found.source == tmp_path and "has no images" in str(found.error)
    with pytest.raises(InputError, match="There is no image to compute scores of"):
        classify.scores([])


def test_a_stream_without_end_is_read_two_batches_ahead(classify):
    asked = itertools.count()
    endless = (files.GRADIENT for _ in asked)
    stream = classify.stream(endless)
    assert all(x.name in NAMES for x in itertools.islice(stream, 6))
    # Of two batches of four, more are asked for as they are given out.
    assert next(asked) <= 8 + 8 + 2
    stream.close()
    # Threads end with the stream, whoever left it.
    for thread in threading.enumerate():
        if thread.name.startswith("prepare"):
            thread.join(10)
            assert not thread.is_alive()


def test_features_are_what_the_last_layer_takes(model, classify, photos):
    crop = cropping.evaluation_image(images.read(photos / "a.jpg"), RECORD)
    body = keras.Model(model.inputs, find_head(model).features)
    wanted = np.asarray(body(crop[None]))
    np.testing.assert_allclose(
        classify.features(photos / "a.jpg"), wanted[0], rtol=1e-5
    )
    assert classify.features(photos).shape == (3, classify.num_features) == (3, 8)


@pytest.mark.long
def test_a_folded_classifier_gives_the_same_but_for_rounding(photos):
    network = keras_effnetv2.create_model(NANO, classes=5, preprocessing=RECORD)
    spread_weights(network, np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)))
    classify = Classifier(network, batch_size=4)
    features, scores = classify.features(photos), classify.scores(photos)
    classify.fold()
    assert classify.model is network
    found = classify.features(photos)
    np.testing.assert_allclose(classify.scores(photos), scores, rtol=1e-3, atol=1e-5)
    network.set_weights([0 * x for x in network.get_weights()])  # Does not count.
    np.testing.assert_array_equal(classify.features(photos), found)
    np.testing.assert_allclose(found, features, rtol=1e-3, atol=1e-4)


def test_a_model_that_it_opens_is_folded(model, photos, tmp_path):
    model.save(tmp_path / "model.keras")
    classify = Classifier(tmp_path / "model.keras")
    scores = classify.scores(photos)
    np.testing.assert_allclose(scores, Classifier(model).scores(photos), rtol=1e-3)
    classify.model.set_weights([0 * x for x in model.get_weights()])  # Does not count.
    np.testing.assert_array_equal(classify.scores(photos), scores)


def test_what_cannot_be_folded_computes_as_before(model, photos):
    half = keras_effnetv2.create_model(
        NANO, classes=5, dtype="mixed_bfloat16", preprocessing=RECORD
    )
    for each in (half, model):  # The second has no batch norms.
        classify = Classifier(each)
        scores = classify.scores(photos)
        classify.fold()
        np.testing.assert_allclose(classify.scores(photos), scores, rtol=1e-2)


def test_the_image_size_can_be_chosen(model, photos):
    larger = dataclasses.replace(RECORD, image_size=48)
    crop = cropping.evaluation_image(images.read(photos / "a.jpg"), larger).numpy()
    found = Classifier(model, image_size=48).scores(photos / "a.jpg")
    np.testing.assert_allclose(found, np.asarray(model(crop[None]))[0], rtol=1e-5)


def test_explanations_are_of_the_photograph(classify, photos):
    large = files.RGB.resize((1400, 1000))
    found = classify.explain(large, classes=["dog", 0])
    assert found.image.shape == (714, 1000, 3)
    window = cropping.evaluation_window(1000, 1400, RECORD)
    np.testing.assert_allclose(
        found.window, np.multiply(window, 1000 / 1400), rtol=1e-2
    )
    assert [x.name for x in found.classes] == ["dog", "cat"]
    heat = found.heat
    assert heat.shape == (2, 714, 1000) and heat.max() > 0
    top, left, height, width = (round(x) for x in found.window)
    inside = heat[:, top : top + height, left : left + width]
    assert heat.sum() == pytest.approx(inside.sum(), rel=1e-6)
    found.save(photos / "why.png")
    shown = found._repr_png_()  # In notebooks.
    assert shown == (photos / "why.png").read_bytes()
    with Image.open(io.BytesIO(shown)) as picture:
        assert picture.format == "PNG"


def test_explanations_of_unknown_classes_are_refused(classify):
    with pytest.raises(InputError, match="There is no class called 'horse'"):
        classify.explain(files.RGB, classes=["horse"])
    with pytest.raises(InputError, match="explain takes one image"):
        classify.explain([files.RGB])


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"image_size": -1}])
def test_wrong_numbers_are_refused(model, options):
    (name,) = options
    with pytest.raises(InputError, match=f"{name} must be at least 1. Received: "):
        Classifier(model, **options)


def test_it_is_public():
    assert keras_effnetv2.Classifier is Classifier
    assert keras_effnetv2.Prediction is Prediction
