"""Batches are functions of seed, epoch and step, on any number of workers."""

import collections
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2.data.augmentation.augmenter import Augmenter
from keras_effnetv2.data.augmentation.autoaugment import AutoAugment
from keras_effnetv2.data.augmentation.mixing import Mixing
from keras_effnetv2.data.augmentation.randaugment import RandAugment
from keras_effnetv2.data.augmentation.random_cropping import OFFICIAL, RandomCutout
from keras_effnetv2.data.decode_errors import DecodeErrors
from keras_effnetv2.data.decoding.cropping import evaluation_image
from keras_effnetv2.data.pipeline import (
    Shard,
    first_images,
    training_batches,
)
from keras_effnetv2.data.sources import open_source
from tests.data import image_folders
from tests.data.batches import (
    AUGMENTER,
    BOTH,
    PLAIN,
    SQUASH,
    assert_same,
    evaluate,
    joined,
    numbered,
    numbers_in,
    train,
)

SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    image_folders.write(root / "train", {"cat": 9, "dog": 11})
    return open_source("folder", "train", num_classes=2, directory=str(root))


def test_an_epoch_has_every_example_once():
    batches = train(numbered(24), 6)
    assert len(batches) == 8
    first, second = numbers_in(batches[:4]), numbers_in(batches[4:])
    assert sorted(first) == sorted(second) == list(range(24))
    assert first != second
    assert first != list(range(24))


def test_labels_are_those_of_their_images():
    for images, labels in train(numbered(24), 6):
        np.testing.assert_array_equal(labels.argmax(1), images[:, 0, 0, 0])
        np.testing.assert_array_equal(labels.sum(1), 1)


def test_first_images_are_those_of_the_first_batch(folder):
    augmenter = dataclasses.replace(AUGMENTER, policy=RandAugment(2, 10.0))
    found = first_images(
        folder,
        augmenter,
        BOTH,
        num=8,
        epoch=3,
        seed=7,
        decode_errors=DecodeErrors("train", 20),
    )
    options = {"num_steps": 1, "steps_per_epoch": 1, "first_epoch": 3}
    expected = train(folder, 8, augmenter, BOTH, **options)[0][0]
    # Graphs may round some pixels otherwise.
    assert found.shape == expected.shape and (found == expected).mean() > 0.9


def test_every_step_draws_other_shares():
    first, second, *_ = train(numbered(8), 4, mixing=BOTH)
    shares = [labels.max(1) for _, labels in (first, second)]
    assert not np.isclose(*shares).any()


def test_an_epoch_leaves_out_what_fills_no_batch():
    for epoch in (0, 1):
        found = numbers_in(train(numbered(23), 5, num_steps=4, first_epoch=epoch))
        assert len(set(found)) == 20


@pytest.mark.long
def test_seeds_give_other_orders_and_other_images(folder):
    orders = [numbers_in(train(numbered(24), 6, seed=seed)) for seed in range(3)]
    assert len({tuple(order) for order in orders}) == 3
    first, second = (
        train(folder, 20, AUGMENTER, num_steps=1, seed=seed)[0][0] for seed in range(2)
    )
    assert not {x.tobytes() for x in first} & {x.tobytes() for x in second}


def test_an_example_is_augmented_anew_each_epoch(folder):
    first, second = train(folder, 20, AUGMENTER)
    assert not {x.tobytes() for x in first[0]} & {x.tobytes() for x in second[0]}


@pytest.mark.parametrize(
    "policy,interpolation",
    [
        (RandAugment(2, 10.0), "bilinear"),
        pytest.param(AutoAugment(), "bicubic", marks=SLOW),
        pytest.param(RandomCutout(), "bilinear", marks=SLOW),
    ],
)
def test_batches_are_of_static_shape_and_repeatable(folder, policy, interpolation):
    augmenter = Augmenter(16, OFFICIAL, True, interpolation, policy)
    dataset = training_batches(
        folder,
        augmenter,
        BOTH,
        batch_size=5,
        first_step=0,
        num_steps=2,
        steps_per_epoch=4,
        first_epoch=0,
        seed=0,
        decode_errors=DecodeErrors("train", 20),
    )
    assert dataset.element_spec == (
        tf.TensorSpec((5, 16, 16, 3), tf.uint8),
        tf.TensorSpec((5, 2), tf.float32),
    )
    assert len(dataset) == 2
    assert_same(list(dataset.as_numpy_iterator()), list(dataset.as_numpy_iterator()))


