"""Windows are where and as large as they should be, and only they are decoded."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2.data.augmentation import random_cropping
from keras_effnetv2.data.augmentation.random_cropping import (
    OFFICIAL,
    OFFICIAL_V1,
    RandomCrop,
    RandomCutout,
)
from keras_effnetv2.data.decoding import cropping, images
from keras_effnetv2.preprocessing import record
from tests import image_files

ENCODED = {
    "JPEG": image_files.JPEG,
    "gray JPEG": image_files.encode(image_files.GRAY, "JPEG"),
    "CMYK JPEG": image_files.encode(image_files.RGB.convert("CMYK"), "JPEG"),
    "PNG": image_files.encode(image_files.RGB, "PNG"),
    "BMP": image_files.encode(image_files.RGB, "BMP"),
    "GIF": image_files.encode(image_files.PALETTE, "GIF"),
}
NOISE = np.random.default_rng(0).integers(0, 256, (45, 61, 3), "u1")


def seeds(num):
    return tf.stack([tf.range(num), tf.range(num) + 7], axis=1)


def windows(crop, shape, num=400):
    return tf.map_fn(lambda seed: crop.window(shape, seed), seeds(num)).numpy()


@pytest.mark.parametrize("crop", [OFFICIAL, OFFICIAL_V1])
def test_windows_keep_area_and_aspect_ratio(crop):
    height, width = 300, 400
    top, left, rows, columns = windows(crop, (height, width, 3)).T
    assert (top >= 0).all() and (top + rows <= height).all()
    assert (left >= 0).all() and (left + columns <= width).all()
    area = rows * columns / (height * width)
    # Whole pixels: one row of the smallest window, some 65 pixels a side, is 2 %.
    smallest = max(crop.area[0], crop.min_covered)
    assert smallest * 0.95 < area.min() < smallest * 1.3
    assert area.max() > 0.9
    low, high = crop.aspect_ratio
    ratio = columns / rows
    assert low * 0.97 < ratio.min() and ratio.max() < high * 1.03


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (32, 32, 3)])
def test_odd_images_have_windows(shape):
    for top, left, rows, columns in windows(OFFICIAL, shape, 50):
        assert 0 <= top < top + rows <= shape[0]
        assert 0 <= left < left + columns <= shape[1]


@pytest.mark.parametrize("kind", ENCODED)
def test_decoding_the_window_is_decoding_and_cropping(kind):
    contents = ENCODED[kind]
    whole = images.decode(contents)
    for seed in seeds(20):
        window = OFFICIAL.decode(contents, seed).numpy().astype(int)
        expected = OFFICIAL.apply(whole, seed).numpy()
        assert window.shape == expected.shape
        difference = np.abs(window - expected)
        # A JPEG's outermost columns have no neighbours to interpolate colour from.
        inner = difference[:, 2:-2]
        assert inner.size == 0 or inner.max() == 0
        assert difference.max() <= (0 if "JPEG" not in kind else 12)


def test_it_works_in_a_dataset():
    files = [ENCODED["JPEG"], ENCODED["PNG"], ENCODED["gray JPEG"]]

    def view(contents, seed):
        image = random_cropping.resize(OFFICIAL.decode(contents, seed), 32)
        image = tf.image.stateless_random_flip_left_right(image, seed)
        return RandomCutout().apply(image, seed)

    dataset = tf.data.Dataset.from_tensor_slices((files, seeds(3))).map(view)
    assert dataset.element_spec == tf.TensorSpec((32, 32, 3), tf.uint8)
    found = list(dataset.as_numpy_iterator())
    for image, contents, seed in zip(found, files, seeds(3), strict=True):
        np.testing.assert_array_equal(image, view(contents, seed))


def test_a_damaged_jpeg_is_an_error():
    with pytest.raises(tf.errors.InvalidArgumentError):
        OFFICIAL.decode(image_files.JPEG[:100], (1, 2))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_training_and_evaluation_resize_alike(interpolation):
    kind = {"bilinear": "efficientnetv2-s", "bicubic": "efficientnetv2-b0"}
    preprocessing = dataclasses.replace(
        record(kind[interpolation], "imagenet", 32), crop="squash"
    )
    ours = random_cropping.resize(NOISE, 32, interpolation)
    expected = cropping.evaluation_image(NOISE, preprocessing).numpy()
    np.testing.assert_array_equal(ours, np.clip(expected, 0, 255).astype("u1"))


def test_cutout_covers_up_to_half_a_side_with_bright_noise():
    image = np.zeros((32, 32, 3), "u1")
    share, centers = [], []
    for seed in seeds(200):
        covered = RandomCutout().apply(image, seed).numpy()
        rows, columns = np.nonzero(covered.any(-1))
        assert np.ptp(rows) < 16 and np.ptp(columns) < 16
        assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        assert covered[rows, columns].min() >= 127
        share.append(len(rows) / 32**2)
        centers.append(rows.mean())
    # A side of 1/2 with its centre anywhere shows (1/2 - 1/2 ** 2 / 4) of itself.
    assert np.mean(share) == pytest.approx(0.4375**2, abs=0.02)
    assert np.ptp(centers) > 20


def test_cutout_keeps_what_it_does_not_cover():
    covered = RandomCutout().apply(NOISE, (1, 2)).numpy()
    changed = (covered != NOISE).any(-1)
    assert 0 < changed.mean() <= 22**2 / (45 * 61)


@pytest.mark.parametrize("area", [(0.0, 1.0), (0.5, 0.4), (0.5, 1.1)])
def test_bad_areas_are_refused(area):
    with pytest.raises(
        ValueError, match="area must be the smallest and largest fraction"
    ):
        RandomCrop(area=area)


def test_bad_aspect_ratios_and_interpolations_are_refused():
    with pytest.raises(ValueError, match="aspect_ratio must be the smallest"):
        RandomCrop(aspect_ratio=(2.0, 1.0))
    with pytest.raises(ValueError, match="interpolation='nearest'"):
        random_cropping.resize(NOISE, 32, "nearest")
