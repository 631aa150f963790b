"""A damaged image is named, counted and left out; too many of them stop."""

import numpy as np
import pytest
import tensorflow as tf

from keras_effnetv2.data import rows
from keras_effnetv2.data.augmentation.mixing import Mixing
from keras_effnetv2.data.decode_errors import DecodeErrors
from keras_effnetv2.data.pipeline import Shard
from keras_effnetv2.data.sources import open_source
from tests.data import image_folders
from tests.data.batches import AUGMENTER, PLAIN, evaluate, numbered, train

NUM = 20


@pytest.fixture
def write(tmp_path):
    """Writes 20 images, some of them damaged, and opens them."""

    def write(damaged):
        root = image_folders.write(tmp_path / "train", {"cat": 9, "dog": 11})
        paths = sorted(root.glob("*/*"))
        for index in damaged:
            image_folders.damage(paths[index])
        return open_source("folder", "train", num_classes=2, directory=str(tmp_path))

    return write


def lenient(source, **options):
    return DecodeErrors("train", source.num_examples, max_share=0.5, **options)


@pytest.mark.parametrize("damaged", [[4], [0, 7, 8, 19]])
def test_damaged_images_are_skipped_and_named_once(write, warnings, damaged):
    source = write(damaged)
    decode_errors = lenient(source)
    batches = train(
        source, NUM // 2, PLAIN, Mixing(0.2, 0.2), decode_errors=decode_errors
    )
    assert len(batches) == 4
    assert decode_errors.num_damaged == len(damaged)
    assert decode_errors.error is None
    assert len(warnings) == len(damaged)
    for index in damaged:
        (warning,) = (text for text in warnings if source.name_of(index) in text)
        assert "skipped" in warning and "{{" not in warning


@pytest.mark.long
def test_a_skipped_image_is_replaced_by_the_one_before_it(write):
    healthy = write([])
    (whole,) = train(healthy, NUM, num_steps=1)
    damaged = write([3])
    (found,) = train(damaged, NUM, num_steps=1, decode_errors=lenient(damaged))
    differing = [row for row in range(NUM) if (whole[0][row] != found[0][row]).any()]
    (row,) = differing
    np.testing.assert_array_equal(found[0][row], whole[0][row - 1])
    np.testing.assert_array_equal(found[1][row], whole[1][row - 1])


def test_before_the_first_image_of_a_batch_comes_its_last():
    made = tf.constant([1, 2], tf.int64), [tf.constant([10, 20, 0])]
    (found,) = rows.fill_with_previous(*made, 4)
    assert found.numpy().tolist() == [20, 10, 20, 20]


@pytest.mark.long
def test_an_epoch_with_damage_goes_on_at_any_step(write):
    source = write([2, 11])
    whole = train(source, 4, AUGMENTER, decode_errors=lenient(source))
    rest = train(
        source, 4, AUGMENTER, decode_errors=lenient(source), first_step=3, num_steps=7
    )
    for ours, theirs in zip(rest, whole[3:], strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


@pytest.mark.parametrize("count", [1, 2])
def test_evaluation_counts_all_but_the_damaged(write, count):
    source = write([0, 6])
    weights, all_errors = [], []
    for index in range(count):
        all_errors.append(lenient(source))
        shard = Shard(index, count)
        for images, labels, weight in evaluate(
            source, 8, shard=shard, decode_errors=all_errors[-1]
        ):
            weights.extend(weight)
            np.testing.assert_array_equal(images[weight == 0], 0)
            np.testing.assert_array_equal(labels.sum(1), weight)
    assert sum(weights) == NUM - 2
    assert sum(errors.num_damaged for errors in all_errors) == 2


def test_evaluation_goes_on_after_a_batch_that_is_damaged(write):
    source = write([NUM - 2, NUM - 1])
    weights = [x[2].sum() for x in evaluate(source, 6, decode_errors=lenient(source))]
    assert weights == [6, 6, 6, 0]


def test_more_than_a_hundredth_stops_with_a_summary(write):
    source = write([1, 2])
    decode_errors = DecodeErrors("train", source.num_examples)
    with pytest.raises(tf.errors.OpError):
        train(source, 4, decode_errors=decode_errors)
    with pytest.raises(ValueError, match=r"2 of the 20 images of 'train'.*1%.*\.jpg"):
        decode_errors.raise_if_any()


def test_one_damaged_image_never_stops(write):
    source = write([1])
    decode_errors = DecodeErrors("train", source.num_examples)
    train(source, 4, decode_errors=decode_errors)
    decode_errors.raise_if_any()


def test_the_first_one_stops_where_that_is_asked_for(write):
    source = write([5])
    decode_errors = DecodeErrors("train", source.num_examples, on_error="raise")
    with pytest.raises(tf.errors.OpError):
        train(source, 4, decode_errors=decode_errors)
    with pytest.raises(ValueError) as error:
        decode_errors.raise_if_any()
    assert source.name_of(5) in str(error.value)


def test_a_batch_without_a_readable_image_stops(write):
    source = write(range(NUM))
    decode_errors = DecodeErrors("train", source.num_examples, max_share=1)
    with pytest.raises(tf.errors.OpError):
        train(source, 4, decode_errors=decode_errors)
    with pytest.raises(ValueError, match="None of 4 images of a batch"):
        decode_errors.raise_if_any()


def test_a_label_that_is_no_class_is_damage(warnings):
    # Image i is of class i, and there are 10 classes.
    source = numbered(11)
    source = type(source)(11, 10, False, source.read, source.name_of)
    decode_errors = lenient(source)
    train(source, 11, PLAIN, decode_errors=decode_errors)
    assert decode_errors.num_damaged == 1
    assert "not in 0 to 9" in warnings[0]


def test_other_choices_are_refused():
    with pytest.raises(ValueError, match="on_error='ignore'"):
        DecodeErrors("train", 10, on_error="ignore")
