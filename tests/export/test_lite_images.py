"""What LiteRT is calibrated and compared on."""

import types

import numpy as np
import pytest
from PIL import Image

from keras_effnetv2.data import cropping
from keras_effnetv2.data.sources import open_source, source
from keras_effnetv2.export import lite_images
from keras_effnetv2.preprocessing import record


def taker(channels=3, num_classes=10):
    """What the images are for, as far as they are concerned."""
    contract = record("efficientnetv2-s", "imagenet", 24)
    return types.SimpleNamespace(
        input_shape=(None, None, channels),
        preprocessing=contract,
        evaluation=contract,
        num_classes=num_classes,
    )


def pictures(num):
    random = np.random.default_rng(0)
    sizes = [(30 + i, 40, 3) for i in range(num)]
    return [random.integers(0, 256, size, "uint8") for size in sizes]


def test_pixels_are_cropped_for_evaluation():
    given = pictures(2)
    samples = lite_images.evaluation_samples(given, taker(), True)
    wanted = [cropping.evaluation_image(x, taker().evaluation) for x in given]
    np.testing.assert_array_equal(samples.pixels, wanted)
    assert samples.labels is None
    assert samples.description == "2 evaluation images"


def test_files_anywhere_in_a_folder(tmp_path):
    given = pictures(2)
    for name, pixels in zip(("a.png", "deeper/b.PNG"), given, strict=True):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    of_files = lite_images.evaluation_samples(tmp_path, taker(), False)
    of_pixels = lite_images.evaluation_samples(given, taker(), False)
    np.testing.assert_array_equal(of_files.pixels, of_pixels.pixels)
    (tmp_path / "deeper" / "b.PNG").write_bytes(b"\x89PNG")
    with pytest.raises(ValueError, match="b.PNG cannot be read"):
        lite_images.evaluation_samples(tmp_path, taker(), False)


def test_a_folder_without_images(tmp_path):
    with pytest.raises(ValueError, match="has no images"):
        lite_images.calibration_pixels(tmp_path, taker())


def test_sources_are_ordered_by_class_so_images_are_from_everywhere(monkeypatch):
    monkeypatch.setattr(lite_images, "MAX_EVALUATION", 4)
    images = np.arange(10, dtype="uint8").repeat(64).reshape(10, 8, 8)
    labels = np.arange(10)
    ordered = source.from_arrays(images, labels, slice(None), 10, "ordered")
    samples = lite_images.evaluation_samples(ordered, taker(), True)
    assert samples.labels.tolist() == [0, 3, 6, 9]
    np.testing.assert_array_equal(samples.pixels[:, 0, 0, 0], samples.labels)
    of_others = lite_images.evaluation_samples(ordered, taker(num_classes=7), True)
    assert of_others.labels is None


def test_damaged_images_are_left_out_until_they_are_many(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for i in range(3):
            path = tmp_path / name / f"{i}.png"
            Image.fromarray(np.full((9, 9, 3), 50, "uint8")).save(path)
    folder = open_source("folder", "train", num_classes=2, directory=str(tmp_path))
    files = [folder.name_of(i) for i in range(folder.num_examples)]
    open(files[0], "wb").close()
    samples = lite_images.evaluation_samples(folder, taker(), True)
    assert len(samples.pixels) == len(files) - 1
    open(files[1], "wb").close()
    with pytest.raises(ValueError, match="cannot be read"):
        lite_images.evaluation_samples(folder, taker(), True)


def test_calibration_has_the_range_of_pixels():
    """Then the scale of inputs is 1."""
    gray = np.full((2, 30, 30, 3), 100, "uint8")
    pixels = lite_images.calibration_pixels(gray, taker())
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert np.isin(pixels, (0, 100, 255)).all()
    assert (pixels != 100).sum() == 6
    assert lite_images.calibration_pixels(None, taker()).shape == (0, 24, 24, 3)


@pytest.mark.parametrize("given, taken", [(1, 3), (3, 1)])
def test_gray_and_color(given, taken):
    images = np.full((1, 30, 30, given), 80, "uint8")
    pixels = lite_images.evaluation_samples(images, taker(taken), True).pixels
    assert pixels.shape == (1, 24, 24, taken)
    np.testing.assert_allclose(pixels, 80, atol=0.1)
    digits = open_source("digits", "test[:2]", num_classes=10)
    of_source = lite_images.evaluation_samples(digits, taker(taken), True)
    assert of_source.pixels.shape == (2, 24, 24, taken)
