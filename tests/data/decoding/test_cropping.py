"""Evaluation crops have the numbers of the official code (../shared/reference)."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2.data.decoding import cropping, images
from keras_effnetv2.preprocessing import preprocess_input, record

NAMES = (
    "gradient_480x640",
    "gray_375x500",
    "noise_257x301",
    "photolike_375x500_420",
    "skimage_astronaut_512x512",
    "skimage_chelsea_300x451",
    "skimage_coffee_400x600",
    "sklearn_china",
    "sklearn_flower",
    "tiny_60x90",
    "wide_200x700",
)
RECORDS = {
    "normal": record("efficientnetv2-s", "imagenet", 384),
    "legacy": record("efficientnetv2-b0", "imagenet", 224),
    "ft": record("efficientnetv2-s", "imagenet21k-ft1k", 384),
}
# The official fine-tuning code normalises before it resizes.
ROUNDING = {"normal": 0, "legacy": 0, "ft": 3e-7}


@pytest.fixture(scope="module")
def numbers(reference):
    return np.load(reference / "preprocess/preprocess.npz")


def at_size(kind, size):
    return dataclasses.replace(RECORDS[kind], image_size=size)


def normalized(image, preprocessing):
    image = cropping.evaluation_image(image, preprocessing).numpy()
    return preprocess_input(image, mode=preprocessing)


def inner_columns(kind, size, sample):
    """The part of a sample that does not see the crop's outer columns.

    The official V1 code decodes only the crop, and the JPEG decoder then has no
    neighbours from which to interpolate the colour of the outer columns.
    """
    return sample[:, 2:-2] if kind == "legacy" else sample


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [224, 300, 384])
@pytest.mark.parametrize("kind", RECORDS)
def test_numbers_are_the_official_ones(reference, numbers, kind, size, name):
    path = reference / "preprocess/images" / f"{name}.jpg"
    ours = normalized(images.decode(path.read_bytes()), at_size(kind, size))
    theirs = numbers[f"{kind}/{size}/{name}/sample"]
    difference = np.abs(ours[::7, ::7] - theirs)
    assert inner_columns(kind, size, difference).max() <= ROUNDING[kind]
    # 12 levels of 255 at most, divided by the smallest deviation, 57.
    assert difference.max() <= 12 / 57
    found = [f(ours.astype("f8")) for f in (np.mean, np.std, np.min, np.max)]
    stats = numbers[f"{kind}/{size}/{name}/stats"]
    atol = 1e-4 if kind == "legacy" else 1e-6
    np.testing.assert_allclose(found, stats, rtol=0, atol=atol)


@pytest.mark.parametrize("size", [24, 37, 64, 96])
def test_resizes_are_tensorflows(numbers, size):
    squash = dataclasses.replace(at_size("normal", size), crop="squash")
    image = numbers["resize/in"]
    ours = cropping.evaluation_image(image, squash)
    np.testing.assert_array_equal(ours, numbers[f"resize/bilinear_v2/{size}"])
    bicubic = dataclasses.replace(squash, interpolation="bicubic")
    ours = cropping.evaluation_image(image, bicubic)
    np.testing.assert_array_equal(ours, numbers[f"resize/bicubic_legacy/{size}"])


def test_from_320_pixels_the_whole_image_is_seen():
    image = np.zeros((640, 960, 3), "u1")
    image[:, :160] = 255  # Outside the central square.
    below = cropping.evaluation_image(image, at_size("normal", 319)).numpy()
    assert below.max() == 0
    above = cropping.evaluation_image(image, at_size("normal", 320)).numpy()
    assert above[:, 0].min() == 255
    legacy = cropping.evaluation_image(image, at_size("legacy", 320)).numpy()
    assert legacy.max() == 0


def test_the_two_center_crops_round_an_odd_margin_differently():
    # 224 / 256 of 257 is 224.875: the crop is 224 wide, 33 are left.
    image = np.tile(np.arange(257, dtype="f4")[None, :, None], (257, 1, 3))
    down = cropping.evaluation_image(image, at_size("normal", 224))
    up = cropping.evaluation_image(image, at_size("legacy", 224))
    assert down[0, 0, 0] == 16
    assert up[0, 0, 0] == 17


@pytest.mark.parametrize("kind", RECORDS)
def test_it_works_in_a_dataset(kind):
    pixels = np.random.default_rng(0).integers(0, 256, (45, 61, 3), "u1")
    preprocessing = at_size(kind, 32)
    dataset = tf.data.Dataset.from_tensors(pixels).map(
        lambda image: cropping.evaluation_image(image, preprocessing)
    )
    assert dataset.element_spec == tf.TensorSpec((32, 32, 3), tf.float32)
    (image,) = dataset.as_numpy_iterator()
    expected = cropping.evaluation_image(pixels, preprocessing)
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("kind", RECORDS)
def test_a_single_pixel_is_an_image(kind):
    image = cropping.evaluation_image(np.full((1, 1, 3), 77, "u1"), at_size(kind, 32))
    np.testing.assert_allclose(image, np.full((32, 32, 3), 77), atol=1e-4)


def test_a_batch_is_refused():
    with pytest.raises(ValueError, match=r"one image.*\(2, 9, 9, 3\)"):
        cropping.evaluation_image(np.zeros((2, 9, 9, 3), "u1"), RECORDS["normal"])


@pytest.mark.parametrize("kind", RECORDS)
def test_any_number_of_channels_is_kept(kind):
    image = cropping.evaluation_image(np.zeros((9, 9, 5), "u1"), at_size(kind, 8))
    assert image.shape == (8, 8, 5)


@pytest.mark.parametrize("shape", [(100, 160), (161, 101), (40, 40), (400, 320)])
@pytest.mark.parametrize(
    "options",
    [
        {"crop": "center"},
        {"crop": "center_below_320"},
        {"crop": "squash"},
        {"crop": "center", "crop_pct": 0.875},
        {"crop": "squash", "crop_pct": 0.8},
        {"crop": "border", "crop_pct": 0.9},
        {"crop": "border", "crop_pct": 1.0},
    ],
    ids=str,
)
def test_the_window_is_where_the_crop_is(shape, options):
    options = {"crop_pct": None, "interpolation": "bilinear", **options}
    record = dataclasses.replace(at_size("normal", 64), mean=(0,), std=(1,), **options)
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype("float32")
    # Levels say where a pixel is from; zeros are the border.
    scale = 200 / max(shape)
    image = np.stack([rows * scale + 20, columns * scale + 20, rows * 0 + 255], -1)
    crop = cropping.evaluation_image(image, record).numpy()
    top, left, height, width = cropping.evaluation_window(*shape, record)
    inside = crop[..., 2] > 250
    places = np.mgrid[:64, :64] + 0.5
    for axis, (start, side) in enumerate(((top, height), (left, width))):
        found = (crop[..., axis] - 20) / scale + 0.5
        wanted = start + places[axis] * side / 64
        # To two pixels of the coarser image, and rounded levels.
        tolerance = 2 * max(side / 64, 1) + 1 / scale
        assert np.abs(found - wanted)[inside].max() <= tolerance
    assert inside.any()