@pytest.mark.long
def test_a_training_goes_on_at_any_step_as_if_it_had_not_stopped(folder):
    whole = train(folder, 3, AUGMENTER, BOTH, num_steps=14)
    for done in (1, 9):
        rest = train(
            folder,
            3,
            AUGMENTER,
            BOTH,
            num_steps=14 - done,
            first_epoch=done // 6,
            first_step=done % 6,
        )
        assert_same(rest, whole[done:])


@pytest.mark.long
@pytest.mark.parametrize("mixing", [pytest.param(Mixing(), marks=SLOW), BOTH])
@pytest.mark.parametrize(
    "batch_size,counts", [pytest.param(12, (3, 4), marks=SLOW), (8, (2,))]
)
def test_any_number_of_workers_makes_the_same_batches(
    folder, mixing, batch_size, counts
):
    whole = train(folder, batch_size, AUGMENTER, mixing)
    for count in counts:
        parts = [
            train(folder, batch_size, AUGMENTER, mixing, shard=Shard(index, count))
            for index in range(count)
        ]
        assert_same(joined(parts), whole)


def test_only_mixing_needs_the_image_of_another_worker():
    read = collections.Counter()

    def note(index):
        read[int(index)] += 1
        return np.zeros((8, 8, 1), "u1")

    def reading(index):
        pixels = tf.ensure_shape(tf.numpy_function(note, [index], tf.uint8), (8, 8, 1))
        return pixels, index

    source = dataclasses.replace(numbered(8), read=reading)
    for mixing, expected in ((Mixing(), 8), (BOTH, 10)):
        read.clear()
        for index in range(2):
            train(source, 8, mixing=mixing, shard=Shard(index, 2), num_steps=1)
        assert read.total() == expected


@pytest.mark.slow
def test_alphas_and_magnitudes_may_be_variables():
    source = numbered(12)
    variables = [tf.Variable(0.0), tf.Variable(0.0)]
    for alpha in (0.0, 0.5):
        for variable in variables:
            variable.assign(alpha)
        expected = train(source, 6, PLAIN, Mixing(alpha, alpha), num_steps=2)
        assert_same(train(source, 6, PLAIN, Mixing(*variables), num_steps=2), expected)


def test_labels_of_several_classes_stay_several():
    source = numbered(10, multi_label=True)
    for images, labels in train(source, 5):
        numbers = images[:, 0, 0, 0].astype(int)
        expected = np.eye(10)[numbers] + np.eye(11)[numbers + 1, :10]
        np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize(
    "num,batch_size,count",
    [(24, 8, 1), (23, 8, 4), (3, 8, 2), (9, 4, 4), (1, 4, 1)],
)
def test_evaluation_sees_every_example_once(num, batch_size, count):
    source = numbered(num)
    parts = [
        evaluate(source, batch_size, shard=Shard(index, count))
        for index in range(count)
    ]
    assert {len(part) for part in parts} == {-(-num // batch_size)}
    batches = joined(parts)
    weights = np.concatenate([weights for *_, weights in batches])
    assert weights.sum() == num
    numbers = np.array(numbers_in(batches))[weights > 0]
    assert numbers.tolist() == list(range(num))
    for images, labels, weights in batches:
        assert images.shape == (batch_size, 16, 16, 3) and images.dtype == np.float32
        np.testing.assert_array_equal(labels.sum(1), weights)


@pytest.mark.parametrize("crop", ["center", "squash"])
def test_evaluation_images_are_those_of_the_published_accuracies(folder, crop):
    preprocessing = dataclasses.replace(SQUASH, crop=crop)
    ((images, labels, weights),) = evaluate(folder, 20, preprocessing)
    for index in range(20):
        contents, label = folder.read(index)
        pixels = tf.io.decode_image(contents, channels=3)
        np.testing.assert_array_equal(
            images[index], evaluation_image(pixels, preprocessing)
        )
        assert labels[index].argmax() == label


def test_what_an_epoch_does_not_have_is_refused():
    source = numbered(10)
    with pytest.raises(ValueError, match="need 12 images. There are 10"):
        train(source, 4, steps_per_epoch=3)
    with pytest.raises(ValueError, match="first_step=2"):
        train(source, 4, first_step=2)
    with pytest.raises(ValueError, match="the index is 0 to 1. Received: index=2"):
        Shard(2, 2)
    with pytest.raises(ValueError, match="cannot be divided among 3 workers"):
        train(source, 4, shard=Shard(0, 3))
    with pytest.raises(ValueError, match="cannot be divided among 3 workers"):
        evaluate(source, 4, shard=Shard(0, 3))
