"""Crops with a `crop_pct` are timm's."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_effnetv2.data.decoding.cropping import evaluation_image, evaluation_window
from keras_effnetv2.preprocessing import Preprocessing

MEAN = tuple(255 * x for x in (0.485, 0.456, 0.406))
RECORD = Preprocessing(
    MEAN, (58.0,) * 3, "bicubic", "center", image_size=32, crop_pct=0.875
)


def picture(height, width):
    """Waves and noise, uint8 `(height, width, 3)`."""
    y, x = np.mgrid[:height, :width].astype("f8")
    waves = [
        np.sin(x * x / (900 + 90 * c)) + np.cos(y * (x + 40 * c) / 700)
        for c in range(3)
    ]
    levels = 127.5 + 60 * np.stack(waves, -1)
    places = x[..., None] * 7919 + y[..., None] * 104729 + np.arange(3) * 1299709
    return np.clip(levels + places % 31, 0, 255).astype("u1")


@pytest.mark.parametrize("crop", ["center", "squash", "border"])
def test_pixels_are_timms(reference, crop):
    golden = np.load(reference / "timm_crops.npz")
    names = [name for name in golden if name.split("/")[1] == crop]
    assert len(names) == 24
    for name in names:
        sides, _, crop_pct, interpolation, size = name.split("/")
        record = Preprocessing(
            MEAN, (1,) * 3, interpolation, crop, int(size), crop_pct=float(crop_pct)
        )
        ours = evaluation_image(picture(*map(int, sides.split("x"))), record).numpy()
        difference = np.abs(ours[::2, ::2] - golden[name])
        # Pillow's weights are of 22 bits, which decides between levels at halves.
        assert difference.max() <= 2, name
        assert difference.mean() < 0.15, name


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_resize_is_pillows(interpolation):
    image = picture(70, 113)
    record = dataclasses.replace(
        RECORD, interpolation=interpolation, crop="squash", image_size=64, crop_pct=1.0
    )
    theirs = Image.fromarray(image)
    for size in ((64, 70), (64, 64)):
        theirs = theirs.resize(size, Image.Resampling[interpolation.upper()])
    difference = np.abs(evaluation_image(image, record) - np.asarray(theirs, "f4"))
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 0.02


def test_a_border_has_the_mean_of_the_record():
    record = dataclasses.replace(RECORD, crop="border", crop_pct=1.0)
    image = evaluation_image(np.zeros((16, 64, 3), "u1"), record).numpy()
    np.testing.assert_array_equal(image[0, 0], np.round(MEAN))
    assert image[12:20].max() == 0


@pytest.mark.parametrize("crop", ["center", "squash", "border"])
def test_it_works_in_a_dataset_of_any_sides_and_channels(crop):
    record = dataclasses.replace(RECORD, mean=(9.0,), std=(1.0,), crop=crop)
    pixels = picture(45, 61)[..., :1]
    dataset = tf.data.Dataset.from_generator(
        lambda: [pixels], output_signature=tf.TensorSpec((None, None, 1), tf.uint8)
    ).map(lambda image: evaluation_image(image, record))
    assert dataset.element_spec == tf.TensorSpec((32, 32, 1), tf.float32)
    (image,) = dataset.as_numpy_iterator()
    np.testing.assert_array_equal(image, evaluation_image(pixels, record))
    assert evaluation_image(pixels[:1, :1], record).shape == (32, 32, 1)
    assert evaluation_image(np.zeros((1, 500, 1), "u1"), record).shape == (32, 32, 1)


@pytest.mark.parametrize("sides", [(1, 300_000), (300_000, 1), (2, 499), (499, 3)])
def test_very_narrow_images_are_cropped_before_they_are_enlarged(sides):
    image, short, long = picture(*sides), min(sides), np.argmax(sides)
    found = evaluation_image(image, RECORD).numpy()
    # The same place in an image whose ends are not cut.
    margin = (max(sides) - 31 * short) // 2
    part = image.take(range(margin, max(sides) - margin), long)
    difference = np.abs(found - evaluation_image(part, RECORD).numpy())
    assert difference.max() <= 1 and found.std() > 10
    window, side = evaluation_window(*sides, RECORD), 32 / 36 * short
    assert window[2:] == pytest.approx((side, side), rel=0.01)
    assert window[long] == pytest.approx((max(sides) - side) / 2, abs=0.1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"crop_pct": 0.0}, r"crop_pct must be in \(0, 1\]"),
        ({"crop_pct": 1.5}, r"crop_pct must be in \(0, 1\]"),
        ({"crop_pct": None, "crop": "border"}, "crop must be one of"),
        ({"crop": "center_below_320"}, "crop must be one of"),
    ],
)
def test_records_that_say_no_crop_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(RECORD, **changed)
