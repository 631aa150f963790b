"""`explain`: pictures show the classes that the model prefers, or nothing is done."""

import dataclasses

import keras
import numpy as np
import pytest
from PIL import Image

from keras_effnetv2 import create_model
from keras_effnetv2.commands.shared import classifiers
from keras_effnetv2.data.decoding import cropping, images
from keras_effnetv2.explanation import heat_maps
from keras_effnetv2.explanation.activation_maps import class_activation_maps
from keras_effnetv2.preprocessing import preprocess_input, record
from keras_effnetv2.weights.labels import class_names
from tests import image_files as files
from tests.commands.running import run_command
from tests.data import image_folders
from tests.data.image_folders import AWKWARD
from tests.explanation.test_activation_maps import SMALL
from tests.export import micro
from tests.tiny_networks import spread_weights

pytest.importorskip("matplotlib", reason="needs matplotlib")

RECORD = record("efficientnetv2-b0", "imagenet", 64)


def run(*flags):
    return run_command("explain", *flags)


def model(**options):
    options = {"classes": 5, "preprocessing": RECORD.unlabelled(), **options}
    keras.utils.set_random_seed(0)
    network = create_model(SMALL, **options)
    noise = np.random.default_rng(0).uniform(0, 255, (4, 64, 64, 3)).astype("float32")
    is_bare = options.get("include_preprocessing") is False
    spread_weights(network, preprocess_input(noise, RECORD) if is_bare else noise)
    return network


def saved(folder, network):
    path = folder / "network.keras"
    network.save(path)
    return path


def of_one_convolution(classes, contract=None):
    """For what goes for any model that says how its images are made."""
    keras.utils.set_random_seed(0)
    return micro.classifier_of(contract or RECORD.unlabelled(), classes)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("models"), of_one_convolution(5))


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(files.JPEG)
    (folder / "b.gif").write_bytes(files.encode(files.PALETTE, "GIF"))
    return folder


@pytest.fixture
def drawn(monkeypatch):
    """Arguments of every picture, which are not drawn."""
    calls = []
    monkeypatch.setattr(heat_maps, "draw_heat_maps", lambda *args: calls.append(args))
    return calls


@pytest.fixture
def no_work(monkeypatch):
    """Loading a model would be work."""
    monkeypatch.setattr(classifiers, "open_classifier", lambda _: pytest.fail("work"))


def crop(path):
    return cropping.evaluation_image(images.read(path), RECORD).numpy()


def test_pictures_show_the_maps_of_the_best_classes(capsys, network, photos, drawn):
    output = photos.parent / "maps" / "a.png"
    assert run(photos / "a.jpg", "--weights", network, "--output", output) == 0
    assert capsys.readouterr().out.splitlines() == [str(output)]
    ((pixels, maps, titles, path, window),) = drawn
    photograph = images.read(photos / "a.jpg")
    np.testing.assert_array_equal(pixels, photograph)
    assert window == cropping.evaluation_window(*photograph.shape[:2], RECORD)
    trained, inputs = keras.models.load_model(network), crop(photos / "a.jpg")[None]
    (scores,) = np.asarray(trained(inputs))
    best = np.argsort(-scores)[:3]
    (expected,) = class_activation_maps(trained, inputs, best)
    np.testing.assert_allclose(maps, expected, rtol=1e-5, atol=1e-5 * expected.max())
    names = [f"class {i}\n{scores[i]:.4f}" for i in best]
    assert titles == ["a.jpg\n64 px", *names] and path == output


def test_every_image_gets_a_picture_in_a_folder(capsys, network, photos):
    output = photos.parent / "maps"
    flags = ["--weights", network, "--top", 9, "--method", "gradcam"]
    assert run(photos, photos / "a.jpg", *flags, "--output", output) == 0
    pictures = [output / "a.png", output / "b.png"]
    assert capsys.readouterr().out.splitlines() == [str(path) for path in pictures]
    assert sorted(output.iterdir()) == pictures
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.format == "PNG" and picture.width > 1000


