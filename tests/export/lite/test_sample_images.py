"""What LiteRT is calibrated and compared on."""

import types

import numpy as np
import pytest
from PIL import Image

from keras_effnetv2.data import source
from keras_effnetv2.data.decoding import cropping
from keras_effnetv2.data.sources import open_source
from keras_effnetv2.export.lite import sample_images
from keras_effnetv2.preprocessing import record
from tests.data import image_folders
from tests.data.image_folders import AWKWARD


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
    samples = sample_images.evaluation_samples(given, taker(), True)
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
    of_files = sample_images.evaluation_samples(tmp_path, taker(), False)
    of_pixels = sample_images.evaluation_samples(given, taker(), False)
    np.testing.assert_array_equal(of_files.pixels, of_pixels.pixels)


def test_a_damaged_file_of_a_folder_is_left_out_until_they_are_many(tmp_path, warnings):
    for number, pixels in enumerate(pictures(4)):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "1.png").write_bytes(b"\x89PNG")
    assert len(sample_images.calibration_pixels(tmp_path, taker())) == 3
    (line,) = warnings
    assert "1.png cannot be read and is skipped: it is none of JPEG" in line
    (tmp_path / "2.png").write_bytes(b"")
    with pytest.raises(ValueError, match="2 of the 4 images of .*1.png, .*2.png. Rep"):
        sample_images.calibration_pixels(tmp_path, taker())


def test_a_folder_gives_what_a_source_of_it_gives(tmp_path):
    root = tmp_path / "train"
    image_folders.write(root, dict.fromkeys(("b", *AWKWARD), 2))
    for folder in (root, root / "b"):
        image_folders.leave_behind(folder)
    num_classes = 1 + len(AWKWARD)
    opened = open_source(
        "folder", "train", num_classes=num_classes, directory=str(tmp_path)
    )
    of_source, of_folder = (
        sample_images.evaluation_samples(given, taker(), True).pixels
        for given in (opened, root)
    )
    assert len(of_source) == 2 * num_classes
    np.testing.assert_allclose(of_source, of_folder, atol=1)


def test_nothing_readable_is_an_error(tmp_path):
    """One damaged image never stops, but there has to be another."""
    image_folders.write(tmp_path, {"a": 1, "b": 1})
    for path in tmp_path.glob("*/*"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="cannot be read"):
        sample_images.calibration_pixels(tmp_path, taker())
    next(tmp_path.glob("b/*")).unlink()
    with pytest.raises(ValueError, match="None of the images can be read"):
        sample_images.calibration_pixels(tmp_path, taker())
    single = source.from_arrays(
        np.zeros((1, 8, 8), "u1"), np.array([7]), slice(None), 5, "wrong label"
    )
    with pytest.raises(ValueError, match="None of the images can be read"):
        sample_images.evaluation_samples(single, taker(), True)


def test_a_folder_without_images(tmp_path):
    with pytest.raises(ValueError, match="has no images"):
        sample_images.calibration_pixels(tmp_path, taker())


def test_sources_are_ordered_by_class_so_images_are_from_everywhere(monkeypatch):
    monkeypatch.setattr(sample_images, "MAX_EVALUATION", 4)
    images = np.arange(10, dtype="uint8").repeat(64).reshape(10, 8, 8)
    labels = np.arange(10)
    ordered = source.from_arrays(images, labels, slice(None), 10, "ordered")
    samples = sample_images.evaluation_samples(ordered, taker(), True)
    assert samples.labels.tolist() == [0, 3, 6, 9]
    np.testing.assert_array_equal(samples.pixels[:, 0, 0, 0], samples.labels)
    of_others = sample_images.evaluation_samples(ordered, taker(num_classes=7), True)
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
    samples = sample_images.evaluation_samples(folder, taker(), True)
    assert len(samples.pixels) == len(files) - 1
    open(files[1], "wb").close()
    with pytest.raises(ValueError, match="cannot be read"):
        sample_images.evaluation_samples(folder, taker(), True)


def test_calibration_has_the_range_of_pixels():
    """Then the scale of inputs is 1."""
    gray = np.full((2, 30, 30, 3), 100, "uint8")
    pixels = sample_images.calibration_pixels(gray, taker())
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert np.isin(pixels, (0, 100, 255)).all()
    assert (pixels != 100).sum() == 6
    assert sample_images.calibration_pixels(None, taker()).shape == (0, 24, 24, 3)


@pytest.mark.parametrize("given, taken", [(1, 3), (3, 1)])
def test_gray_and_color(given, taken):
    images = np.full((1, 30, 30, given), 80, "uint8")
    pixels = sample_images.evaluation_samples(images, taker(taken), True).pixels
    assert pixels.shape == (1, 24, 24, taken)
    np.testing.assert_allclose(pixels, 80, atol=0.1)
    digits = open_source("digits", "test[:2]", num_classes=10)
    of_source = sample_images.evaluation_samples(digits, taker(taken), True)
    assert of_source.pixels.shape == (2, 24, 24, taken)
