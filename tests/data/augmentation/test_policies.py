"""RandAugment and AutoAugment draw as their papers say, from a seed alone."""

import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2.data.augmentation import autoaugment, operations
from keras_effnetv2.data.augmentation.autoaugment import AutoAugment
from keras_effnetv2.data.augmentation.randaugment import RandAugment

IMAGE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), "u1")
POLICIES = {"RandAugment": RandAugment(2, 12.5), "AutoAugment": AutoAugment()}


def seeds(num):
    return tf.stack([tf.range(num), tf.range(num) + 7], axis=1)


def in_dataset(policy, num, image=IMAGE):
    """The image as `num` seeds change it, from a parallel tf.data pipeline."""
    dataset = tf.data.Dataset.from_tensor_slices(seeds(num)).map(
        lambda seed: policy.apply(image, seed), num_parallel_calls=2
    )
    assert dataset.element_spec == tf.TensorSpec(image.shape, tf.uint8)
    return np.stack(list(dataset.as_numpy_iterator()))


@pytest.fixture
def applied(monkeypatch):
    """What would be applied: (number, magnitude, draws) of each operation."""
    calls = []

    def note(operation_set, image, number, magnitude, draws):
        calls.append((int(number), float(magnitude), draws.numpy()))
        return image

    monkeypatch.setattr(operations.OperationSet, "apply", note)
    return calls


@pytest.mark.parametrize("name", POLICIES)
def test_a_dataset_gives_what_eager_gives(name):
    policy = POLICIES[name]
    eager = [policy.apply(IMAGE, seed) for seed in seeds(40)]
    found = in_dataset(policy, 40)
    np.testing.assert_array_equal(found, np.stack(eager))
    assert len({image.tobytes() for image in found}) > 20


@pytest.mark.parametrize("name", POLICIES)
def test_sizes_may_be_unknown(name):
    @tf.function(input_signature=[tf.TensorSpec((None, None, 3), tf.uint8)])
    def apply(image):
        return POLICIES[name].apply(image, (1, 2))

    for shape in ((32, 32, 3), (5, 40, 3), (1, 1, 3)):
        assert apply(np.zeros(shape, "u1")).shape == shape


@pytest.mark.slow
def test_randaugment_draws_every_operation_equally_often(applied):
    num = 1600
    for seed in seeds(num // 2):
        RandAugment(2, 9.0).apply(IMAGE, seed)
    numbers, magnitudes, draws = map(np.array, zip(*applied, strict=True))
    counts = np.bincount(numbers, minlength=16)
    assert len(counts) == 16
    # Five standard deviations: sqrt(1600 * 1/16 * 15/16) = 9.7.
    assert np.abs(counts - num / 16).max() < 5 * 9.7
    assert (magnitudes == 9).all()
    # Negative every other time; the two operations of an image are independent.
    assert np.mean(draws[:, 0] < 0.5) == pytest.approx(0.5, abs=5 * 0.5 / 40)
    same = np.mean(numbers[::2] == numbers[1::2])
    assert same == pytest.approx(1 / 16, abs=5 * 0.242 / 28)


def test_autoaugment_draws_every_row_with_its_probabilities(applied):
    num = 800
    for seed in seeds(num):
        AutoAugment().apply(IMAGE, seed)
    expected = np.zeros((len(operations.NAMES) + 1, 11))
    for row in autoaugment.POLICY:
        for name, probability, magnitude in row:
            share = num / len(autoaugment.POLICY)
            place = operations.NAMES.index(name)
            expected[place, magnitude] += share * probability
            expected[operations.NOTHING, magnitude] += share * (1 - probability)
    found = np.zeros_like(expected)
    for number, magnitude, _ in applied:
        found[number, int(magnitude)] += 1
    assert (found[expected == 0] == 0).all()
    assert (np.abs(found - expected) <= 5 * np.sqrt(expected)).all()


@pytest.mark.parametrize(
    "kind", [tf.Variable, pytest.param(tf.constant, marks=pytest.mark.slow)]
)
def test_a_tensor_magnitude_changes_without_a_retrace(kind):
    num_traces = 0
    variable = tf.Variable(5.0)

    @tf.function
    def apply(magnitude):
        nonlocal num_traces
        num_traces += 1
        drawn = variable if kind is tf.Variable else magnitude
        return RandAugment(2, drawn).apply(IMAGE, (1, 8))

    for magnitude in (5.0, 10.0, 17.0):
        variable.assign(magnitude)
        expected = RandAugment(2, magnitude).apply(IMAGE, (1, 8))
        np.testing.assert_array_equal(apply(tf.constant(magnitude)), expected)
    assert num_traces == 1


def test_a_dataset_sees_a_changed_magnitude():
    variable = tf.Variable(0.0)
    policy = RandAugment(1, variable)
    dataset = tf.data.Dataset.from_tensor_slices(seeds(8)).map(
        lambda seed: policy.apply(IMAGE, seed)
    )
    for magnitude in (5.0, 15.0):
        variable.assign(magnitude)
        expected = [RandAugment(1, magnitude).apply(IMAGE, seed) for seed in seeds(8)]
        np.testing.assert_array_equal(list(dataset), expected)


def test_no_operations_change_nothing():
    np.testing.assert_array_equal(RandAugment(0).apply(IMAGE, (0, 0)), IMAGE)


@pytest.mark.parametrize("name", POLICIES)
def test_bad_images_and_seeds_are_refused(name):
    with pytest.raises(ValueError, match=r"one image, uint8.*\(2, 4, 4, 3\)"):
        POLICIES[name].apply(np.zeros((2, 4, 4, 3), "u1"), (0, 0))
    with pytest.raises(ValueError, match="two integers"):
        POLICIES[name].apply(IMAGE, 3)


@pytest.mark.parametrize("num_ops", [-1, 1.5])
def test_bad_num_ops_are_refused(num_ops):
    with pytest.raises(ValueError, match=f"num_ops={num_ops}"):
        RandAugment(num_ops)


@pytest.mark.parametrize("magnitude", [-1, float("nan"), float("inf")])
def test_bad_magnitudes_are_refused(magnitude):
    with pytest.raises(ValueError, match=f"magnitude={magnitude}"):
        RandAugment(2, magnitude)


@pytest.mark.slow
def test_translations_of_small_images_shrink_with_the_scale():
    image = np.zeros((32, 32, 3), "u1")
    image[:, :, :] = np.arange(1, 33, dtype="u1")[None, :, None]
    number = operations.NAMES.index("TranslateX")
    draws = np.array([0.9, 0, 0], "f4")
    operation_set = operations.OperationSet(translation=100, cutout=40).scaled(32 / 128)
    moved = np.array(operation_set.apply(image, number, 8.0, draws))
    assert (moved[:, :12] == image[:, 20:]).all() and (moved[:, 12:] == 128).all()
    seeds = [(0, n) for n in range(100)]
    for scale, lowest, highest in ((1.0, 0.05, 0.5), (0.25, 0.0, 0.05)):
        policy = RandAugment(1, 8.0, pixel_scale=scale)
        lost = [(np.array(policy.apply(image, s)) == 128).mean() > 0.8 for s in seeds]
        assert lowest <= np.mean(lost) <= highest