def test_images_of_any_name_get_a_picture_of_that_name(capfd, network, drawn, tmp_path):
    folder, output = tmp_path / "awkward", tmp_path / "maps"
    folder.mkdir()
    for name in AWKWARD:
        (folder / f"{name}.jpg").write_bytes(files.JPEG)
    image_folders.leave_behind(folder)
    flags = ["--weights", network, "--top", 1, "--output", output]
    assert run(folder, *flags) == 0
    assert {path.stem for *_, path, _ in drawn} == {*AWKWARD}
    assert sorted(capfd.readouterr().out.splitlines()) == sorted(
        f"{output}/{text}.png" for text in AWKWARD.values()
    )


def test_images_that_cannot_be_read_do_not_stop_the_others(
    capsys, network, drawn, photos
):
    (photos / "a.jpg").write_bytes(files.JPEG[:300])
    (photos.parent / "empty").mkdir()
    arguments = ["absent.bmp", photos.parent / "empty", photos]
    output = photos.parent / "maps"
    assert run(*arguments, "--weights", network, "--output", output) == 1
    found, errors = capsys.readouterr()
    assert found.splitlines() == [str(output / "b.png")] and len(drawn) == 1
    *lines, last = errors.splitlines()
    assert last == "3 of 4 images could not be read."
    for name in ("absent.bmp", "a.jpg", "empty"):
        assert sum(name in line and line.startswith("error: ") for line in lines) == 1


def test_pictures_are_in_folders_as_the_images_are(network, drawn, photos):
    (photos / "cats").mkdir()
    (photos / "a.jpg").rename(photos / "cats" / "a.jpg")
    output = photos.parent / "maps"
    assert run(photos, "--weights", network, "--output", output) == 0
    assert [path for *_, path, _ in drawn] == [output / "b.png", output / "cats/a.png"]


def test_titles_have_the_names_of_classes(photos, drawn, tmp_path):
    flowers = dataclasses.replace(RECORD, labels=("red_rose", "tulip"))
    networks = (
        of_one_convolution(2, flowers),
        of_one_convolution(1000, RECORD),
    )
    for network in networks:
        path = saved(tmp_path, network)
        assert run(photos / "b.gif", "--weights", path, "--output", "b.png") == 0
    found = [{title.splitlines()[0] for title in call[2][1:]} for call in drawn]
    assert found[0] == {"red rose", "tulip"} and len(drawn[1][1]) == 3
    assert found[1] <= {name.replace("_", " ") for _, name in class_names("imagenet")}


def test_a_model_that_does_not_normalise_is_explained_alike(photos, drawn, tmp_path):
    bare = model(include_preprocessing=False)
    whole = model()
    whole.set_weights(bare.get_weights())
    for network in (bare, whole):
        path = saved(tmp_path, network)
        assert run(photos / "a.jpg", "--weights", path, "--output", tmp_path) == 0
    (_, found, titles, *_), (_, expected, others, *_) = drawn
    assert titles == others
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * expected.max())


def test_a_model_without_pooling_is_refused(capsys, photos, drawn, tmp_path):
    body = model(include_top=False, classes=None, input_shape=(64, 64, 3))
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(body.output))
    path = saved(tmp_path, keras.Model(body.input, outputs))
    assert run(photos, "--weights", path, "--output", tmp_path / "maps") == 2
    error = capsys.readouterr().err
    assert "whose end is:" in error and "Flatten, Dense" in error
    assert error.count("\n") == 1 and not drawn


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--top", "0"], "--top must be at least 1. Received: 0"),
        (["--image_size", "-1"], "--image_size must be at least 1"),
        (["--output", "a.png"], "a.png is a single picture. Received: 2"),
        (["--output", "maps.jpg"], "a .png file or a folder. Received: maps.jpg"),
        (["--output", "photos/a.jpg/maps"], "Nothing can be written to"),
        (["again/a.webp"], "would both get the picture maps/a.png"),
        (["maps/c.png"], "maps/c.png is one of the images"),
    ],
)
def test_nothing_is_done_that_cannot_be_finished(
    capsys, photos, monkeypatch, no_work, flags, message
):
    monkeypatch.chdir(photos.parent)
    for folder in ("again", "maps"):
        (photos.parent / folder).mkdir()
    (photos.parent / "again" / "a.webp").write_bytes(files.JPEG)
    (photos.parent / "maps" / "c.png").write_bytes(files.JPEG)
    assert run("--output", "maps", *flags, "photos") == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.startswith("error: ") and errors.count("\n") == 1
