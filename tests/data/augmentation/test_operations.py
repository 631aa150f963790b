"""The 16 operations have the numbers of the official code (../shared/reference)."""

import json

import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2.data.augmentation import (
    autoaugment,
    color_operations,
    geometric_operations,
)
from keras_effnetv2.data.augmentation.operations import NAMES, NOTHING, OperationSet

IMAGES = (
    "china_96x128",
    "flower_75x61",
    "china_224x224",
    "lowcontrast_48x40",
    "constant_20x24",
    "noise_33x47",
)
RANDAUGMENT = OperationSet(translation=100, cutout=40)
SIGNED = {"Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY"}
# The official sums over 3 x 3 pixels are rounded before their fraction is cut off: at
# most one level, times the factor less one, in less than 1 % of the pixels.
SHARPNESS = {5: 0, 10: 1, 15: 2}
MAX_SHARE = {"Sharpness": 0.01}


@pytest.fixture(scope="module")
def numbers(reference):
    with np.load(reference / "randaug/randaug.npz") as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def facts(reference):
    return json.loads((reference / "randaug/randaug.json").read_text())


@tf.function
def traced(image, number, magnitude, draws):
    return RANDAUGMENT.apply(image, number, magnitude, draws)


def apply(image, number, magnitude, draws):
    """In a graph whose image size is known, as it is after a resize."""
    magnitude, draws = tf.constant(magnitude, tf.float64), tf.constant(draws)
    return traced(tf.constant(image), tf.constant(number), magnitude, draws)


def draws_of(image, sign):
    """Those of the reference: its sign, its centre of Cutout."""
    height, width = image.shape[:2]
    center = (height // 3 + 0.5) / height, (2 * width // 3 + 0.5) / width
    return np.array([0.75 if sign == "+" else 0.25, *center], "f4")


def stored_signs(name):
    return ("+", "-") if name in SIGNED else ("",)


@pytest.mark.parametrize("magnitude", [5, 10, 15])
@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_the_official_ones(numbers, name, magnitude):
    for sign in stored_signs(name):
        for key in IMAGES:
            image = numbers[f"in/{key}"]
            draws = draws_of(image, sign)
            ours = apply(image, NAMES.index(name), float(magnitude), draws).numpy()
            theirs = numbers[f"out/{name}/m{magnitude}{sign}/{key}"]
            difference = np.abs(ours.astype(int) - theirs)
            limit = SHARPNESS[magnitude] if name == "Sharpness" else 0
            assert difference.max() <= limit, (key, sign)
            assert (difference > 0).mean() <= MAX_SHARE.get(name, 0), (key, sign)


def test_the_tables_are_the_official_ones(facts):
    assert list(NAMES) == facts["order_of_available_ops_in_randaug"]
    policy = [[list(part) for part in row] for row in autoaugment.POLICY]
    assert policy == facts["policy_v0"]


@pytest.mark.parametrize("kind", ["randaug", "autoaug"])
def test_arguments_are_the_official_ones(facts, kind, monkeypatch):
    received = []
    for module in (color_operations, geometric_operations):
        for operation in vars(module).copy():
            if not operation.startswith("_"):
                spy = spying(getattr(module, operation), received)
                monkeypatch.setattr(module, operation, spy)
    operation_set = {"randaug": RANDAUGMENT, "autoaug": autoaugment._OPERATIONS}[kind]
    image = np.zeros((4, 4, 3), "u1")
    for key, expected in facts["args"].items():
        stored_kind, name, magnitude = key.split("/")
        if stored_kind != kind or expected is None:
            continue
        received.clear()
        operation_set.apply(
            image, NAMES.index(name), float(magnitude), draws_of(image, "+")
        )
        scalars = [x for x in expected if not isinstance(x, list)]
        assert received[:1] == scalars, key


def spying(operation, received):
    """Notes the argument besides the image, as a number."""
    if not callable(operation):
        return operation

    def spied(image, *arguments):
        # Of Cutout's, the second is the size.
        of_interest = arguments[1:2] if len(arguments) == 3 else arguments
        received.extend(np.asarray(x).item() for x in of_interest)
        return operation(image, *arguments)

    return spied


def test_only_the_drawn_operation_is_computed(monkeypatch):
    def fail(image):
        tf.debugging.Assert(False, ["computed"])
        return image

    monkeypatch.setattr(color_operations, "invert", fail)
    image = np.zeros((8, 8, 3), "u1")

    @tf.function
    def drawn(number):
        return RANDAUGMENT.apply(image, number, 10.0, tf.zeros(3))

    for number in range(NOTHING + 1):
        if number != NAMES.index("Invert"):
            drawn(tf.constant(number))
    with pytest.raises(tf.errors.InvalidArgumentError, match="computed"):
        drawn(tf.constant(NAMES.index("Invert")))


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 9), (3, 3), (32, 32), (31, 2)])
def test_images_of_any_size_keep_it(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), "u1")
    for number in range(NOTHING + 1):
        for magnitude in (0.0, 10.0, 30.0):
            changed = apply(image, number, magnitude, np.full(3, 0.9, "f4"))
            assert changed.shape == image.shape
            assert changed.dtype == tf.uint8


def test_gray_stays_gray():
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 1), "u1")
    image = np.repeat(image, 3, axis=-1)
    for name in NAMES:
        changed = apply(image, NAMES.index(name), 7.0, np.full(3, 0.4, "f4")).numpy()
        assert np.ptp(changed.astype(int), axis=-1).max() == 0, name


def test_posterize_wraps_beyond_magnitude_20():
    image = np.arange(243, dtype="u1").reshape(9, 9, 3)
    kept = {0: 0x80, 5: 0xC0, 10: 0xF0, 20: 0xFF, 22.4: 0xFF, 22.5: 0x80, 25: 0x80}
    for magnitude, mask in kept.items():
        changed = apply(
            image, NAMES.index("Posterize"), float(magnitude), np.zeros(3, "f4")
        )
        np.testing.assert_array_equal(changed, image & mask)


def test_solarize_wraps_at_magnitudes_10_and_20():
    image = np.arange(243, dtype="u1").reshape(9, 9, 3)
    for magnitude in (0.0, 10.0, 20.0):
        changed = apply(image, NAMES.index("Solarize"), magnitude, np.zeros(3, "f4"))
        np.testing.assert_array_equal(changed, 255 - image)


def test_a_quarter_turn_is_counter_clockwise():
    image = np.random.default_rng(0).integers(0, 256, (9, 9, 3), "u1")
    turned = geometric_operations.rotate(image, 90)
    np.testing.assert_array_equal(turned, np.rot90(image))


def test_translations_go_left_and_up():
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), "u1")
    left = geometric_operations.translate_x(image, 2)
    np.testing.assert_array_equal(left[:, :-2], image[:, 2:])
    assert (left[:, -2:].numpy() == 128).all()
    up = geometric_operations.translate_y(image, 2)
    np.testing.assert_array_equal(up[:-2], image[2:])


@pytest.mark.parametrize(
    "image", [np.zeros((2, 8, 8, 3), "u1"), np.zeros((8, 8, 3), "f4"), [[1]]]
)
def test_only_one_uint8_image_is_taken(image):
    with pytest.raises(ValueError, match=r"one image, uint8 \(height, width, 3\)"):
        RANDAUGMENT.apply(image, 0, 10.0, np.zeros(3, "f4"))
